"""Scatter matrix XᵀX, added to a packed triangle."""

from __future__ import annotations

from numpy import uintp

from edgecl_kernels._types import F32, Real

_ROWS = 16  # of a block; of 32 rows of 1536 columns, too many share a line of the first-level cache


def add_corner(x: F32, first: int, last: int, column: int, packed: Real) -> None:
    """Rows first ... last - 1 of packed += XᵀX from `column` on, summed in the type of `packed`."""
    kind = packed.dtype.type
    for i in range(first, last):
        offset = uintp(i * (i + 1) // 2)
        for j in range(uintp(column), uintp(i + 1)):
            total = kind(0)
            for b in range(x.shape[0]):
                total += kind(x[b, i]) * kind(x[b, j])
            packed[offset + j] += total


def add_scatter(x: F32, packed: Real) -> None:
    """packed += XᵀX for a block of rows; compiled, it is `_simd`'s."""
    add_corner(x, 0, x.shape[1], 0, packed)


def scatter_update(x: F32, packed: Real) -> None:
    """packed (d(d+1)/2) += XᵀX for x (n, d); row i of the packed lower triangle begins at i(i+1)/2.

    The triangle is read and written once for a block of rows.
    """
    for first in range(0, x.shape[0], _ROWS):
        add_scatter(x[first : min(first + _ROWS, x.shape[0])], packed)
