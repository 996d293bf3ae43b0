"""Scatter matrix XᵀX, added to a packed triangle."""

from __future__ import annotations

from numpy import uintp

from edgecl_kernels._types import F32, Real


def add_outer(x: F32, b0: int, i: int, packed: Real) -> None:
    """Row i of packed += Σ_b x[b, i] x[b, :i + 1] over rows b0 ... b0 + 7.

    A short block repeats its last row with weight 0. The sum is taken in the type of `packed`.
    """
    end = x.shape[0]
    b1, b2, b3 = min(b0 + 1, end - 1), min(b0 + 2, end - 1), min(b0 + 3, end - 1)
    b4, b5 = min(b0 + 4, end - 1), min(b0 + 5, end - 1)
    b6, b7 = min(b0 + 6, end - 1), min(b0 + 7, end - 1)
    kind = packed.dtype.type
    zero = kind(0)
    a0 = kind(x[b0, i])
    a1 = kind(x[b1, i]) if b0 + 1 < end else zero
    a2 = kind(x[b2, i]) if b0 + 2 < end else zero
    a3 = kind(x[b3, i]) if b0 + 3 < end else zero
    a4 = kind(x[b4, i]) if b0 + 4 < end else zero
    a5 = kind(x[b5, i]) if b0 + 5 < end else zero
    a6 = kind(x[b6, i]) if b0 + 6 < end else zero
    a7 = kind(x[b7, i]) if b0 + 7 < end else zero
    offset = uintp(i * (i + 1) // 2)
    for j in range(uintp(i + 1)):
        packed[offset + j] += (
            (a0 * x[b0, j] + a1 * x[b1, j])
            + (a2 * x[b2, j] + a3 * x[b3, j])
            + (a4 * x[b4, j] + a5 * x[b5, j])
            + (a6 * x[b6, j] + a7 * x[b7, j])
        )


def scatter_update(x: F32, packed: Real) -> None:
    """packed (d(d+1)/2) += XᵀX for x (n, d); row i of the packed lower triangle begins at i(i+1)/2.

    Rows are taken eight at a time, so that the triangle is read and written once for eight. Two packed rows
    at a time, or 32 samples to a packed row, were no faster below D = 2500.
    """
    for b in range(0, x.shape[0], 8):
        for i in range(x.shape[1]):
            add_outer(x, b, i, packed)
