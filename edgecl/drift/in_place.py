"""A detector that is written in place: for values that come one at a time, or that nothing goes back to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecl.drift.detector import Change, Packed, changes_of, finite
from edgecl.errors import DataError

Value = TypeVar("Value", bound=Packed)


class InPlace(Generic[Value]):
    """A detector with its state in arrays of its own, from `in_place` of one; its changes are those of `update`.

    Values are kept until the detector may report a change, for ADWIN its next check, and go through the kernel
    together.

    Examples
    --------
    >>> from edgecl import drift
    >>> watched = drift.Adwin.start().in_place()
    >>> [change for value in [0.0] * 500 + [1.0] * 64 if (change := watched.add(value))]
    [Change(at=511, direction=1, since=256)]
    """

    def __init__(self, start: Value, kernel: Callable[..., None], quiet: Callable[[NDArray[np.float64]], int]) -> None:
        self._start, self._kernel, self._quiet = start, kernel, quiet
        self._state = start.packed.copy()
        self._seen = 0
        self._kept = 0
        self._until = 0
        self._block, self._signals = np.zeros(0), np.zeros(0, np.int32)
        self._one = self._block, self._signals
        self._resume()

    def add(self, value: float) -> Change | None:
        """Watch one value, and return the change that was noticed at it; raises DataError where it is not finite.

        `Change.at` counts all values from 0.
        """
        if not math.isfinite(value):
            raise DataError(f"a detector watches finite numbers, not {value}")
        self._block[self._kept] = value
        self._kept += 1
        if self._kept < self._until:
            return None
        if self._until > 1:
            found = self._flush()
            return found[0] if found else None
        self._kernel(self._state, *self._one)
        self._seen, self._kept = self._seen + 1, 0
        signal = int(self._one[1][0])
        return Change(self._seen - 1, 1 if signal > 0 else -1, abs(signal)) if signal else None

    def extend(self, values: ArrayLike) -> tuple[Change, ...]:
        """Watch values (n,), one after another, as `update` does; `Change.at` counts all values from 0."""
        watched = finite(values)
        if self._kept + len(watched) < self._until:
            self._block[self._kept : self._kept + len(watched)] = watched
            self._kept += len(watched)
            return ()
        block = np.concatenate([self._block[: self._kept], watched])
        signals = np.empty(len(block), np.int32)
        return self._run(block, signals)

    @property
    def seen(self) -> int:
        """Values so far."""
        return self._seen + self._kept

    @property
    def detector(self) -> Value:
        """The detector as a value that is not written to."""
        self._flush()
        return replace(self._start, packed=self._state.copy())

    @property
    def nbytes(self) -> int:
        return self._state.nbytes + self._block.nbytes + self._signals.nbytes

    def _flush(self) -> tuple[Change, ...]:
        return self._run(self._block[: self._kept], self._signals[: self._kept])

    def _run(self, block: NDArray[np.float64], signals: NDArray[np.int32]) -> tuple[Change, ...]:
        self._kernel(self._state, block, signals)
        found = changes_of(signals, first=self._seen)
        self._seen += len(block)
        self._resume()
        return found

    def _resume(self) -> None:
        """Find up to which value nothing can be noticed."""
        self._kept, self._until = 0, self._quiet(self._state)
        if len(self._block) < self._until:
            self._block, self._signals = np.zeros(self._until), np.zeros(self._until, np.int32)
            self._one = self._block[:1], self._signals[:1]
