"""Class statistics of samples that weigh differently, in float64: counts need not be whole."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from edgecl.model.statistics import ClassStatistics


def weighted_statistics(rows: NDArray[np.float64], weight: NDArray[np.float64]) -> ClassStatistics:
    """Return the statistics of rows (n, d) of weights (n,); the count is their sum, and need not be whole."""
    total = weight.sum()
    mean = weight @ rows / total
    centred = rows - mean
    return _statistics(total, mean, _packed(centred.T @ (centred * weight[:, None])))


def combined(one: ClassStatistics, other: ClassStatistics) -> ClassStatistics:
    """Return the statistics of both in float64 (Chan, Golub and LeVeque 1979)."""
    total, apart = one.count + other.count, other.mean - one.mean
    between = _packed(np.outer(apart, apart)) * (one.count * other.count / total)
    return _statistics(total, one.mean + apart * (other.count / total), one.scatter + other.scatter + between)


def _statistics(count: float, mean: NDArray[np.float64], scatter: NDArray[np.float64]) -> ClassStatistics:
    """Return class statistics of a real count and a float64 scatter, which the closed form takes as it is."""
    return ClassStatistics(cast("int", count), mean, cast("NDArray[np.float32]", scatter))


def _packed(square: NDArray[np.float64]) -> NDArray[np.float64]:
    packed: NDArray[np.float64] = square[np.tril_indices(len(square))]
    return packed
