"""What every peer is timed on: four sizes of head, the same rows, and one rule for a step; numpy only.

A step takes a minibatch of B rows out of a pool (which rows is drawn beforehand; gathering them is timed), and does
``p = softmax(xθᵀ)``, ``G = mean (p - onehot) xᵀ + strength·Λ(θ - θ*)``, ``v = momentum·v + G``, ``θ = θ - rate·v``. The
bias is the weight of a constant column. edgecl puts the penalty's proximal step in place of its gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

SIZES = {"voice": (96, 12), "voice-concat": (1536, 35), "text": (384, 150), "fitness": (2500, 12)}  # D, C
BATCHES = (1, 32, 256)
POOL = 2000  # rows to draw from
STEPS = 64  # minibatches drawn beforehand, played round and round
RATE, MOMENTUM, STRENGTH = 0.01, 0.9, 0.5
FISHER_ROWS = 1000
HERDING_ROWS, HERDING_PICKS = 500, 20
SCATTER_ROWS = 32
TILE = 16  # rows of parameters are padded to a multiple of this


@dataclass(frozen=True)
class Case:
    """A head of C classes on D columns, and a batch size."""

    dimension: int
    classes: int
    batch: int = 32

    @property
    def columns(self) -> int:
        """D and the bias, padded."""
        return -(-(self.dimension + 1) // TILE) * TILE

    @cached_property
    def rows(self) -> NDArray[np.int8]:
        generator = np.random.default_rng(self.dimension)
        centres = 0.3 * generator.standard_normal((self.classes, self.dimension), np.float32)
        drawn = centres[self.labels] + generator.standard_normal((POOL, self.dimension), np.float32)
        rows: NDArray[np.int8] = np.clip(np.rint(30 * drawn), -127, 127).astype(np.int8)
        return rows

    @cached_property
    def scales(self) -> F32:
        return np.full(POOL, 0.1 / np.sqrt(self.dimension), np.float32)

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        return np.random.default_rng(1).integers(0, self.classes, POOL).astype(np.int32)

    @cached_property
    def latents(self) -> F32:
        """(POOL, D) what the int8 rows stand for: all but edgecl start from these."""
        return self.scales[:, None] * self.rows

    @cached_property
    def padded(self) -> F32:
        """(n, columns) latents, the constant column, zeros."""
        out = np.zeros((POOL, self.columns), np.float32)
        out[:, : self.dimension] = self.latents
        out[:, self.dimension] = 1
        return out

    @cached_property
    def schedule(self) -> NDArray[np.int32]:
        return np.random.default_rng(2).integers(0, POOL, (STEPS, self.batch)).astype(np.int32)

    @cached_property
    def start(self) -> F32:
        """(4, C, columns): weights, velocity (zero), precision, anchor."""
        generator = np.random.default_rng(3)
        used = self.dimension + 1
        out = np.zeros((4, self.classes, self.columns), np.float32)
        out[0, :, :used] = 0.01 * generator.standard_normal((self.classes, used), np.float32)
        out[2, :, :used] = 0.1 * generator.random((self.classes, used), np.float32)
        out[3, :, :used] = out[0, :, :used] + 0.01 * generator.standard_normal((self.classes, used), np.float32)
        return out

    @property
    def step_operations(self) -> int:
        """Floating-point operations of the two products of a step."""
        return 4 * self.batch * self.dimension * self.classes

    @property
    def step_bytes(self) -> int:
        """Bytes that a step cannot avoid moving: four arrays read, two written, the rows read."""
        return 4 * (6 * self.dimension * self.classes + self.batch * self.dimension)


def softmax(z: NDArray[Any]) -> NDArray[Any]:
    """Row by row."""
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def expected_weights(
    case: Case, steps: int, *, proximal: bool = False, strength: float = STRENGTH, momentum: float = MOMENTUM
) -> NDArray[Any]:
    """(C, columns) after the first `steps` minibatches, in float64."""
    weights, velocity, precision, anchor = (part.astype(np.float64) for part in case.start)
    for slots in case.schedule[:steps]:
        x = case.padded[slots].astype(np.float64)
        residual = softmax(x @ weights.T)
        residual[np.arange(len(slots)), case.labels[slots]] -= 1
        gradient = residual.T @ x / len(slots)
        if not proximal:
            gradient += strength * precision * (weights - anchor)
        velocity = momentum * velocity + gradient
        weights = weights - RATE * velocity
        if proximal:
            pull = RATE * strength * precision
            weights = (weights + pull * anchor) / (1 + pull)
    return np.asarray(weights)


@dataclass(frozen=True)
class Task:
    """What is timed beside steps: its reference, and what it cannot do without (for the roofline)."""

    unit: str
    operations: Callable[[Case], int]
    traffic: Callable[[Case], int]  # bytes


TASKS = {
    "step": Task("a step", lambda case: case.step_operations, lambda case: case.step_bytes),
    "fisher": Task(
        f"{FISHER_ROWS} rows",
        lambda case: 4 * FISHER_ROWS * case.dimension * case.classes,
        lambda case: 4 * case.dimension * (FISHER_ROWS + 2 * case.classes),
    ),
    "herding": Task(
        f"{HERDING_PICKS} of {HERDING_ROWS} rows",
        lambda case: 2 * HERDING_ROWS * HERDING_PICKS * case.dimension,
        lambda case: 4 * HERDING_ROWS * HERDING_PICKS * case.dimension,
    ),
    "scatter": Task("a row", lambda case: case.dimension**2, lambda case: 4 * case.dimension**2 // SCATTER_ROWS),
    # half as many float64 fit into a vector
    "scatter-float64": Task(
        "a row", lambda case: 2 * case.dimension**2, lambda case: 8 * case.dimension**2 // SCATTER_ROWS
    ),
}
