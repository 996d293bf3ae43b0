"""Columns whose tail is so heavy that their spread says nothing of most values, such as amounts and bytes.

Scaled by its spread, all but the largest values of such a column are one value. It is read by ranks instead: the values
at some ranks of the first rows become those of a normal distribution, and what is between them lies on a line.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

JUDGED_ROWS = 128  # first rows that a column is judged by
HEAVY = 12.0  # kurtosis from which a tail is heavy: 3 of a normal distribution, 9 of an exponential one
MOST_ALIKE = 0.5  # of the values: with fewer different ones a column is counts or flags
# ranks of the knots, in rows from either end, and the normal deviate of each
_RANKS = (0, 2, 6, 14, 26, 42)
_DEVIATES = (2.66, 2.06, 1.64, 1.21, 0.82, 0.43)
DEVIATES = np.array([*(-one for one in _DEVIATES), 0.0, *reversed(_DEVIATES)])
LARGEST = 4.0  # beyond the last knot a line goes on until here


def knots_of(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the values (p, len(DEVIATES)) that stand for DEVIATES by rows (JUDGED_ROWS, p).

    Zeros for a column without a heavy tail; no rows (0, len(DEVIATES)) where none has one.
    """
    values = np.sort(rows.astype(np.float64), axis=0)
    apart = np.square(values - values.mean(axis=0))
    spread = np.square(apart.mean(axis=0))
    kurtosis = np.divide(np.square(apart).mean(axis=0), spread, out=np.zeros(rows.shape[1]), where=spread > 0)
    different = 1 + (np.diff(values, axis=0) > 0).sum(axis=0)
    is_heavy = (kurtosis > HEAVY) & (different > MOST_ALIKE * len(rows))
    if not is_heavy.any():
        return np.zeros((0, len(DEVIATES)))
    last = len(rows) - 1
    ranks = [*_RANKS, last // 2, *(last - one for one in reversed(_RANKS))]
    return np.where(is_heavy[:, None], values[ranks].T, 0.0)


def deviates(values: NDArray[np.float32], knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return normal deviates (n,) of the values (n,) of one column by its knots."""
    at = np.clip(np.searchsorted(knots, values, side="right") - 1, 0, len(knots) - 2)
    width = knots[at + 1] - knots[at]
    steps = np.divide(values - knots[at], width, out=np.zeros(len(values)), where=width > 0)
    found_at: NDArray[np.float64] = DEVIATES[at] + steps * (DEVIATES[at + 1] - DEVIATES[at])
    return found_at.clip(-LARGEST, LARGEST)
