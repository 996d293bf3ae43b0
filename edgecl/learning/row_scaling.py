"""The scale of a stream's columns: from its first rows, or the first ones from which a column changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.learning.heavy_tails import DEVIATES, JUDGED_ROWS, deviates, knots_of

FIRST_ROWS = 1000  # from which the scale is taken; later rows do not change that of a column that changed in them
OUT = 1000.0  # standard deviations: farther than amounts and rare flags go, as glitches do
SMALLEST = 1e-35  # standard deviation, of values near zero: single precision has no smaller steps to tell them by
APART = 16  # rows from one value too far out to the next: where they come closer together, the column has changed
MANY = 3 * APART + 1  # and from the fourth on they count in full
LIMIT = 6.0  # standard deviations beyond which a value is cut: one far outlier spoils a least-squares fit


@dataclass(frozen=True)
class RowScaling:
    """Mean and spread of each column so far.

    From JUDGED_ROWS on, a value beyond OUT counts as it is used, cut: one in a thousand that is a million times as
    large would make all others one value. Where more such values come than a few, it is the column that has changed,
    and they count in full. A column that never changed in the first rows is measured for as many more from the row on
    at which it does.
    """

    count: int
    """Rows taken in, at most FIRST_ROWS."""
    mean: NDArray[np.float64]
    """(p,)"""
    squares: NDArray[np.float64]
    """(p,) sums of squared deviations."""
    late: NDArray[np.int32]
    """(p,) rows by which a column was measured that began to change after the first rows, at most FIRST_ROWS."""
    first: NDArray[np.float32]
    """(n, p) the first rows, until there are JUDGED_ROWS; none from then on."""
    knots: NDArray[np.float64]
    """(p, K) rising for columns with a heavy tail, zeros for others, see `edgecl.learning.heavy_tails`; or (0, K)."""
    out: NDArray[np.int8]
    """(p,) APART for each value too far out, less one for each other row, 0 to MANY; 0 again after the first rows."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"out": np.zeros(len(state["mean"]), np.int8), **state})  # of a copy of an earlier version

    @staticmethod
    def start(dimension: int) -> RowScaling:
        """Return the scale of a stream that has not begun."""
        return RowScaling(
            0,
            np.zeros(dimension),
            np.zeros(dimension),
            np.zeros(dimension, np.int32),
            np.zeros((0, dimension), np.float32),
            np.zeros((0, len(DEVIATES))),
            np.zeros(dimension, np.int8),
        )

    @property
    def nbytes(self) -> int:
        arrays = (self.mean, self.squares, self.late, self.first, self.knots, self.out)
        return sum(one.nbytes for one in arrays) + 8

    @property
    def is_plain(self) -> bool:
        """Whether mean and spread of the first rows are all there is to it, which is all that early software reads."""
        return not (self.late.any() or len(self.knots) or self.out.any())

    @property
    def typical(self) -> NDArray[np.float64]:
        """(p,) what a row has that says nothing of a column: its mean, or its median where the tail is heavy."""
        typical = self.mean.copy()
        for column in self._heavy:
            typical[column] = self.knots[column, len(DEVIATES) // 2]
        return typical

    def is_settled(self, rows: NDArray[np.float32]) -> bool:
        """Test whether rows (n, p) leave the scale as it is."""
        if self.count < FIRST_ROWS:
            return False
        if not self._has_open:
            return True
        if self._has_counting:
            return False
        if len(rows) == 1:  # in a third of the time
            values = rows[0].tolist()
            return all(values[at] == mean for at, mean in self._open)
        return bool((rows[:, self._is_open] == self.mean[self._is_open]).all())

    def take(self, rows: NDArray[np.float32]) -> tuple[RowScaling, NDArray[np.float32]]:
        """Return the scale after rows (n, p), and the rows scaled, each by what was known with it, cut at ±LIMIT.

        The result does not depend on how a stream is cut into blocks.
        """
        if self.is_settled(rows):
            return self, self._scaled(rows)
        after, scaled, at = self, np.empty(rows.shape, np.float32), 0
        while at < len(rows) and not after.is_settled(rows[at:]):
            after = after._with(rows[at])
            scaled[at : at + 1] = after._scaled(rows[at : at + 1])
            at += 1
        scaled[at:] = after._scaled(rows[at:])
        return after, scaled

    def widened(self, dimension: int) -> RowScaling:
        """Return the scale with columns behind the others that have not been seen."""
        more = (0, dimension - len(self.mean))
        return RowScaling(
            self.count,
            np.pad(self.mean, more),
            np.pad(self.squares, more),
            np.pad(self.late, more),
            np.pad(self.first, ((0, 0), more)),
            np.pad(self.knots, (more, (0, 0))) if len(self.knots) else self.knots,
            np.pad(self.out, more),
        )

    @cached_property
    def _is_open(self) -> NDArray[np.bool_]:
        """(p,) columns whose scale later rows may change: they have not changed yet, or only since a while."""
        is_open: NDArray[np.bool_] = self._is_counting | (self.squares == 0)
        return is_open

    @cached_property
    def _has_open(self) -> bool:
        return bool(self._is_open.any())

    @cached_property
    def _open(self) -> list[tuple[int, float]]:
        """Return each open column with its mean."""
        return [(int(at), float(self.mean[at])) for at in np.flatnonzero(self._is_open)]

    @cached_property
    def _has_counting(self) -> bool:
        return bool(self._is_counting.any())

    @cached_property
    def _is_counting(self) -> NDArray[np.bool_]:
        return (self.late > 0) & (self.late < FIRST_ROWS)

    def _with(self, row: NDArray[np.float32]) -> RowScaling:
        if self.count >= FIRST_ROWS:
            return self._with_late(row)
        counted, out = self._counted(row, self.count >= JUDGED_ROWS)
        apart = counted - self.mean
        mean = self.mean + apart / (self.count + 1)
        squares = self.squares + apart * (counted - mean)
        if self.count + 1 == FIRST_ROWS:
            out = np.zeros_like(out)
        after = RowScaling(self.count + 1, mean, squares, self.late, self.first, self.knots, out)
        if self.count != len(self.first):
            return after
        first = np.concatenate([self.first, row[None]])
        if after.count < JUDGED_ROWS:
            return replace(after, first=first)
        return replace(after, first=first[:0], knots=knots_of(first))

    def _with_late(self, row: NDArray[np.float32]) -> RowScaling:
        """Measure columns that have begun to change."""
        measured = self._is_counting | ((self.squares == 0) & (row != self.mean))
        late = self.late + measured.astype(np.int32)
        counted, out = self._counted(row, measured & (self.late >= JUDGED_ROWS))
        apart = np.where(measured, counted - self.mean, 0)
        mean = self.mean + apart / (late + 1)  # what it was before counts as one row
        squares = self.squares + apart * np.where(measured, counted - mean, 0)
        return RowScaling(self.count, mean, squares, late, self.first, self.knots, out)

    def _counted(
        self, row: NDArray[np.float32], is_known: bool | NDArray[np.bool_]
    ) -> tuple[NDArray[np.floating], NDArray[np.int8]]:
        """Return a row as it counts, and `out` after it.

        Of columns whose spread is known, what is too far out counts as it is used, cut, while that is rare.
        """
        apart = row - self.mean
        is_out = is_known & (np.abs(apart) > OUT * self._spread)
        if not is_out.any() and not self.out.any():
            return row, self.out
        out = np.where(is_out, np.minimum(self.out + APART, MANY), np.maximum(self.out - is_known, 0)).astype(np.int8)
        is_cut = is_out & (out < MANY)
        return np.where(is_cut, self.mean + np.copysign(LIMIT * self._spread, apart), row), out

    def _scaled(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        apart = rows - self.mean
        apart /= self._spread
        np.minimum(np.maximum(apart, -LIMIT, out=apart), LIMIT, out=apart)  # a third of the time of `clip`, of one row
        scaled: NDArray[np.float32] = apart.astype(np.float32)
        for column in self._heavy:
            scaled[:, column] = deviates(rows[:, column], self.knots[column])
        return scaled

    @cached_property
    def _heavy(self) -> list[int]:
        """Return the columns with a heavy tail."""
        return [int(one) for one in np.flatnonzero(self.knots[:, 0] < self.knots[:, -1])]

    @cached_property
    def _spread(self) -> NDArray[np.float64]:
        """(p,) standard deviations; infinity where a column has not changed."""
        rows = np.where(self.late > 0, self.late + 1, max(self.count, 1))
        spread = np.sqrt(self.squares / rows)
        return np.where(spread > np.maximum(1e-9 * np.abs(self.mean), SMALLEST), spread, np.inf)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that `from_arrays` reads back."""
        return {
            "scaled_rows": np.array([self.count]),
            "mean": self.mean,
            "squares": self.squares,
            "late": self.late,
            "first": self.first,
            "knots": self.knots,
            "out": self.out,
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> RowScaling:
        """Rebuild from stored arrays.

        Raises
        ------
        KeyError
            One is missing; those that came later, `late` to `out`, may be, as in a store of before.
        ValueError
            They do not belong together.
        """
        count = int(arrays["scaled_rows"][0])
        mean, squares = np.array(arrays["mean"], np.float64), np.array(arrays["squares"], np.float64)
        start = RowScaling.start(len(mean))
        late = np.array(arrays.get("late", start.late), np.int32)
        first = np.array(arrays.get("first", start.first), np.float32)
        knots = np.array(arrays.get("knots", start.knots), np.float64)
        out = np.array(arrays.get("out", start.out), np.int8)
        shapes = squares.shape, late.shape, out.shape, first.shape[1:], knots.shape[1:]
        if (
            shapes != (mean.shape, mean.shape, mean.shape, mean.shape, (len(DEVIATES),))
            or len(knots) not in (0, len(mean))
            or not 0 <= len(first) < JUDGED_ROWS
            or not (np.isfinite(first).all() and (late >= 0).all() and (out >= 0).all() and np.isfinite(knots).all())
        ):
            raise ValueError("the scale of the experts does not fit together")
        return RowScaling(count, mean, squares, late, first, knots, out)
