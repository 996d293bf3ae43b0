"""int8 rows with one float32 scale each, `x ≈ scale * row`, and the gather that turns them into features."""

from __future__ import annotations

import numpy as np
from numpy import uintp

from edgecl_kernels._types import F32, I8, I32
from edgecl_kernels.lift import lift_columns

_ZERO = np.float32(0)
_ONE = np.float32(1)
_HALF = np.float32(0.5)
_LEVELS = np.float32(127)
_NOTHING = np.float32(1e-30)  # a row this small is stored as zero: its scale would be denormal


def quantise_rows(x: F32, rows: I8, scales: F32) -> None:
    """rows (n, D) = round(x / scale), scales (n) = max|x| / 127, for x (n, D) finite.

    Halves are rounded away from zero. A row of zeros gets scale 0.
    """
    n, dimension = x.shape
    for i in range(n):
        largest = _ZERO
        for d in range(dimension):
            largest = max(largest, abs(x[i, d]))
        scale = largest / _LEVELS if largest > _NOTHING else _ZERO
        factor = _ONE / scale if scale > _ZERO else _ZERO
        scales[i] = scale
        for d in range(dimension):
            value = x[i, d] * factor
            rows[i, d] = np.int8(value - _HALF if value < _ZERO else value + _HALF)


def dequantise_rows(rows: I8, scales: F32, out: F32) -> None:
    """out (n, D) = scale * row."""
    n, dimension = rows.shape
    for i in range(n):
        for d in range(dimension):
            out[i, d] = scales[i] * np.float32(rows[i, d])


def gather_rows(
    rows: I8,
    scales: F32,
    indices: I32,
    offset: F32,
    factor: np.float32,
    lift_width: int,
    seed: int,
    out: F32,
) -> None:
    """Features of the rows named by `indices` (B), with a bias column: out (B, ld), ld >= w + D + 1.

    `out[b, :w + D] = (h(scale * row) - offset) * factor`, then 1, then zeros; `offset` (w + D). h lifts x to
    `[ReLU(Px)/sqrt(D), x]` where w, the lift width, is not 0. An index below 0 is an empty slot: a row of
    zeros.
    """
    dimension, columns = rows.shape[1], out.shape[1]
    width, lifted = lift_width + dimension, uintp(lift_width)
    for b in range(indices.shape[0]):
        row = max(indices[b], 0)
        scale = scales[row] if indices[b] >= 0 else _ZERO
        for d in range(uintp(dimension)):
            out[b, lifted + d] = scale * np.float32(rows[row, d])
    if lift_width > 0:
        lift_columns(out, lift_width, dimension, seed)
    for b in range(indices.shape[0]):
        present = _ONE if indices[b] >= 0 else _ZERO
        for d in range(width):
            out[b, d] = (out[b, d] - offset[d]) * factor * present
        out[b, width] = present
        for d in range(width + 1, columns):
            out[b, d] = _ZERO
