"""Elastic weight consolidation of a softmax-linear head (Kirkpatrick et al. 2017; online form of Schwarz et al. 2018).

The Fisher diagonal is exact: per sample, expectation under the model, F[c, d] = E[x_d² p_c (1 - p_c)]. Squaring
the gradient of a batch mean is a different quantity, about 4 % of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import edgecl_kernels as kernels
import numpy as np
from edgecl_kernels.aligned import TILE, aligned_zeros, padded
from numpy.typing import NDArray

from edgecl.model.exemplars import Exemplars, FeatureMap
from edgecl.model.head import HeadState
from edgecl.values import dataclass


@dataclass(frozen=True)
class Coordinates:
    """Coordinates of gradient steps: x̃ = [(x - offset) * factor, 1], so that E‖x̃‖² is about 2."""

    offset: NDArray[np.float32]
    """(d,)."""
    factor: float

    def to_parameters(self, head: HeadState, out: NDArray[np.float32], rows: NDArray[np.intp] | None = None) -> None:
        """Write weights and bias of the head in these coordinates into `out` (>= C, ld): of some rows (C,), or all."""
        dimension = head.weights.shape[1]
        where = np.arange(len(head.labels)) if rows is None else rows
        for at, row in enumerate(where.tolist()):  # row by row: a copy of the head would be as large as the head
            np.divide(head.weights[row], self.factor, out=out[at, :dimension])
        out[: len(where), dimension] = (head.bias + head.weights @ self.offset)[where]

    def to_head(self, parameters: NDArray[np.float32], head: HeadState, rows: NDArray[np.intp]) -> None:
        """Write parameters (C, ld) into the weights and the bias of some rows (C,) of a head."""
        dimension = head.weights.shape[1]
        for at, row in enumerate(rows.tolist()):
            np.multiply(parameters[at, :dimension], np.float32(self.factor), out=head.weights[row])
        head.bias[rows] = parameters[: len(rows), dimension] - (head.weights @ self.offset)[rows]


@dataclass(frozen=True)
class EwcState:
    """Precision Λ and anchor θ* of every class, in fixed coordinates."""

    labels: tuple[str, ...]
    precision: NDArray[np.float32]
    """(C, ld) Λ = Σ N F."""
    anchor: NDArray[np.float32]
    """(C, ld)."""
    coordinates: Coordinates

    @property
    def nbytes(self) -> int:
        return self.precision.nbytes + self.anchor.nbytes + self.coordinates.offset.nbytes

    def expanded(self, labels: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (precision, anchor) with rows for `labels`; a new class has zeros, so it is free."""
        precision, anchor = (np.zeros((len(labels), self.precision.shape[1]), np.float32) for _ in range(2))
        self.expand(labels, precision, anchor)
        return precision, anchor

    def expand(self, labels: Sequence[str], precision: NDArray[np.float32], anchor: NDArray[np.float32]) -> None:
        """Write what `expanded` returns into arrays (len(labels), ld) of zeros."""
        where = {label: index for index, label in enumerate(self.labels)}
        for index, label in enumerate(labels):
            if label in where:
                precision[index], anchor[index] = self.precision[where[label]], self.anchor[where[label]]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        scale = np.array([self.coordinates.factor])
        parts = {"precision": self.precision, "anchor": self.anchor}
        return {**parts, "offset": self.coordinates.offset, "factor": scale}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[np.generic]], *, labels: Sequence[str]) -> EwcState:
        """Rebuild from stored arrays; raises ValueError where they do not fit the labels."""
        try:
            precision, anchor = arrays["precision"], arrays["anchor"]
            offset, factor = arrays["offset"], float(arrays["factor"][0])
        except (KeyError, IndexError) as error:
            raise ValueError(f"the EWC state lacks {error}") from error
        shape = (len(labels), padded(len(offset)))
        if precision.shape != shape or anchor.shape != shape:
            raise ValueError(f"the EWC state has shapes {precision.shape} and {anchor.shape}, expected {shape}")
        rows = [np.array(part, np.float32, order="C") for part in (precision, anchor)]
        return EwcState(tuple(labels), rows[0], rows[1], Coordinates(np.array(offset, np.float32), factor))


def consolidate(
    previous: EwcState | None,
    head: HeadState,
    evidence: Iterable[tuple[Exemplars, int]],
    *,
    coordinates: Coordinates,
    features: FeatureMap,
    decay: float = 1.0,
) -> EwcState:
    """Update the EWC state after an experience: Λ ← decay·Λ + Σ N F̄ and θ* ← θ.

    Parameters
    ----------
    evidence
        Pairs of rows of one class and the number N of samples that they stand for.
    decay
        γ of online EWC, 0 to 1.
    """
    stride = padded(features.dimension)
    classes = len(head.labels)
    anchor = np.zeros((classes, stride), np.float32)
    coordinates.to_parameters(head, anchor)
    precision = np.zeros((classes, stride), np.float32)
    if previous is not None:
        precision = previous.expanded(head.labels)[0] * np.float32(decay)
    fisher = aligned_zeros((classes, stride))
    add_precision(precision, anchor, evidence, fisher, coordinates=coordinates, features=features)
    return EwcState(head.labels, precision, anchor, coordinates)


def add_precision(
    precision: NDArray[np.float32],
    anchor: NDArray[np.float32],
    evidence: Iterable[tuple[Exemplars, int]],
    scratch: NDArray[np.float32],
    *,
    coordinates: Coordinates,
    features: FeatureMap,
) -> None:
    """Add Σ N F̄ of a head whose parameters are `anchor` to Λ; `scratch` (C, ld) is overwritten."""
    classes = len(anchor)
    for rows, count in evidence:
        if len(rows) == 0:
            continue
        scratch[:] = 0
        for x in _inputs(rows, coordinates, features):
            answers = aligned_zeros((x.shape[0], -(-classes // TILE) * TILE))
            kernels.fisher_diagonal(x, anchor, answers, scratch)
        scratch *= np.float32(count / len(rows))
        precision += scratch


def _inputs(rows: Exemplars, coordinates: Coordinates, features: FeatureMap) -> Iterable[NDArray[np.float32]]:
    """Yield blocks (<= block_rows, ld) of what the parameters are multiplied with."""
    for first in range(0, len(rows), features.block_rows):
        block = slice(first, first + features.block_rows)
        held, scales = np.array(rows.rows[block]), np.array(rows.scales[block])  # pages of a file are read-only
        x = aligned_zeros((len(held), padded(features.dimension)))
        kernels.gather_rows(
            held,
            scales,
            np.arange(len(held), dtype=np.int32),
            coordinates.offset,
            np.float32(coordinates.factor),
            features.lift_width,
            features.seed,
            x,
        )
        yield x
