"""A reader of WAV files that needs the standard library and NumPy only.

Own code because `wave` knows neither float samples nor, before Python 3.12, the extensible header, and
takes a wrong size field at its word.
"""

from __future__ import annotations

import io
import mmap
import struct
import wave
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecl.sources.samples import UnusableError

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract


_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_CODECS = {2: "ADPCM", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x31: "GSM 6.10", 0x55: "MP3"}
# A writer that cannot seek back leaves a size of 2 or 4 GiB, or nought.
_UNKNOWN_SIZE = 0x7FFFF000
# Less than this share of the announced sound left: the file was cut off and may hold half a word.
_WHOLE_ENOUGH = 0.9


class Sound(NamedTuple):
    """Decoded sound."""

    samples: NDArray[np.float32]
    # (n, channels) in [-1, 1]; float files may exceed it
    rate_hz: int
    bits: int

    # of one sample in the file


class _Format(NamedTuple):
    codec: int
    channels: int
    rate_hz: int
    bytes_per_frame: int
    bits: int


def read_wav(content: bytes) -> Sound:
    """Decode PCM of 8, 16, 24 or 32 bits or float of 32 or 64 bits.

    Parameters
    ----------
    content
        The whole file, beginning with `RIFF`.

    Raises
    ------
    UnusableError
        The header is truncated or contradicts itself, the codec is another one, or sound is missing.
    """
    layout, sound = _chunks(content)
    frames = sound[: len(sound) - len(sound) % layout.bytes_per_frame]
    samples = _decode(frames, layout).reshape(-1, layout.channels)
    return Sound(samples, layout.rate_hz, layout.bits)


def wav_blocks(content: bytes | mmap.mmap, *, block_s: float) -> tuple[int, Iterator[NDArray[np.float32]]]:
    """The rate in Hz, and the sound in blocks (n, channels), decoded one by one; takes and raises as `read_wav`."""
    layout, sound = _chunks(content)
    step = max(round(block_s * layout.rate_hz), 1) * layout.bytes_per_frame
    whole = len(sound) - len(sound) % layout.bytes_per_frame

    def blocks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, whole, step):
            yield _decode(sound[start : min(start + step, whole)], layout).reshape(-1, layout.channels)

    return layout.rate_hz, blocks()


def _chunks(content: bytes | mmap.mmap) -> tuple[_Format, memoryview]:
    """The format and the sound; other chunks (lists, cue points, padding) are passed over."""
    if len(content) < 12 or content[8:12] != b"WAVE":
        raise UnusableError("truncated header: the file ends inside the RIFF header, or is another kind of RIFF file")
    layout: _Format | None = None
    start = 12
    while start + 8 <= len(content):
        name = content[start : start + 4]
        size = int.from_bytes(content[start + 4 : start + 8], "little")
        body = memoryview(content)[start + 8 : start + 8 + size]
        if name == b"fmt ":
            layout = _parse_format(body)
        if name == b"data":
            if layout is None:
                raise UnusableError("truncated header: the sound comes before its format")
            return layout, _whole(content, start + 8, size, layout)
        start += 8 + size + size % 2  # chunks begin at even offsets
    raise UnusableError("truncated header: the file ends before its sound begins")


def _whole(content: bytes | mmap.mmap, start: int, size: int, layout: _Format) -> memoryview:
    """The sound from `start`, if most of what the header promises is there."""
    left = len(content) - start
    finished = int.from_bytes(content[4:8], "little") == len(content) - 8
    if size >= _UNKNOWN_SIZE or (size == 0 and not finished):
        size = left
    if left < _WHOLE_ENOUGH * size:
        per_second = layout.rate_hz * layout.bytes_per_frame
        raise UnusableError(f"truncated: holds {left / per_second:.2f} s of {size / per_second:.2f} s")
    return memoryview(content)[start : start + size]


def _parse_format(body: memoryview) -> _Format:
    if len(body) < 16:
        raise UnusableError(f"truncated header: the format has {len(body)} bytes, wanted 16")
    codec, channels, rate_hz, _, bytes_per_frame, bits = struct.unpack_from("<HHIIHH", body)
    if codec == _EXTENSIBLE and len(body) >= 26:
        codec = int.from_bytes(body[24:26], "little")  # the sub-format's GUID begins with the codec
    if codec not in (_PCM, _FLOAT):
        raise UnusableError(f"unknown codec: {_CODECS.get(codec, hex(codec))}, wanted PCM or float")
    if bits not in ((32, 64) if codec == _FLOAT else (8, 16, 24, 32)):
        raise UnusableError(f"unknown codec: samples of {bits} bits")
    if channels == 0 or bytes_per_frame != channels * bits // 8:
        raise UnusableError(f"bad header: {channels} channels of {bits} bits in frames of {bytes_per_frame} bytes")
    if rate_hz == 0:
        raise UnusableError("unknown rate: 0 Hz is said")
    return _Format(codec, channels, rate_hz, bytes_per_frame, bits)


def _decode(frames: memoryview, layout: _Format) -> NDArray[np.float32]:
    """Samples in [-1, 1), channels interleaved."""
    if layout.codec == _FLOAT:
        with np.errstate(over="ignore"):
            return np.frombuffer(frames, f"<f{layout.bits // 8}").astype(np.float32)
    if layout.bits == 8:
        return (np.frombuffer(frames, "u1").astype(np.float32) - np.float32(128)) / np.float32(128)
    if layout.bits == 24:
        wide = np.zeros((len(frames) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(frames, "u1").reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
    return np.frombuffer(frames, f"<i{layout.bits // 8}").astype(np.float32) / np.float32(2 ** (layout.bits - 1))


def encoded_sound(signal: NDArray[np.float32], contract: Contract) -> bytes:
    """A 16-bit WAV file of a signal (n, 1) at the contract's rate."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(round(contract.sample_rate_hz))
        sound.writeframes((signal[:, 0].clip(-1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()
