"""Drift: detect whether a mean has changed, in which direction and since when.

Detectors watch prequential errors (0 or 1) where labels arrive, else outlier scores of the samples.
A detector is a frozen value; an update returns a `DriftSignal` with the detector that comes after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecl.errors import DataError, SettingError


@dataclass(frozen=True)
class Change:
    """A change of the mean."""

    at: int
    """Index of the value at which it was noticed."""
    direction: int
    """1: it rose, -1: it fell."""
    since: int
    """The latest values that belong together: those after the change, and some before where these are few."""


@dataclass(frozen=True)
class DriftSignal:
    """The result of an update."""

    detector: Detector
    """The one to go on with."""
    changes: tuple[Change, ...]
    """Changes in the order of their values."""

    @property
    def has_drifted(self) -> bool:
        return bool(self.changes)


class Detector(Protocol):
    """A detector of changes of a mean."""

    def update(self, values: ArrayLike) -> DriftSignal:
        """Watch values (n,), one after another; raises DataError where one is not finite."""

    @property
    def nbytes(self) -> int: ...


def run_detector(
    kernel: Callable[..., None], packed: NDArray[np.float64], values: ArrayLike
) -> tuple[NDArray[np.float64], tuple[Change, ...]]:
    watched = np.array(values, np.float64, ndmin=1)
    if watched.ndim != 1 or not np.isfinite(watched).all():
        raise DataError(f"a detector watches finite numbers, one after another, not {watched}")
    after, signals = packed.copy(), np.empty(len(watched), np.int32)
    kernel(after, watched, signals)
    found = np.flatnonzero(signals)
    return after, tuple(Change(int(at), int(np.sign(signals[at])), abs(int(signals[at]))) for at in found)


def require_setting(is_right: bool, complaint: str) -> None:
    if not is_right:
        raise SettingError(complaint)
