"""Rows with uneven timestamps to samples at the contract's rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecl.sources.csv_rows import Row
from edgecl.sources.interpolation import interpolate

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract


# A longer pause breaks the recording; a shorter one (a lost row or three) is bridged by a straight line.
GAP_STEPS = 5


class Resampled(NamedTuple):
    """Samples at the contract's rate."""

    signal: NDArray[np.float32]
    """(n, channels)."""
    lines: NDArray[np.int64]
    """(n,) of the rows that they come from."""


class Resampler:
    """Resamples rows of one unbroken stretch, with any jitter of their times, to the contract's rate.

    Attributes
    ----------
    made
        Samples so far.
    """

    def __init__(self, first: Row, contract: Contract, *, step_s: float) -> None:
        self._first = first
        self._step_s = step_s
        self._new_step_s = 1 / contract.sample_rate_hz
        self._gap_s = GAP_STEPS * max(self._step_s, self._new_step_s)
        self._rows = [first]
        self._channels = len(contract.channels)
        self.made = 0

    @property
    def held(self) -> int:
        """Rows that are kept."""
        return len(self._rows)

    @property
    def last(self) -> Row:
        return self._rows[-1]

    def goes_on(self, row: Row) -> bool:
        """Test whether `row` comes after the last one without a gap."""
        return 0 < row.time_s - self._rows[-1].time_s <= self._gap_s

    def add(self, row: Row) -> None:
        self._rows.append(row)

    def so_far(self) -> Resampled:
        """Return the new samples that further rows cannot change."""
        return self._resampled(self._rows[-1].time_s - self._new_step_s)

    def to_the_end(self) -> Resampled:
        """Return the new samples up to the last row."""
        return self._resampled(self._rows[-1].time_s)

    def _resampled(self, until_s: float) -> Resampled:
        """Return samples up to a time; rows that are no longer needed are dropped."""
        times = np.array([row.time_s for row in self._rows]) - self._first.time_s
        # The half sample in a million forgives the rounding of the clock.
        end = math.floor((until_s - self._first.time_s) / self._new_step_s + 5e-7)
        grid = np.arange(self.made, end + 1, dtype=np.float64) * self._new_step_s
        if not grid.size:
            return Resampled(np.zeros((0, self._channels), np.float32), np.zeros(0, np.int64))
        values = np.array([row.values for row in self._rows])
        if len(self._rows) > 1:
            new = interpolate(times, values, grid, step_s=self._step_s, new_step_s=self._new_step_s)
        else:
            new = values.astype(np.float32)
        lines = np.array([row.line for row in self._rows])[np.searchsorted(times, grid).clip(max=len(times) - 1)]
        self.made = end + 1
        needed_s = end * self._new_step_s - self._new_step_s
        self._rows = self._rows[max(int(np.searchsorted(times, needed_s)) - 1, 0) :]
        return Resampled(new, lines)
