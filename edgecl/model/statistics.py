"""Per-class count, mean and within-class scatter: additive, removable, order-independent.

One object per class, so that a class can be taken away exactly. The scatter is kept as the
packed lower triangle (row i holds columns 0..i at offset i(i+1)/2), stored as float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

from edgecl.values import dataclass

PANEL_ENTRIES = 2048  # entries of a packed matrix that are summed in float64 at a time: 16 KiB
PAGED_PANEL = 512  # of a paged store
Pages = Callable[[Any, Any], NDArray[Any]]
"""Gives an array of a shape and dtype whose data are pages of a file, and need not stay in memory."""


@dataclass(frozen=True)
class ClassStatistics:
    """Count, mean and scatter of one class.

    `scatter` is the sum of (x - mean)(x - mean)^T over the samples.
    """

    count: int
    mean: NDArray[np.float64]
    """(d,)."""
    scatter: NDArray[np.float32]
    """(d(d+1)/2,) packed lower triangle."""

    @property
    def dimension(self) -> int:
        return int(self.mean.shape[0])

    @property
    def trace(self) -> float:
        """Trace of the scatter."""
        return float(self.scatter[diagonal(self.dimension)].sum(dtype=np.float64))

    def add_to(self, out: NDArray[np.floating]) -> None:
        """Add the scatter to a packed triangle."""
        out += self.scatter

    def scatter_row(self, row: int) -> NDArray[np.float64]:
        """Return entries 0 to `row` of a row of the scatter."""
        first = packed_length(row)
        return self.scatter[first : first + row + 1].astype(np.float64)

    def decayed(self, count: int) -> ClassStatistics:
        """Return the statistics scaled down to the weight of `count` samples; unchanged where they weigh less.

        Raises
        ------
        ValueError
            When `count` is below 1.
        """
        if count < 1:
            raise ValueError(f"a class of {count} samples has no statistics")
        if count >= self.count:
            return self
        return ClassStatistics(count, self.mean, self.scatter * np.float32(count / self.count))

    def merged(self, other: ClassStatistics) -> ClassStatistics:
        """Return the statistics of the samples of both (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        delta = other.mean - self.mean
        scatter, weight, first = self.scatter + other.scatter, self.count * other.count / count, 0
        for row in range(self.dimension):  # of the packed triangle
            scatter[first : first + row + 1] += (weight * delta[row] * delta[: row + 1]).astype(np.float32)
            first += row + 1
        return ClassStatistics(count, self.mean + delta * (other.count / count), scatter)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that `from_arrays` reads back."""
        return {"count": np.array([self.count], np.int64), "mean": self.mean, "scatter": self.scatter}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> ClassStatistics:
        """Rebuild from stored arrays.

        Raises
        ------
        ValueError
            When a part is missing or the shapes do not belong together.
        """
        try:
            count, mean, scatter = int(arrays["count"][0]), arrays["mean"], arrays["scatter"]
        except (KeyError, IndexError) as error:
            raise ValueError(f"class statistics lack {error}") from error
        if mean.ndim != 1 or scatter.shape != (packed_length(mean.shape[0]),) or count < 1:
            raise ValueError(
                f"class statistics do not fit together: mean {mean.shape}, scatter {scatter.shape}, count {count}"
            )
        return ClassStatistics(
            count=count,
            mean=np.asarray(mean, np.float64),
            scatter=np.asarray(scatter, np.float32),
        )


def square(packed: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    """Return the symmetric matrix (d, d) of a packed lower triangle."""
    lower = np.zeros((dimension, dimension), np.float32)
    lower[np.tril_indices(dimension)] = packed
    whole: NDArray[np.float32] = lower + np.tril(lower, -1).T
    return whole


def diagonal(dimension: int) -> NDArray[np.intp]:
    """Return where the diagonal is in a packed lower triangle."""
    found: NDArray[np.intp] = np.cumsum(np.arange(1, dimension + 1)) - 1
    return found


def packed_length(dimension: int) -> int:
    """Return the entries of the packed lower triangle of a (dimension, dimension) matrix."""
    return dimension * (dimension + 1) // 2


def accumulate(
    start: ClassStatistics | None,
    blocks: Iterable[NDArray[np.float32]],
    scatter: NDArray[np.floating],
) -> tuple[int, NDArray[np.float64]]:
    """Add blocks of rows (n, d) to a class; `scatter` (packed, float32 or float64) is overwritten with the sum.

    Two sets are merged as Chan, Golub and LeVeque (1979) do: S = S1 + S2 + n1 n2/(n1+n2) δδᵀ with
    δ the difference of the means, so one by one and all at once give the same up to rounding.

    Returns
    -------
    (count, mean)
        Count and mean of the union. The count is zero where there was neither a start nor a row.
    """
    dimension_mean: NDArray[np.float64] | None = None
    count = 0
    scatter[:] = 0 if start is None else start.scatter
    if start is not None:
        count, dimension_mean = start.count, start.mean
    for block in blocks:
        added = block.shape[0]
        if added == 0:
            continue
        rows = np.empty((added + 1, block.shape[1]), np.float32)  # (n+1, d): the last row is Chan's term
        if added == 1:
            block_mean = block[0].astype(np.float64)
            rows[0] = 0
        else:
            block_mean = np.add.reduce(block, axis=0, dtype=np.float64) / added  # the bits of `mean`, in half its time
            np.subtract(block, block_mean, out=rows[:added], casting="same_kind")
        if dimension_mean is None:
            rows[added] = 0
            dimension_mean = block_mean
        else:
            delta = block_mean - dimension_mean
            rows[added] = delta * np.sqrt(count * added / (count + added))
            dimension_mean = dimension_mean + delta * (added / (count + added))
        _update(rows, scatter)
        count += added
    if dimension_mean is None:
        return 0, np.zeros(0)
    return count, dimension_mean


def _update(rows: NDArray[np.float32], scatter: NDArray[np.floating]) -> None:
    if scatter.dtype == np.float64:
        kernels.scatter_update(rows, scatter)
    else:
        kernels.scatter_update_f32(rows, scatter)


def pooled_scatter(
    statistics: Iterable[ClassStatistics], out: NDArray[np.floating], *, panel_entries: int = PANEL_ENTRIES
) -> int:
    """Write the mean over the classes of S_k / n_k into `out`, summed in float64 in the order given.

    Every class counts alike: on training subjects that was never worse than the sum of all S_k over N - C, and up to
    1.2 points better where classes are of very different sizes.

    Returns the degrees of freedom N - C. With none (a single sample a class) `out` is zero.
    """
    classes = list(statistics)
    total = np.empty(min(panel_entries, out.size))
    for first in range(0, out.size, panel_entries):
        last = min(first + panel_entries, out.size)
        panel = total[: last - first]
        panel[:] = 0
        for one in classes:
            panel += one.scatter[first:last] / np.float64(one.count)
        out[first:last] = panel / len(classes)
    return sum(one.count for one in classes) - len(classes)
