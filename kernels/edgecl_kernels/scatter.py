"""Scatter matrix XᵀX, added to a packed triangle."""

from __future__ import annotations

from numpy import uintp

from edgecl_kernels._types import F32, Real


def add_eight(x: F32, b: int, i: int, packed: Real) -> None:
    """Row i of packed += Σ_k x[k, i] x[k, :i + 1] over rows b ... b + 7, summed in the type of `packed`."""
    kind = packed.dtype.type
    b1, b2, b3, b4, b5, b6, b7 = b + 1, b + 2, b + 3, b + 4, b + 5, b + 6, b + 7
    a0, a1, a2, a3 = kind(x[b, i]), kind(x[b1, i]), kind(x[b2, i]), kind(x[b3, i])
    a4, a5, a6, a7 = kind(x[b4, i]), kind(x[b5, i]), kind(x[b6, i]), kind(x[b7, i])
    offset = uintp(i * (i + 1) // 2)
    for j in range(uintp(i + 1)):
        packed[offset + j] += (
            (a0 * x[b, j] + a1 * x[b1, j])
            + (a2 * x[b2, j] + a3 * x[b3, j])
            + (a4 * x[b4, j] + a5 * x[b5, j])
            + (a6 * x[b6, j] + a7 * x[b7, j])
        )


def add_single(x: F32, b: int, i: int, packed: Real) -> None:
    """Row i of packed += x[b, i] x[b, :i + 1]."""
    factor = packed.dtype.type(x[b, i])
    offset = uintp(i * (i + 1) // 2)
    for j in range(uintp(i + 1)):
        packed[offset + j] += factor * x[b, j]


def scatter_update(x: F32, packed: Real) -> None:
    """packed (d(d+1)/2) += XᵀX for x (n, d); row i of the packed lower triangle begins at i(i+1)/2.

    Rows are taken eight at a time, so that the triangle is read and written once for eight; those left over
    one by one. Two packed rows at a time, or 32 samples to a packed row, were no faster below D = 2500.
    """
    n, d = x.shape
    for b in range(0, n - 7, 8):
        for i in range(d):
            add_eight(x, b, i, packed)
    for b in range(n - n % 8, n):
        for i in range(d):
            add_single(x, b, i, packed)
