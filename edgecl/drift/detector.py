"""Drift: detect whether a mean has changed, in which direction and since when.

Detectors watch prequential errors (0 or 1) where labels arrive, else outlier scores of the samples.
A detector is a frozen value; an update returns a `DriftSignal` with the detector that comes after it. `in_place` of
one is for a loop: it writes its own state, and costs a tenth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

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


class Packed(Protocol):
    """A frozen dataclass with the state of a detector as a kernel has it."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def packed(self) -> NDArray[np.float64]: ...


def run_detector(
    kernel: Callable[..., None], packed: NDArray[np.float64], values: ArrayLike
) -> tuple[NDArray[np.float64], tuple[Change, ...]]:
    watched = finite(values)
    after, signals = packed.copy(), np.empty(len(watched), np.int32)
    kernel(after, watched, signals)
    return after, changes_of(signals)


def finite(values: ArrayLike) -> NDArray[np.float64]:
    """Return values as (n,) of their own; raises DataError where one is not finite."""
    watched = np.array(values, np.float64, ndmin=1)
    if watched.ndim != 1 or not np.isfinite(watched).all():
        raise DataError(f"a detector watches finite numbers, one after another, not {watched}")
    return watched


def changes_of(signals: NDArray[np.int32], *, first: int = 0) -> tuple[Change, ...]:
    """Return the changes that a kernel reports, counted from `first`."""
    if not signals.any():
        return ()
    found = np.flatnonzero(signals)
    return tuple(Change(first + int(at), int(np.sign(signals[at])), abs(int(signals[at]))) for at in found)


def require_setting(is_right: bool, complaint: str) -> None:
    if not is_right:
        raise SettingError(complaint)
