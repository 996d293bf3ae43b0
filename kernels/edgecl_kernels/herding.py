"""Herding: the order in which a class keeps its exemplars."""

from __future__ import annotations

import numpy as np
from numpy import uintp

from edgecl_kernels._types import F32, I32

_ZERO = np.float32(0)
_TWO = np.float32(2)
_TAKEN = np.float32(-1)


def dot_product(x: F32, row: int, y: F32, other: int) -> np.float32:
    """Dot product of row `row` of x and row `other` of y."""
    total = _ZERO
    for d in range(uintp(x.shape[1])):
        total += x[row, d] * y[other, d]
    return total


def squared_distance(x: F32, row: int, target: F32) -> np.float32:
    """Squared distance of a row of x from target."""
    total = _ZERO
    for d in range(uintp(x.shape[1])):
        difference = x[row, d] - target[d]
        total += difference * difference
    return total


def lowest(scratch: F32) -> int:
    """Index of the lowest score among the rows not taken; the first of equals."""
    best, best_score = -1, _ZERO
    for i in range(scratch.shape[1]):
        if scratch[0, i] < _ZERO:
            continue
        score = scratch[0, i] + _TWO * scratch[2, i]
        if best < 0 or score < best_score:
            best, best_score = i, score
    return best


def herding_order(x: F32, target: F32, scratch: F32, order: I32) -> None:
    """order (m) = distinct rows of x (n, D) whose running mean stays nearest to target (D); m <= n.

    Algorithm 4 of iCaRL (Rebuffi et al. 2017): pick k minimises `‖target - (x_i + Σ_j<k x_j)/k‖`. With
    z = x - target that is `‖z_i‖² + 2 z_i·Σ_j<k z_j`, so `scratch` (3, n) keeps ‖z_i‖² (-1 once taken),
    x_i·target and z_i·Σ_j z_j. O(nD) a pick; of equals the lowest index.
    """
    wide = target.reshape(1, target.size)
    level = dot_product(wide, 0, wide, 0)
    for i in range(x.shape[0]):
        scratch[0, i] = squared_distance(x, i, target)
        scratch[1, i] = dot_product(x, i, wide, 0)
        scratch[2, i] = _ZERO
    for k in range(order.shape[0]):
        best = lowest(scratch)
        order[k] = best
        scratch[0, best] = _TAKEN
        for i in range(x.shape[0]):
            scratch[2, i] += dot_product(x, i, x, best) - scratch[1, i] - scratch[1, best] + level
