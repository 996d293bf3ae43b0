"""Statistics of a class as a share had them: rows whose products add up to the scatter, or halves of its triangle.

A class of n samples has a scatter of rank n - 1, so at 936 columns fifty samples take 0.2 MB in place of 1.8 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

from edgecl.model.statistics import PANEL_ENTRIES, ClassStatistics, diagonal, packed_length

ROWS = 32  # rows that are added to a scatter at a time
PACKED = -1  # rank of a scatter that is kept as its triangle
COMMON = -2  # the same, of one triangle that all classes share up to their scales
RESIDUAL = 1e-5  # of the trace: what rows may leave of a scatter
SMALLEST_PIVOT = 1e-9  # of the largest variance: below it, what is left is rounding


class Condensed(ClassStatistics):
    """Count, mean and scatter of one class, the scatter in the form in which it came; it is never expanded to be kept.

    Parameters
    ----------
    values
        Rows R (r, d) with S = scale² RᵀR, or (d(d+1)/2,) the packed triangle over `scale`; float16 or float32.

    Examples
    --------
    >>> one = Condensed(2, np.zeros(2), np.array([[1, 2]], np.float32), scale=2)
    >>> one.scatter.tolist(), one.trace
    ([4.0, 8.0, 16.0], 20.0)
    """

    values: NDArray[np.floating]
    scale: float

    def __init__(self, count: int, mean: NDArray[np.float64], values: NDArray[np.floating], *, scale: float) -> None:
        self.__dict__.update(count=count, mean=mean, values=values, scale=scale)

    @property
    def is_rows(self) -> bool:
        """Test whether the scatter is that of rows, which is never indefinite."""
        return self.values.ndim == 2

    @property
    def scatter(self) -> NDArray[np.float32]:
        """Return the packed triangle, as a new array."""
        out = np.zeros(packed_length(self.dimension))
        self.add_to(out)
        return out.astype(np.float32)

    @property
    def trace(self) -> float:
        if not self.is_rows:
            return self.scale * float(self.values[diagonal(self.dimension)].sum(dtype=np.float64))
        return self.scale**2 * sum(float(np.square(one, dtype=np.float64).sum()) for one in self.values)

    def decayed(self, count: int) -> ClassStatistics:
        if count < 1:
            raise ValueError(f"a class of {count} samples has no statistics")
        if count >= self.count:
            return self
        weight = count / self.count
        return Condensed(count, self.mean, self.values, scale=self.scale * (weight**0.5 if self.is_rows else weight))

    def add_to(self, out: NDArray[np.floating]) -> None:
        if not self.is_rows:
            for first in range(0, out.size, PANEL_ENTRIES):
                here = slice(first, first + PANEL_ENTRIES)
                out[here] += self.values[here].astype(np.float32) * np.float32(self.scale)
            return
        add_products(self.values, out, scale=self.scale)

    def scatter_row(self, row: int) -> NDArray[np.float64]:
        if not self.is_rows:
            first = packed_length(row)
            return self.values[first : first + row + 1].astype(np.float64) * self.scale
        product = self.values[:, row].astype(np.float64) @ self.values[:, : row + 1].astype(np.float64)
        return np.asarray(product * self.scale**2, np.float64)


def add_products(rows: NDArray[np.floating], out: NDArray[np.floating], *, scale: float = 1) -> None:
    """Add scale² RᵀR of rows (r, d) to a packed triangle, a few rows at a time."""
    update = kernels.scatter_update if out.dtype == np.float64 else kernels.scatter_update_f32
    for first in range(0, len(rows), ROWS):
        update(np.ascontiguousarray(rows[first : first + ROWS].astype(np.float32) * np.float32(scale)), out)


def rows_of(one: ClassStatistics) -> NDArray[np.float32] | None:
    """Return at most n - 1 rows R with RᵀR = S, by a Cholesky factor with pivots; None where they are not enough.

    A class whose samples were weighed down has a scatter of higher rank than its count says, and so has noise.
    Bytes: 8 d a row (Higham 1990, "Analysis of the Cholesky decomposition of a semi-definite matrix").
    """
    d, most = one.dimension, min(one.count - 1, one.dimension)
    packed, left = one.scatter, one.scatter[diagonal(one.dimension)].astype(np.float64)
    rows, top, trace, found = np.zeros((most, d)), float(left.max()), float(left.sum()), 0
    starts = diagonal(d) - np.arange(d)  # of the rows of the triangle
    while found < most:
        pivot = int(left.argmax())
        if left[pivot] <= SMALLEST_PIVOT * top:
            break
        column = np.empty(d)
        column[: pivot + 1] = packed[starts[pivot] : starts[pivot] + pivot + 1]
        column[pivot:] = packed[starts[pivot:] + pivot]
        column -= rows[:found, pivot] @ rows[:found]
        rows[found] = column / np.sqrt(left[pivot])
        left = np.maximum(left - np.square(rows[found]), 0)
        left[pivot] = 0
        found += 1
    return rows[:found].astype(np.float32) if float(left.sum()) <= RESIDUAL * trace else None


def as_single(packed: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return a workspace as float32, in its own memory, which is overwritten."""
    if packed.dtype == np.float32:
        return packed
    single: NDArray[np.float32] = packed.view(np.float32)[: packed.size]
    for first in range(0, packed.size, PANEL_ENTRIES):
        single[first : first + PANEL_ENTRIES] = packed[first : first + PANEL_ENTRIES].astype(np.float32)
    return single


def condensed(one: ClassStatistics, *, as_rows: bool = False, half: bool = False) -> Condensed:
    """Return statistics in a form to be written.

    Parameters
    ----------
    as_rows
        As rows where these take at most half of the triangle.
    half
        As float16, scaled by the largest entry.
    """
    if isinstance(one, Condensed):
        made = one
    else:
        rows = rows_of(one) if as_rows and 2 * one.count - 1 <= one.dimension else None
        made = Condensed(one.count, one.mean, one.scatter if rows is None else rows, scale=1.0)
    if not half:
        return made
    top = np.float32(max(float(np.abs(made.values).max(initial=0)), 1e-30))
    return Condensed(one.count, one.mean, (made.values / top).astype(np.float16), scale=float(top) * made.scale)


def share_one_matrix(held: Iterable[ClassStatistics]) -> bool:
    """Test whether all classes have one scatter, up to their scales: that of an irreversible sum."""
    matrices = {id(one.values) if isinstance(one, Condensed) and not one.is_rows else None for one in held}
    return len(matrices) == 1 and None not in matrices


def arrays_of(held: Sequence[Condensed], *, as_one: bool = False) -> dict[str, NDArray[Any]]:
    """Return the arrays that `statistics_from` reads back: triangles first, then rows; `as_one` one that all share."""
    if as_one and len(held) > 1 and share_one_matrix(held):
        return {
            "counts": np.array([one.count for one in held], np.int64),
            "means": np.array([one.mean for one in held], np.float32),
            "ranks": np.full(len(held), COMMON, np.int32),
            "scales": np.array([one.scale for one in held], np.float32),
            "values": held[0].values,
        }
    dtype = np.result_type(*(one.values.dtype for one in held))
    written = sorted(held, key=lambda one: one.is_rows)
    return {
        "counts": np.array([one.count for one in held], np.int64),
        "means": np.array([one.mean for one in held], np.float64),
        "ranks": np.array([len(one.values) if one.is_rows else PACKED for one in held], np.int32),
        "scales": np.array([one.scale for one in written], np.float32),
        "values": np.concatenate([one.values.ravel() for one in written], dtype=dtype),
    }


def statistics_from(
    labels: Sequence[str], arrays: Mapping[str, NDArray[Any]], *, dimension: int
) -> dict[str, ClassStatistics]:
    """Return the classes of arrays, by views of these; raises ValueError where they do not fit each other."""
    wanted = {"counts": ["<i8"], "means": ["<f8", "<f4"], "ranks": ["<i4"], "scales": ["<f4"]}
    if set(arrays) != {*wanted, "values"} or any(arrays[one].dtype.str not in kinds for one, kinds in wanted.items()):
        raise ValueError("its arrays are not those of a share")
    counts, means, ranks, scales, values = (arrays[one] for one in (*wanted, "values"))
    classes = len(labels)
    shapes = [one.shape for one in (counts, means, ranks, scales)]
    if shapes != [(classes,), (classes, dimension), (classes,), (classes,)]:
        raise ValueError("its arrays do not fit its labels and columns")
    is_common = bool((ranks == COMMON).all())
    if counts.min() < 1 or (ranks.min() < PACKED and not is_common) or ranks.max() > dimension or scales.min() < 0:
        raise ValueError("a count, rank or scale is out of its range")
    sizes = np.where(ranks < 0, packed_length(dimension), ranks.astype(np.int64) * dimension)
    if is_common:
        sizes = sizes[:1]
    if values.shape != (int(sizes.sum()),) or values.dtype.kind != "f" or values.dtype.itemsize > 4:
        raise ValueError(f"its scatters have {values.shape} entries, wanted {int(sizes.sum())}")
    if is_common:
        return {
            label: Condensed(int(count), np.asarray(mean, np.float64), values, scale=float(scale))
            for label, count, mean, scale in zip(labels, counts, means, scales, strict=True)
        }
    order = [*np.flatnonzero(ranks == PACKED), *np.flatnonzero(ranks != PACKED)]
    found, first = {}, 0
    for place, row in enumerate(order):
        part, count, scale = values[first : first + sizes[row]], int(counts[row]), float(scales[place])
        first += int(sizes[row])
        mean = np.asarray(means[row], np.float64)
        if ranks[row] != PACKED:
            part = part.reshape(-1, dimension)
        elif part.dtype == np.float32 and scale == 1:
            found[labels[row]] = ClassStatistics(count, mean, part)
            continue
        found[labels[row]] = Condensed(count, mean, part, scale=scale)
    return {label: found[label] for label in labels}
