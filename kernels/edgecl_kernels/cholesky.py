"""Cholesky factor of a packed symmetric matrix, and what is computed from it.

Packed: the lower triangle row by row, row i holding j = 0 ... i from offset i(i+1)/2. Rows are contiguous, so
all is written as dot products and sums of rows, without strides. Factoring and solving share one loop: row i
of L is row i of the matrix after forward substitution with the rows above it. Arguments are all float64 or
all float32.
"""

from __future__ import annotations

import math
from typing import Any

from numpy import uintp

from edgecl_kernels._types import F64, Index, Real


def row_offset(i: int) -> int:
    """Where row i of a packed matrix starts."""
    return i * (i + 1) // 2


def packed_order(size: int) -> int:
    """Number of rows of a packed matrix of `size` = d(d+1)/2 elements."""
    return int((math.sqrt(8.0 * size + 1.0) - 1.0) / 2.0)


def substitute_four(factor: Real, start: int, stop: int, b0: Real, b1: Real, b2: Real, b3: Real) -> None:
    """Forward-substitute four vectors: b_j = (b_j - Σ_k<j L_jk b_k) / L_jj for start <= j < stop.

    The vectors are zero before `start`. They may be the same: four values are computed before one is written, so
    a short block repeats its last vector.
    """
    zero = factor.dtype.type(0)
    for j in range(start, stop):
        offset = uintp(row_offset(j))
        s0 = s1 = s2 = s3 = zero
        for k in range(uintp(start), uintp(j)):
            value = factor[offset + k]
            s0 += value * b0[k]
            s1 += value * b1[k]
            s2 += value * b2[k]
            s3 += value * b3[k]
        pivot = factor[offset + uintp(j)]
        s0, s1, s2, s3 = (b0[j] - s0) / pivot, (b1[j] - s1) / pivot, (b2[j] - s2) / pivot, (b3[j] - s3) / pivot
        b0[j], b1[j], b2[j], b3[j] = s0, s1, s2, s3


def dot_rows(a: Real, first: Index, second: Index, count: int) -> Any:
    """Dot product of `count` elements of a flat array from `first` and from `second`."""
    total = a.dtype.type(0)
    for k in range(uintp(count)):
        total += a[first + k] * a[second + k]
    return total


def factor_diagonal(a: Real, first: int, last: int) -> int:
    """Factor the triangle of rows and columns first ... last, whose columns before `first` are done."""
    for i in range(first, last + 1):
        row = row_offset(i)
        for j in range(first, i):
            above = row_offset(j)
            a[row + j] = (a[row + j] - dot_rows(a, uintp(row), uintp(above), j)) / a[above + j]
        pivot = a[row + i] - dot_rows(a, uintp(row), uintp(row), i)
        if not pivot > 0:
            return i
        a[row + i] = math.sqrt(pivot)
    return -1


def cholesky_packed(a: Real) -> int:
    """Replace a packed positive definite matrix by its Cholesky factor L, in place.

    Returns -1, or the index of the first pivot that is not positive (NaN included), where it stopped.
    """
    d = packed_order(a.size)
    for first in range(0, d, 4):
        last = min(first + 3, d - 1)
        row0, row1 = a[row_offset(first) :], a[row_offset(min(first + 1, last)) :]
        row2, row3 = a[row_offset(min(first + 2, last)) :], a[row_offset(last) :]
        substitute_four(a, 0, first, row0, row1, row2, row3)
        failed = factor_diagonal(a, first, last)
        if failed >= 0:
            return failed
    return -1


def forward_packed(factor: Real, b: Real) -> None:
    """b (m, d): every row becomes L⁻¹ b."""
    m, d = b.shape
    for first in range(0, m, 4):
        last = min(first + 3, m - 1)
        substitute_four(factor, 0, d, b[first], b[min(first + 1, last)], b[min(first + 2, last)], b[last])


def subtract_four(factor: Real, first: int, b: Real, row: int) -> None:
    """b[row, :first] -= Σ_i b[row, i] L[i, :first] over i = first ... first + 3, as far as there are rows."""
    d = b.shape[1]
    zero = factor.dtype.type(0)
    offset0 = uintp(row_offset(first))
    offset1 = uintp(row_offset(min(first + 1, d - 1)))
    offset2 = uintp(row_offset(min(first + 2, d - 1)))
    offset3 = uintp(row_offset(min(first + 3, d - 1)))
    b0 = b[row, first]
    b1 = b[row, first + 1] if first + 1 < d else zero
    b2 = b[row, first + 2] if first + 2 < d else zero
    b3 = b[row, first + 3] if first + 3 < d else zero
    for j in range(uintp(first)):
        b[row, j] -= (b0 * factor[offset0 + j] + b1 * factor[offset1 + j]) + (
            b2 * factor[offset2 + j] + b3 * factor[offset3 + j]
        )


def solve_packed(factor: Real, b: Real) -> None:
    """b (m, d): every row becomes Σ⁻¹ b, with Σ = LLᵀ."""
    forward_packed(factor, b)
    m, d = b.shape
    for first in range((d - 1) // 4 * 4, -1, -4):
        for row in range(m):
            for i in range(min(first + 3, d - 1), first - 1, -1):
                offset = row_offset(i)
                b[row, i] /= factor[offset + i]
                for j in range(first, i):
                    b[row, j] -= b[row, i] * factor[offset + j]
            subtract_four(factor, first, b, row)


def inverse_trace(factor: Real, scratch: Real) -> float:
    """Trace of Σ⁻¹ = ‖L⁻¹‖², for Σ = LLᵀ; `scratch` (t, d), of which min(t, 4) rows are used.

    Four columns of L⁻¹ at a time, each from its own diagonal down: d³/3 operations and no (d, d) array.
    """
    lanes, d = min(scratch.shape[0], 4), scratch.shape[1]
    total = 0.0
    if lanes == 0:
        return total  # seen by the compiler: a step of 0 would raise
    for first in range(0, d, lanes):
        last = min(lanes, d - first) - 1
        for lane in range(last + 1):
            for j in range(first, d):
                scratch[lane, j] = 1.0 if j == first + lane else 0.0
        substitute_four(factor, first, d, scratch[0], scratch[min(1, last)], scratch[min(2, last)], scratch[last])
        for lane in range(last + 1):
            for j in range(first + lane, d):
                total += float(scratch[lane, j]) ** 2
    return total


def sum_squares(a: Real, first: Index, count: int) -> float:
    """Sum of the squares of `count` elements of a flat array from `first`."""
    total = 0.0
    for k in range(uintp(count)):
        value = float(a[first + k])
        total += value * value
    return total


def packed_sums(a: Real, out: F64) -> None:
    """out (2) = trace and squared Frobenius norm of a packed symmetric matrix, summed in float64."""
    trace = diagonal = 0.0
    d = packed_order(a.size)
    for i in range(d):
        value = float(a[row_offset(i) + i])
        trace += value
        diagonal += value * value
    out[0] = trace
    out[1] = 2.0 * sum_squares(a, uintp(0), a.size) - diagonal
