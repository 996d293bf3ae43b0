"""Drift: whether the mean of what is watched has changed, which way, and since when.

Watched are prequential errors (0 or 1) where labels come, else `surprise`, how far samples lie outside what is known.
A detector is a frozen value; an update gives a `DriftSignal` with the detector that comes after it.

Examples
--------
>>> signal = Adwin.start().update([0.0] * 500 + [1.0] * 64)
>>> signal.changes
(Change(at=511, direction=1, since=256),)
>>> signal.detector.update([1.0] * 100).has_drifted
False
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecl.errors import DataError, SettingError

BUCKETS = 5  # of each size, as in the paper's experiments
ROWS = 26  # sizes of buckets: windows of up to 5 * 2^26 values in 2.8 KiB


@dataclass(frozen=True)
class Change:
    """A change of the mean."""

    at: int  # index, among the values given, of the one at which it was noticed
    direction: int  # 1: it rose, -1: it fell
    since: int  # the latest values that belong together: those after the change, and some before where these are few


@dataclass(frozen=True)
class DriftSignal:
    """What an update has shown."""

    detector: Detector  # the one to go on with
    changes: tuple[Change, ...]  # in the order of their values

    @property
    def has_drifted(self) -> bool:
        return bool(self.changes)


class Detector(Protocol):
    """Something that watches a mean."""

    def update(self, values: ArrayLike) -> DriftSignal:
        """Watch values (n,), one after another; raises DataError where one is not finite."""

    @property
    def nbytes(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Adwin:
    """Adaptive windowing (Bifet and Gavaldà 2007): cuts the window where its two parts differ significantly.

    With the same settings its alarms are those of River's ADWIN: `tools/drift_table` compares them.
    """

    packed: NDArray[np.float64]  # (1 + ROWS, 3 + 2 BUCKETS), see kernels.adwin_update

    @staticmethod
    def start(*, delta: float = 0.002, clock: int = 32, shortest: int = 5, grace: int = 10) -> Adwin:
        """A detector that has seen nothing.

        Parameters
        ----------
        delta
            Chance of a false alarm at a check, as the paper bounds it for values of [0, 1]; above 0, below 1.
        clock
            Values from check to check, 1 or more.
        shortest
            Values that a part of a cut must have, 1 or more.
        grace
            Values up to which nothing is checked, 3 or more.

        Raises
        ------
        SettingError
            When one is out of its range.
        """
        _require(0 < delta < 1, f"delta is {delta}, wanted above 0 and below 1")
        _require(clock >= 1 and shortest >= 1, f"clock {clock} and shortest {shortest}, wanted 1 or more")
        _require(grace >= 3, f"grace is {grace}, wanted 3 or more")
        packed = np.zeros((1 + ROWS, 3 + 2 * BUCKETS))
        packed[0, 4:8] = delta, clock, shortest, grace
        return Adwin(packed)

    @property
    def nbytes(self) -> int:
        return self.packed.nbytes

    @property
    def width(self) -> int:
        """Values in the window."""
        return int(self.packed[0, 0])

    @property
    def mean(self) -> float:
        """Of the window; 0 where it is empty."""
        return float(self.packed[0, 1] / max(self.packed[0, 0], 1))

    def update(self, values: ArrayLike) -> DriftSignal:
        packed, changes = _run(kernels.adwin_update, self.packed, values)
        return DriftSignal(Adwin(packed), changes)


@dataclass(frozen=True, eq=False)
class PageHinkley:
    """The Page-Hinkley test (Page 1954): a cumulative sum that has left its extreme by more than a threshold."""

    packed: NDArray[np.float64]  # (12,), see kernels.page_hinkley_update

    @staticmethod
    def start(*, delta: float = 0.005, threshold: float = 50.0, alpha: float = 0.9999, grace: int = 30) -> PageHinkley:
        """A detector that has seen nothing.

        Parameters
        ----------
        delta
            Change of the mean that is put up with, 0 or more.
        threshold
            Of the sums, in units of the values; above 0.
        alpha
            What is kept of a sum at each value, above 0 and at most 1.
        grace
            Values from which on changes are told, 1 or more.

        Raises
        ------
        SettingError
            When one is out of its range.
        """
        _require(delta >= 0 and threshold > 0, f"delta {delta} and threshold {threshold}, wanted 0 or more, above 0")
        _require(0 < alpha <= 1, f"alpha is {alpha}, wanted above 0 and at most 1")
        _require(grace >= 1, f"grace is {grace}, wanted 1 or more")
        packed = np.zeros(12)
        packed[8:] = delta, threshold, alpha, grace
        return PageHinkley(packed)

    @property
    def nbytes(self) -> int:
        return self.packed.nbytes

    def update(self, values: ArrayLike) -> DriftSignal:
        packed, changes = _run(kernels.page_hinkley_update, self.packed, values)
        return DriftSignal(PageHinkley(packed), changes)


def surprise(squared_distances: NDArray[np.floating], *, usual: float) -> NDArray[np.float64]:
    """Squared Mahalanobis distances (n, C) to the class means as values (n,) of [0, 1) that a detector can watch.

    The nearest class counts; a sample at the `usual` squared distance, above 0, gives one half. Bounded, because
    ADWIN's guarantee is for bounded values, and one broken sensor reading must not hide a window of sound ones.
    """
    nearest = squared_distances.min(axis=1).astype(np.float64)
    bounded: NDArray[np.float64] = nearest / (nearest + usual)
    return bounded


def _run(
    kernel: Callable[..., None], packed: NDArray[np.float64], values: ArrayLike
) -> tuple[NDArray[np.float64], tuple[Change, ...]]:
    watched = np.array(values, np.float64, ndmin=1)
    if watched.ndim != 1 or not np.isfinite(watched).all():
        raise DataError(f"a detector watches finite numbers, one after another; it was given {watched}")
    after, told = packed.copy(), np.empty(len(watched), np.int32)
    kernel(after, watched, told)
    found = np.flatnonzero(told)
    return after, tuple(Change(int(at), int(np.sign(told[at])), abs(int(told[at]))) for at in found)


def _require(is_right: bool, complaint: str) -> None:
    if not is_right:
        raise SettingError(complaint)
