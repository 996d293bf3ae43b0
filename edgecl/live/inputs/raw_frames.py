"""What raw frames look like where their size or pixels are others than their user says."""

from __future__ import annotations

import numpy as np

PROBED = 1 << 19  # bytes of a frame that are looked at
SHORTEST_ROW = 64  # bytes
BETTER = 0.25  # by which rows of another length go on better, as a correlation


def hint_of_frame(content: bytes, size: tuple[int, int]) -> str:
    """Return what is wrong with a frame of raw RGB of a size (width, height); nothing where its rows go on.

    A row is much like the next one: if rows of another length go on clearly better, the frame has another width, or
    pixels of another number of bytes.
    """
    width, height = size
    values = np.frombuffer(content[:PROBED], np.uint8).astype(np.float32)
    values -= values.mean()
    longest = min(4 * max(size), len(values) // 4)
    if not values.any() or longest <= max(SHORTEST_ROW, 3 * width):
        return ""
    spectrum = np.fft.rfft(values, 1 << (2 * len(values) - 1).bit_length())
    products = np.fft.irfft(np.square(np.abs(spectrum)))[: longest + 1]
    alike = products / products[0] * len(values) / (len(values) - np.arange(longest + 1))
    found = SHORTEST_ROW + int(alike[SHORTEST_ROW:].argmax())
    if alike[found] < alike[3 * width] + BETTER:
        return ""
    return (
        f"the first frame is no RGB of {width}x{height}: its rows seem to have {found} bytes and not {3 * width}: are "
        "the size and the pixels (`-pix_fmt rgb24`) right?"
    )
