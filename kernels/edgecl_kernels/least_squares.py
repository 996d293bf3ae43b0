"""Recursive least squares with exponential forgetting, the inverse kept as a packed triangle of bounded trace.

Where rows do not excite a direction, forgetting makes the inverse grow there without end. Scaling all of it down takes
the forgetting back in every direction (a forgetting of 0.999 fell from 82.6 to 80.2 % on the first rows of elec2).
Instead, every few rows one column in turn is excited a little, which bounds each direction by itself.
"""

from __future__ import annotations

import math

from numpy import uintp

from edgecl_kernels._types import F32, F64, I32

# settings of a learner, and where it is
FORGETTING, START, TICK, COLUMN = range(4)
EXCITED_EVERY = 4  # rows


def load_row(x: F32, row: int, work: F64) -> None:
    """work[0] = x[row]."""
    for k in range(uintp(x.shape[1])):
        work[0, k] = x[row, k]


def packed_product(packed: F64, work: F64) -> None:
    """work[1] = P work[0] for a symmetric P of which `packed` holds the lower triangle, row after row."""
    at = uintp(0)
    for a in range(uintp(work.shape[1])):
        value, total = work[0, a], 0.0
        for b in range(a):
            total += packed[at + b] * work[0, b]
            work[1, b] += packed[at + b] * value
        work[1, a] = total + packed[at + a] * value
        at += a + uintp(1)


def restart_inverse(packed: F64, dimension: int, start: float) -> None:
    """P = start I."""
    at = 0
    for a in range(dimension):
        for b in range(a):
            packed[at + b] = 0.0
        packed[at + a] = start
        at += a + 1


def shrink_inverse(packed: F64, work: F64, scale: float, factor: float) -> None:
    """P = factor (P - scale (P x)(P x)ᵀ)."""
    at = uintp(0)
    for a in range(uintp(work.shape[1])):
        step = scale * work[1, a]
        for b in range(a + uintp(1)):
            packed[at + b] = factor * (packed[at + b] - step * work[1, b])
        at += a + uintp(1)


def excite_column(packed: F64, column: int, strength: float, work: F64) -> None:
    """Take in a row that is strength times the unit of a column, and says nothing of the weights."""
    at = (column * (column + 1)) // 2
    for b in range(column + 1):
        work[1, b] = strength * packed[at + b]
    for a in range(column + 1, work.shape[1]):
        work[1, a] = strength * packed[(a * (a + 1)) // 2 + column]
    shrink_inverse(packed, work, 1.0 / (1.0 + strength * work[1, column]), 1.0)


def least_squares_scores(work: F64, weights: F64, c: int) -> float:
    """Product of work[0] and the weights of a class."""
    total = 0.0
    for k in range(uintp(work.shape[1])):
        total += work[0, k] * weights[c, k]
    return total


def least_squares_step(label: int, classes: int, scale: float, work: F64, weights: F64) -> None:
    """w += (onehot - w x) scale P x for every class."""
    for c in range(classes):
        error = (1.0 if c == label else 0.0) - least_squares_scores(work, weights, c)
        for k in range(uintp(work.shape[1])):
            weights[c, k] += error * scale * work[1, k]


def least_squares_learn(
    x: F32, row: int, label: int, weight: float, classes: int, settings: F64, weights: F64, packed: F64, work: F64
) -> None:
    """Take in the label of a row: see `least_squares_steps`."""
    load_row(x, row, work)
    packed_product(packed, work)
    spread = 0.0
    for k in range(uintp(work.shape[1])):
        spread += work[0, k] * work[1, k]
    if not 0.0 <= spread < 1e12:  # rounding has spoiled the inverse: its weights stay
        restart_inverse(packed, work.shape[1], settings[START])
        return
    forgetting = settings[FORGETTING]
    scale = weight / (forgetting + weight * spread)
    least_squares_step(label, classes, scale, work, weights)
    shrink_inverse(packed, work, scale, 1.0 / forgetting)
    settings[TICK] += 1
    if forgetting < 1.0 and settings[TICK] >= EXCITED_EVERY:
        settings[TICK] = 0.0
        column = int(settings[COLUMN])
        settings[COLUMN] = (column + 1) % work.shape[1]
        strength = math.sqrt(EXCITED_EVERY * work.shape[1] * (1.0 - forgetting) / settings[START])
        excite_column(packed, column, strength, work)


def least_squares_steps(x: F32, labels: I32, settings: F64, weights: F64, packed: F64, work: F64, out: F64) -> None:
    """out (n, C) = W x, each row answered before its label is taken in.

    x (n, d), labels (n) below C. `settings`: forgetting λ, the diagonal s that P starts with and that bounds it,
    rows since a column was excited, and which is next. `weights` (C, d) and `packed` (d(d + 1)/2), the lower triangle
    of P, are written in place:

        k = P x/(λ + xᵀP x),    W += (onehot - W x) kᵀ,    P = (P - k (P x)ᵀ)/λ

    and of every EXCITED_EVERY rows the last excites a column in turn with x = √(EXCITED_EVERY d (1 - λ)/s) e, whose
    onehot is W x. `work` (2, d) is overwritten. A P that rounding has spoiled starts again.
    """
    for row in range(x.shape[0]):
        load_row(x, row, work)
        for c in range(out.shape[1]):
            out[row, c] = least_squares_scores(work, weights, c)
        least_squares_learn(x, row, labels[row], 1.0, out.shape[1], settings, weights, packed, work)
