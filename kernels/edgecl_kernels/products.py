"""The matrix product of a linear head, in tiles of rows and classes.

Column indices are unsigned (`uintp`), here and in the other kernels: a signed one makes numba test for
wraparound, which blocks vectorisation (a rank-1 update went from 39.8 to 6.1 µs in a probe).
"""

from __future__ import annotations

import numpy as np
from numpy import uintp

from edgecl_kernels._types import F32

_ZERO = np.float32(0)
_ROWS = 64  # rows that stay in the second-level cache over all classes


def multiply_tile(x: F32, b0: int, weights: F32, c0: int, out: F32) -> None:
    """out[b0:b0 + 4, c0:c0 + 4] = x weightsᵀ.

    A short tile repeats the last row or class: one code path, so a row scores the same alone as in a batch.
    """
    b1, b2, b3 = min(b0 + 1, x.shape[0] - 1), min(b0 + 2, x.shape[0] - 1), min(b0 + 3, x.shape[0] - 1)
    last = weights.shape[0] - 1
    c1, c2, c3 = min(c0 + 1, last), min(c0 + 2, last), min(c0 + 3, last)
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = _ZERO
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = _ZERO
    for d in range(uintp(weights.shape[1])):
        x0, x1, x2, x3 = x[b0, d], x[b1, d], x[b2, d], x[b3, d]
        w0, w1, w2, w3 = weights[c0, d], weights[c1, d], weights[c2, d], weights[c3, d]
        s00, s01, s02, s03 = s00 + x0 * w0, s01 + x0 * w1, s02 + x0 * w2, s03 + x0 * w3
        s10, s11, s12, s13 = s10 + x1 * w0, s11 + x1 * w1, s12 + x1 * w2, s13 + x1 * w3
        s20, s21, s22, s23 = s20 + x2 * w0, s21 + x2 * w1, s22 + x2 * w2, s23 + x2 * w3
        s30, s31, s32, s33 = s30 + x3 * w0, s31 + x3 * w1, s32 + x3 * w2, s33 + x3 * w3
    out[b0, c0], out[b0, c1], out[b0, c2], out[b0, c3] = s00, s01, s02, s03
    out[b1, c0], out[b1, c1], out[b1, c2], out[b1, c3] = s10, s11, s12, s13
    out[b2, c0], out[b2, c1], out[b2, c2], out[b2, c3] = s20, s21, s22, s23
    out[b3, c0], out[b3, c1], out[b3, c2], out[b3, c3] = s30, s31, s32, s33


def multiply_rows(x: F32, weights: F32, out: F32) -> None:
    """out[:n, :C] = x weightsᵀ for x (n, d), weights (C, d)."""
    n = x.shape[0]
    for first in range(0, n, _ROWS):
        for c in range(0, weights.shape[0], 4):
            for b in range(first, min(first + _ROWS, n), 4):
                multiply_tile(x, b, weights, c, out)
