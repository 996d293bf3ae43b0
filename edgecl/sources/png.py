"""PNG of 8-bit RGB, written and read back without Pillow: what an inbox keeps of a camera."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """Return a picture (height, width, 3) as a PNG file.

    Examples
    --------
    >>> picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    >>> np.array_equal(decode_png(encode_png(picture)), picture)
    True
    """
    height, width, _ = picture.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # the first byte of a row: no filter
    rows[:, 1:] = picture.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(rows.tobytes(), 6)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def decode_png(content: bytes) -> NDArray[np.uint8]:
    """Return the picture (height, width, 3) of a file that `encode_png` wrote.

    Raises
    ------
    ValueError
        It is another one.
    """
    try:
        width, height, *kind = struct.unpack_from(">IIBBBBB", content, 16)
        (length,) = struct.unpack_from(">I", content, 33)
        if content[:8] != _SIGNATURE or kind != [8, 2, 0, 0, 0] or content[37:41] != b"IDAT":
            raise ValueError("not a PNG that edgecl wrote")
        inflated = zlib.decompressobj().decompress(content[41 : 41 + length], height * (1 + 3 * width))
    except (struct.error, zlib.error) as error:
        raise ValueError(f"not a PNG that edgecl wrote: {error}") from error
    rows = np.frombuffer(inflated, np.uint8).reshape(height, 1 + 3 * width)
    return rows[:, 1:].reshape(height, width, 3).copy()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
