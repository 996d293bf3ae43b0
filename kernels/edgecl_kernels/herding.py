"""Herding: the order in which a class keeps its exemplars."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import uintp

from edgecl_kernels._types import F32, I32

_ZERO = np.float32(0)
_ONE = np.float32(1)
_TWO = np.float32(2)


def centred_product(x: F32, row: int, other: int, target: F32, first: int) -> Any:
    """Dot product of two rows of x, seen from target, over the columns from `first` on.

    Subtracting first keeps float32 enough where rows are far from the origin and near each other.
    """
    total = _ZERO
    for d in range(uintp(first), uintp(target.shape[0])):
        total += (x[row, d] - target[d]) * (x[other, d] - target[d])
    return total


def add_centred_products(x: F32, other: int, target: F32, scratch: F32, backwards: bool) -> None:
    """Add the products of every row with another to scratch[1]; compiled, it is `_simd`'s.

    There rows are taken from the last to the first where `backwards`: they begin in the cache, if the time before ended
    with them.
    """
    for i in range(x.shape[0]):
        scratch[1, i] += centred_product(x, i, other, target, 0)


def lowest(scratch: F32) -> int:
    """Index of the lowest score among the rows not taken; the first of equals."""
    best, best_score = -1, _ZERO
    for i in range(scratch.shape[1]):
        if scratch[2, i] > _ZERO:
            continue
        score = scratch[0, i] + _TWO * scratch[1, i]
        if best < 0 or score < best_score:
            best, best_score = i, score
    return best


def herding_order(x: F32, target: F32, scratch: F32, order: I32) -> None:
    """order (m) = distinct rows of x (n, D) whose running mean stays nearest to target (D); m <= n.

    Algorithm 4 of iCaRL (Rebuffi et al. 2017): pick k minimises `‖target - (x_i + Σ_j<k x_j)/k‖`. With
    z = x - target that is `‖z_i‖² + 2 z_i·Σ_j<k z_j`, so `scratch` (3, n) keeps ‖z_i‖², z_i·Σ_j z_j and 1 for a
    row once taken. O(nD) a pick; of equals the lowest index.
    """
    n = x.shape[0]
    for i in range(n):
        scratch[0, i] = centred_product(x, i, i, target, 0)
        scratch[1, i] = _ZERO
        scratch[2, i] = _ZERO
    for k in range(order.shape[0]):
        best = lowest(scratch)
        order[k] = best
        scratch[2, best] = _ONE
        if k + 1 < order.shape[0]:
            add_centred_products(x, best, target, scratch, k % 2 == 0)
