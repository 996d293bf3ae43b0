"""What is summed without anybody seeing a single device's part: all classes of a device as one bounded vector.

Masks that cancel in the sum hide vectors, not sizes: every device sends all labels that were agreed, zeros for those
that it lacks. Sums are of raw moments, n, Σx and Σxxᵀ, divided by an agreed bound, so that latents of length 1 give
entries of at most 1. Nobody can screen what nobody sees.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, SettingError
from edgecl.model.statistics import ClassStatistics, packed_length, square
from edgecl.sharing.sums import Sums, outer

FEWEST = 3  # devices of a secure sum: of two, each sees the other's part
MODULUS_BITS = 32  # of Flower's SecAgg+
MOST_LEVEL_BITS = 26
LARGEST_BOUND = 1_000_000


@dataclass(frozen=True)
class Agreement:
    """What all devices have to agree on before a secure sum.

    Examples
    --------
    >>> agreed = Agreement(("no", "yes"), dimension=1, bound=8)
    >>> vector = agreed.vector({"yes": ClassStatistics(2, np.array([0.5]), np.array([0.1], np.float32))})
    >>> agreed.statistics(vector)["yes"].count
    2
    """

    labels: tuple[str, ...]
    dimension: int
    bound: int
    """Most samples of a class at a device; of more it weighs as so many."""

    def __post_init__(self) -> None:
        if not self.labels or sorted(set(self.labels)) != list(self.labels):
            raise SettingError("the labels of a secure sum are wanted in order, each once")
        if not 0 < self.bound <= LARGEST_BOUND:
            raise SettingError(f"a bound of {self.bound} samples: wanted 1 to {LARGEST_BOUND:,}")

    @property
    def length(self) -> int:
        """Entries of a vector."""
        return len(self.labels) * self.width

    @property
    def width(self) -> int:
        """Entries of a class: count, sum and packed second moment."""
        return 1 + self.dimension + packed_length(self.dimension)

    def stated(self) -> str:
        """Return it as JSON."""
        return json.dumps({"labels": self.labels, "dimension": self.dimension, "bound": self.bound})

    @staticmethod
    def of(stated: str) -> Agreement:
        """Return what was stated; raises DataError where it is none."""
        try:
            match json.loads(stated):
                case {"labels": list(labels), "dimension": int(dimension), "bound": int(bound)}:
                    return Agreement(tuple(map(str, labels)), dimension, bound)
        except ValueError:
            pass
        raise DataError("what is to be summed is not stated as edgecl states it: update edgecl on all devices")

    def capped(self, statistics: Mapping[str, ClassStatistics]) -> dict[str, ClassStatistics]:
        """Return the classes that were agreed, none of more samples than the bound."""
        return {label: one.decayed(self.bound) for label, one in statistics.items() if label in self.labels}

    def vector(self, statistics: Mapping[str, ClassStatistics]) -> NDArray[np.float64]:
        """Return a device's part, with entries from -1 to 1.

        Raises
        ------
        DataError
            When an entry is larger: the features are not of length 1.
        """
        rows = np.zeros((len(self.labels), self.width))
        for label, one in self.capped(statistics).items():
            second = one.scatter + one.count * outer(one.mean)
            rows[self.labels.index(label)] = [one.count, *(one.count * one.mean), *second]
        rows /= self.bound
        if np.abs(rows).max() > 1:
            raise DataError("secure sums are for latents of length 1, without projection, lift or centre")
        return rows.ravel()

    def statistics(self, total: NDArray[np.floating]) -> dict[str, ClassStatistics]:
        """Return the classes of a sum of vectors; those of no sample are missing."""
        rows = total.reshape(len(self.labels), self.width).astype(np.float64) * self.bound
        found = {}
        for label, row in zip(self.labels, rows, strict=True):
            count = round(float(row[0]))
            if count < 1:
                continue
            mean = row[1 : 1 + self.dimension] / count
            scatter = row[1 + self.dimension :] - count * outer(mean)
            found[label] = ClassStatistics(count, mean, scatter.astype(np.float32))
        return found


def levels(devices: int) -> int:
    """Return the levels of a quantised entry: as fine as sums of so many devices stay below the modulus.

    >>> levels(5) == 1 << 26, levels(1000) == 1 << 22
    (True, True)
    """
    if devices < FEWEST:
        raise SettingError(f"{devices} devices: a secure sum is of {FEWEST} or more, of two each sees the other's part")
    return 1 << min(MOST_LEVEL_BITS, MODULUS_BITS - ceil(log2(devices + 1)))


def others_of(total: Mapping[str, ClassStatistics], own: Mapping[str, ClassStatistics]) -> dict[str, ClassStatistics]:
    """Return a secure sum without one's own part, with scatters that samples can have."""
    sums = Sums()
    sums.add(total)
    return {label: _positive(one) for label, one in sums.without(own).items()}


def _positive(one: ClassStatistics) -> ClassStatistics:
    """Return a class without the negative eigenvalues that quantising has left in its scatter."""
    values, vectors = np.linalg.eigh(square(one.scatter, one.dimension).astype(np.float64))
    whole = (vectors * np.maximum(values, 0)) @ vectors.T
    return ClassStatistics(one.count, one.mean, whole[np.tril_indices(one.dimension)].astype(np.float32))


def agreed_labels(given: Sequence[str]) -> tuple[str, ...]:
    """Return labels as a store writes them, in order; raises DataError for one that no lesson would take."""
    from edgecl.operations.data import checked_label

    return tuple(sorted({checked_label(one, "the labels of a secure sum") for one in given}))
