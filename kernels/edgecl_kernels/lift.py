"""Random-ReLU lift: `h = [ReLU(Px)/sqrt(D), x]`, the Rademacher signs P regenerated from a seed.

The signs take no memory. Word `d*W + k` of a splitmix64 stream, with `W = ceil(w/64)`, holds in its bit `b`
the sign of `P[64*k + b, d]` (0 is +1, 1 is -1). Sums are not reordered here (`fastmath` is off), so a lifted
row has the same bits alone as in a batch, and on every machine.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import uintp

from edgecl_kernels._types import F32, Index

_ZERO = np.float32(0)
_WORD = 64  # signs in one word


def sign_word(seed: int, index: int) -> int:
    """Word `index` of the splitmix64 stream that starts at `seed` (Steele, Lea and Flood 2014).

    The masks hold plain Python integers to 64 bits and make numba's signed shifts logical ones.
    """
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ ((z >> 30) & 0x3FFFFFFFF)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ ((z >> 27) & 0x1FFFFFFFFF)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return z ^ ((z >> 31) & 0x1FFFFFFFF)


def add_signed(
    out: F32,
    row: int,
    first: Index,
    last: Index,
    word0: int,
    word1: int,
    word2: int,
    word3: int,
    x0: np.float32,
    x1: np.float32,
    x2: np.float32,
    x3: np.float32,
) -> None:
    """out[row, first + b] += ±x0 ± x1 ± x2 ± x3, the signs being bit b of the four words."""
    for r in range(first, last):
        bit = r - first
        total = out[row, r] + (-x0 if (word0 >> bit) & 1 else x0)
        total = total + (-x1 if (word1 >> bit) & 1 else x1)
        total = total + (-x2 if (word2 >> bit) & 1 else x2)
        out[row, r] = total + (-x3 if (word3 >> bit) & 1 else x3)


def project_block(out: F32, width: int, dimension: int, block: int, seed: int) -> None:
    """out[:, 64*block:64*(block + 1)] = Px for every row, x being `out[:, width:width + dimension]`.

    Four rows sharing their signs took .88 ms where this takes 1.28 (32 rows, D=384, w=2048): not worth a
    second form.
    """
    words = (width + _WORD - 1) // _WORD
    first, last = block * _WORD, min(width, (block + 1) * _WORD)
    end = width + dimension
    for row in range(out.shape[0]):
        for r in range(first, last):
            out[row, r] = _ZERO
    for d in range(0, dimension, 4):
        index = d * words + block
        word0, word1 = sign_word(seed, index), sign_word(seed, index + words)
        word2, word3 = sign_word(seed, index + 2 * words), sign_word(seed, index + 3 * words)
        column = width + d
        for row in range(out.shape[0]):
            x0 = out[row, column]
            x1 = out[row, column + 1] if column + 1 < end else _ZERO
            x2 = out[row, column + 2] if column + 2 < end else _ZERO
            x3 = out[row, column + 3] if column + 3 < end else _ZERO
            add_signed(out, row, uintp(first), uintp(last), word0, word1, word2, word3, x0, x1, x2, x3)


def lift_columns(out: F32, width: int, dimension: int, seed: int) -> None:
    """out[:, :width] = ReLU(Px)/sqrt(D), x being `out[:, width:width + dimension]`."""
    for block in range((width + _WORD - 1) // _WORD):
        project_block(out, width, dimension, block, seed)
    factor = np.float32(1.0 / math.sqrt(dimension))
    for row in range(out.shape[0]):
        for r in range(width):
            value = out[row, r]
            out[row, r] = _ZERO if value < _ZERO else value * factor  # keeps NaN


def lift_rows(x: F32, seed: int, out: F32) -> None:
    """out = [ReLU(Px)/sqrt(D), x] for x (n, D), out (n, w + D), D >= 1."""
    n, dimension = x.shape
    width = out.shape[1] - dimension
    for row in range(n):
        for d in range(uintp(dimension)):
            out[row, uintp(width) + d] = x[row, d]
    lift_columns(out, width, dimension, seed)


def lift_signs(seed: int, width: int, dimension: int) -> F32:
    """Return the (width, dimension) signs as an array: for tests and for reading, not for the device."""
    words = (width + _WORD - 1) // _WORD
    signs = np.empty((words * _WORD, dimension), np.float32)
    for d in range(dimension):
        for block in range(words):
            word = sign_word(seed, d * words + block)
            for bit in range(_WORD):
                signs[block * _WORD + bit, d] = -1 if (word >> bit) & 1 else 1
    return signs[:width].copy()
