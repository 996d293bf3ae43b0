"""Heads of a byte an entry, which a paged store has: four times smaller, and used a few rows at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

from edgecl.model.head import SOLVED_ROWS, Factor, HeadState, as_float32, solved_rows
from edgecl.model.statistics import Pages


class ByteHead(HeadState):
    """A head whose weights are rows of int8, each with a scale.

    Parameters
    ----------
    rows, scales
        (C, d) int8 and (C,) float32: the weights are scale * row.

    Examples
    --------
    >>> rows, ones = np.array([[127, 0], [0, 127]], np.int8), np.ones(2, np.float32)
    >>> head = ByteHead(("no", "yes"), rows, ones / 127, 0 * ones, ones, "whitened-cosine")
    >>> head.logits(np.eye(2, dtype=np.float32)).round(3).tolist(), head.nbytes
    ([[1.0, 0.0], [0.0, 1.0]], 28)
    """

    rows: NDArray[np.int8]
    scales: NDArray[np.float32]

    def __init__(
        self,
        labels: tuple[str, ...],
        rows: NDArray[np.int8],
        scales: NDArray[np.float32],
        bias: NDArray[np.float32],
        typical: NDArray[np.float32],
        kind: str,
    ) -> None:
        self.__dict__.update(labels=labels, rows=rows, scales=scales, bias=bias, typical=typical, kind=kind)

    @property
    def weights(self) -> NDArray[np.float32]:
        """Return the weights (C, d), as a new array."""
        return self._some(slice(None))

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.scales.nbytes + self.bias.nbytes + self.typical.nbytes

    @property
    def is_finite(self) -> bool:
        return all(bool(np.isfinite(part).all()) for part in (self.scales, self.bias, self.typical))

    def logits(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.empty((latents.shape[0], len(self.labels)), np.float32)
        latents = np.ascontiguousarray(latents)
        for here in _blocks(len(self.labels)):
            part = np.empty((len(latents), len(self.bias[here])), np.float32)
            kernels.scores(latents, self._some(here), self.bias[here], part)
            out[:, here] = part
        return out

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        return {"rows": self.rows, "scales": self.scales, "bias": self.bias, "typical": self.typical}

    def _some(self, which: slice) -> NDArray[np.float32]:
        rows = np.array(self.rows[which])  # a copy: the kernel wants an array that it could write
        out = np.empty(rows.shape, np.float32)
        kernels.dequantise_rows(rows, self.scales[which], out)
        return out

    @staticmethod
    def from_stored(arrays: Mapping[str, NDArray[np.generic]], *, labels: Sequence[str], kind: str) -> ByteHead:
        """Rebuild from stored arrays; raises KeyError or ValueError where they do not fit the labels."""
        rows, scales, bias, typical = (arrays[name] for name in ("rows", "scales", "bias", "typical"))
        lengths = {rows.shape[:1], scales.shape, bias.shape, typical.shape}
        if rows.ndim != 2 or rows.dtype != np.int8 or lengths != {(len(labels),)}:
            raise ValueError(f"the head has shape {rows.shape}, the revision has {len(labels)} classes")
        whole = np.asarray(rows, np.int8)
        return ByteHead(tuple(labels), whole, as_float32(scales), as_float32(bias), as_float32(typical), kind)


def as_bytes(head: HeadState) -> ByteHead:
    """Return a head with its weights rounded to a byte an entry."""
    if isinstance(head, ByteHead):
        return head
    found = np.empty(head.weights.shape, np.int8)
    scales = np.empty(len(found), np.float32)
    kernels.quantise_rows(np.ascontiguousarray(head.weights), found, scales)
    return ByteHead(head.labels, found, scales, head.bias, head.typical, head.kind)


def solved_head(factor: Factor, typical: NDArray[np.float64], pages: Pages) -> ByteHead:
    """Return the whitened cosine head of `edgecl.model.head.whitened_cosine`, made a few rows at a time."""
    classes, dimension = len(factor.labels), len(factor.origin)
    rows: NDArray[np.int8] = pages((classes, dimension), np.int8)
    scales, bias = np.empty(classes, np.float32), np.empty(classes, np.float32)
    lengths = np.where(typical > 0, typical, np.inf).astype(np.float32)
    for here in _blocks(classes):
        directions = solved_rows(factor, here)
        directions /= lengths[here, None]
        kernels.quantise_rows(directions, rows[here], scales[here])
        for row in range(here.start, min(here.stop, classes)):  # of the rounded rows: rounding moves no origin
            bias[row] = -scales[row] * (rows[row] @ factor.origin)
    return ByteHead(factor.labels, rows, scales, bias, as_float32(typical), "whitened-cosine")


def _blocks(count: int) -> list[slice]:
    return [slice(first, first + SOLVED_ROWS) for first in range(0, count, SOLVED_ROWS)]
