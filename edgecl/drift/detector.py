"""Drift: detect whether a mean has changed, in which direction and since when.

Watched are prequential errors (0 or 1) where labels come, else `outlier_scores`, how far samples lie outside what is known.
A detector is a frozen value; an update gives a `DriftSignal` with the detector that comes after it.
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
    """Index, among the values given, of the one at which it was noticed."""
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
    """In the order of their values."""

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
        raise DataError(f"a detector watches finite numbers, one after another; it was given {watched}")
    after, told = packed.copy(), np.empty(len(watched), np.int32)
    kernel(after, watched, told)
    found = np.flatnonzero(told)
    return after, tuple(Change(int(at), int(np.sign(told[at])), abs(int(told[at]))) for at in found)


def require_setting(is_right: bool, complaint: str) -> None:
    if not is_right:
        raise SettingError(complaint)
