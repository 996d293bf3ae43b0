"""The scale of a stream's columns, from its first rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

FIRST_ROWS = 1000  # from which the scale is taken; later rows do not change it
LIMIT = 6.0  # standard deviations beyond which a value is cut: one far outlier spoils a least-squares fit


@dataclass(frozen=True)
class RowScaling:
    """Mean and spread of each column so far."""

    count: int
    """Rows taken in, at most FIRST_ROWS."""
    mean: NDArray[np.float64]
    """(p,)"""
    squares: NDArray[np.float64]
    """(p,) sums of squared deviations."""

    @staticmethod
    def start(dimension: int) -> RowScaling:
        """Return the scale of a stream that has not begun."""
        return RowScaling(0, np.zeros(dimension), np.zeros(dimension))

    @property
    def nbytes(self) -> int:
        return self.mean.nbytes + self.squares.nbytes + 8

    @property
    def is_fixed(self) -> bool:
        """Whether rows no longer change the scale."""
        return self.count >= FIRST_ROWS

    def take(self, rows: NDArray[np.float32]) -> tuple[RowScaling, NDArray[np.float32]]:
        """Return the scale after rows (n, p), and the rows scaled, each by what was known with it, cut at ±LIMIT.

        The result does not depend on how a stream is cut into blocks.
        """
        if self.is_fixed:
            return self, self._scaled(rows)
        after, first = self, []
        for row in rows[: max(FIRST_ROWS - self.count, 0)]:
            after = after._with(row)
            first.append(after._scaled(row))
        rest = after._scaled(rows[len(first) :])
        return after, np.concatenate([np.array(first, np.float32).reshape(len(first), rows.shape[1]), rest])

    def _with(self, row: NDArray[np.float32]) -> RowScaling:
        apart = row - self.mean
        mean = self.mean + apart / (self.count + 1)
        return RowScaling(self.count + 1, mean, self.squares + apart * (row - mean))

    def _scaled(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return ((rows - self.mean) / self._spread).clip(-LIMIT, LIMIT).astype(np.float32)

    @cached_property
    def _spread(self) -> NDArray[np.float64]:
        """(p,) standard deviations; infinity where a column has not changed."""
        spread = np.sqrt(self.squares / max(self.count, 1))
        return np.where(spread > 1e-9 * (1 + np.abs(self.mean)), spread, np.inf)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that `from_arrays` reads back."""
        return {"scaled_rows": np.array([self.count]), "mean": self.mean, "squares": self.squares}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> RowScaling:
        """Rebuild from stored arrays; raises KeyError where one is missing."""
        return RowScaling(
            int(arrays["scaled_rows"][0]), np.array(arrays["mean"], np.float64), np.array(arrays["squares"], np.float64)
        )
