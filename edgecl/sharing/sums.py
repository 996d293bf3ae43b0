"""Sums over many devices: one device after the other, in memory for one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edgecl.model.statistics import ClassStatistics, diagonal

NOTHING = 1e-12  # of the trace of a sum: what is left of it is rounding


class Sums:
    """Count, mean and scatter of each class over all devices that were added, in float64.

    Bytes: 8 (d + d(d+1)/2) a class, for any number of devices.

    Examples
    --------
    >>> one = ClassStatistics(2, np.array([1.0]), np.array([2.0], np.float32))
    >>> sums = Sums()
    >>> sums.add({"yes": one})
    >>> sums.add({"yes": one})
    >>> sums.statistics()["yes"].count, float(sums.statistics()["yes"].scatter[0])
    (4, 4.0)
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._means: dict[str, NDArray[np.float64]] = {}
        self._scatters: dict[str, NDArray[np.float64]] = {}
        self.devices = 0

    @property
    def nbytes(self) -> int:
        """Bytes that the sums take."""
        return sum(one.nbytes for one in (*self._means.values(), *self._scatters.values()))

    def add(self, statistics: Mapping[str, ClassStatistics]) -> None:
        """Add what a device has shared (Chan, Golub and LeVeque 1979)."""
        self.devices += 1
        for label, one in statistics.items():
            if label not in self._counts:
                self._counts[label], self._means[label] = one.count, one.mean.astype(np.float64)
                self._scatters[label] = one.scatter.astype(np.float64)
                continue
            before = self._counts[label]
            count, delta = before + one.count, one.mean - self._means[label]
            self._scatters[label] += one.scatter
            self._scatters[label] += (before * one.count / count) * outer(delta)
            self._means[label] = self._means[label] + delta * (one.count / count)
            self._counts[label] = count

    def statistics(self) -> dict[str, ClassStatistics]:
        """Return the sum of all devices."""
        return self.without({})

    def without(self, statistics: Mapping[str, ClassStatistics]) -> dict[str, ClassStatistics]:
        """Return the sum of all devices but one that was added; classes of that one alone are missing."""
        found = {}
        for label in sorted(self._counts):
            one, count = statistics.get(label), self._counts[label]
            mean, scatter = self._means[label], self._scatters[label]
            if one is not None:
                count -= one.count
                if count < 1:
                    continue
                mean = mean + (mean - one.mean) * (one.count / count)
                between = (count * one.count / (count + one.count)) * outer(one.mean - mean)
                scatter = scatter - one.scatter - between
                where = diagonal(len(mean))
                if scatter[where].sum() <= NOTHING * self._scatters[label][where].sum():
                    scatter = np.zeros_like(scatter)  # of a single sample, say: rounding may be negative
            found[label] = ClassStatistics(count, mean, scatter.astype(np.float32))
        return found


@cache
def triangle(dimension: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of a packed lower triangle; made once, since a server needs them for every class."""
    return np.tril_indices(dimension)


def outer(delta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the packed lower triangle of δδᵀ."""
    rows, columns = triangle(len(delta))
    packed: NDArray[np.float64] = delta[rows] * delta[columns]
    return packed
