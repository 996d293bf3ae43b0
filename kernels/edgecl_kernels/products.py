"""The matrix product of a linear head.

Column indices are unsigned (`uintp`), here and in the other kernels: a signed one makes numba test for
wraparound, which blocks vectorisation (a rank-1 update went from 39.8 to 6.1 µs in a probe).
"""

from __future__ import annotations

import numpy as np
from numpy import uintp

from edgecl_kernels._types import F32

_ZERO = np.float32(0)


def add_products(x: F32, weights: F32, out: F32, first: int) -> None:
    """out[:n, :C] += x weightsᵀ over the columns from `first` on."""
    for b in range(x.shape[0]):
        for c in range(weights.shape[0]):
            total = _ZERO
            for d in range(uintp(first), uintp(weights.shape[1])):
                total += x[b, d] * weights[c, d]
            out[b, c] += total


def multiply_rows(x: F32, weights: F32, out: F32) -> None:
    """out[:n, :C] = x weightsᵀ for x (n, d), weights (C, d); compiled, it is `_simd`'s."""
    for b in range(x.shape[0]):
        for c in range(uintp(weights.shape[0])):
            out[b, c] = _ZERO
    add_products(x, weights, out, 0)
