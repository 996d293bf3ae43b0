"""Scores of a linear head, and the softmax of scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import uintp

from edgecl_kernels._types import F32
from edgecl_kernels.products import multiply_rows

_ZERO = np.float32(0)
_ONE = np.float32(1)
_HALF = np.float32(0.5)
_LOWEST = np.float32(-87)  # below it exp underflows
_LOG2E = np.float32(1.4426950408889634)
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(-2.12194440e-4)
# polynomial of exp on [-ln2/2, ln2/2] from Cephes expf (Moshier)
_P0, _P1, _P2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_P3, _P4, _P5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


def row_maximum(z: F32, row: int, count: int) -> Any:
    """Largest of the first `count` scores of a row."""
    top = z[row, 0]
    for c in range(uintp(count)):
        top = max(top, z[row, c])
    return top


def softmax_columns(z: F32, count: int) -> None:
    """z[:, :count] = softmax(z[:, :count]), in place.

    exp(v) = 2^k poly(v - k ln2) with `k` rounded by truncation, since v <= 0: `math.floor` and `math.exp`
    would call libm once an element. The power is written as bits and read back as a float.
    """
    bits = z.view(np.int32)
    for row in range(z.shape[0]):
        top = row_maximum(z, row, count)
        total = _ZERO
        for c in range(uintp(count)):
            v = z[row, c] - top
            v = _LOWEST if v < _LOWEST else v
            k = np.int32(v * _LOG2E - _HALF)
            r = v - np.float32(k) * _LN2_HIGH - np.float32(k) * _LN2_LOW
            poly = ((((_P0 * r + _P1) * r + _P2) * r + _P3) * r + _P4) * r + _P5
            bits[row, c] = (k + 127) << 23
            value = (poly * r * r + r + _ONE) * z[row, c]
            z[row, c] = value
            total += value
        inverse = _ONE / total
        for c in range(uintp(count)):
            z[row, c] *= inverse


def softmax_rows(z: F32) -> None:
    """z (n, C) = softmax over each row, in place; C >= 1."""
    softmax_columns(z, z.shape[1])


def scores(x: F32, weights: F32, bias: F32, out: F32) -> None:
    """out (n, C) = x weightsᵀ + bias for x (n, d), weights (C, d), bias (C)."""
    multiply_rows(x, weights, out)
    for row in range(x.shape[0]):
        for c in range(bias.shape[0]):
            out[row, c] += bias[c]
