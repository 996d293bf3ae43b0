"""Refinement: minibatches of new and replayed latents under an EWC penalty, from a head that is already good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

from edgecl._aligned import aligned_zeros
from edgecl.ewc import TILE, Coordinates, EwcState, padded
from edgecl.features import FeatureMap
from edgecl.head import HeadState
from edgecl.replay import Exemplars

BATCH = 32
MOMENTUM = 0.9
STEPS_PER_CALL = 64  # schedules are drawn and run in pieces, so that they take a bounded workspace


@dataclass(frozen=True)
class RefineSettings:
    """How far and how fast to go.

    The loss is replay_weight·L_old + (1 - replay_weight)·L_new + ewc_strength/N_new · ½ Σ Λ (θ - θ*)².
    """

    replay_weight: float | None = None  # 0 to 1; None: the share of classes that the lesson does not touch
    ewc_strength: float = 1.0
    rate: float = 0.3  # of the first step; a half cosine takes it to zero
    epochs: int = 60
    smallest_steps: int = 100
    largest_steps: int = 2000


def refine(
    head: HeadState,
    lesson: Mapping[str, Exemplars],
    replay: Mapping[str, Exemplars],
    ewc: EwcState | None,
    *,
    coordinates: Coordinates,
    features: FeatureMap,
    settings: RefineSettings,
    seed: int,
) -> HeadState:
    """Gradient steps from `head` on class-uniform minibatches, half lesson and half replay.

    Parameters
    ----------
    head
        Where to start; its labels are the classes of the result.
    lesson, replay
        Rows by label; labels must be among the head's. `replay` may be empty: then the whole batch is new.
    ewc
        Penalty, or None for none. Its coordinates must be `coordinates`.
    seed
        Of the minibatch draw: same inputs, same bits.
    """
    pool = _Pool.of(lesson, replay, head.labels)
    stride, classes = padded(features.dimension), len(head.labels)
    parameters = aligned_zeros((4, classes, stride))
    coordinates.to_parameters(head, parameters[0])
    penalty = 0.0
    if ewc is not None:
        parameters[2], parameters[3] = ewc.expanded(head.labels)
        penalty = settings.ewc_strength / max(pool.new_count, 1)
    steps = settings.epochs * -(-pool.new_count // (BATCH // 2))
    steps = int(np.clip(steps, settings.smallest_steps, settings.largest_steps))
    weights = _sample_weights(settings.replay_weight, lesson=len(lesson), classes=classes, replayed=pool.has_replay)
    rates = (settings.rate * 0.5 * (1 + np.cos(np.pi * np.arange(steps) / steps))).astype(np.float32)
    x, p = aligned_zeros((BATCH, stride)), aligned_zeros((BATCH, -(-classes // TILE) * TILE))
    generator = np.random.Generator(np.random.Philox(key=seed))
    for first in range(0, steps, STEPS_PER_CALL):
        piece = rates[first : first + STEPS_PER_CALL]
        kernels.refine_steps(
            parameters,
            pool.rows,
            pool.scales,
            pool.labels,
            pool.draw(len(piece), generator),
            weights,
            piece,
            np.float32(MOMENTUM),
            np.float32(penalty),
            coordinates.offset,
            np.float32(coordinates.factor),
            features.lift_width,
            features.seed,
            x,
            p,
        )
    return coordinates.to_head(parameters[0], head)


def _sample_weights(replay_weight: float | None, *, lesson: int, classes: int, replayed: bool) -> NDArray[np.float32]:
    """Weights (BATCH,) that sum to one: the first half of a batch is new, the second half replayed."""
    if not replayed:
        return np.full(BATCH, 1 / BATCH, np.float32)
    share = replay_weight if replay_weight is not None else float(np.clip(1 - lesson / classes, 0.5, 0.95))
    half = BATCH // 2
    return np.repeat(np.array([(1 - share) / half, share / half], np.float32), half)


@dataclass(frozen=True)
class _Pool:
    """All rows that may be drawn, in one array: the lesson's classes first, then the replayed ones."""

    rows: NDArray[np.int8]  # (N, p)
    scales: NDArray[np.float32]  # (N,)
    labels: NDArray[np.int32]  # (N,) index into the head's labels
    starts: NDArray[np.int64]  # first row of each group
    sizes: NDArray[np.int64]
    lesson_groups: int

    @staticmethod
    def of(lesson: Mapping[str, Exemplars], replay: Mapping[str, Exemplars], labels: tuple[str, ...]) -> _Pool:
        groups = [(label, lesson[label]) for label in sorted(lesson) if len(lesson[label])]
        lesson_groups = len(groups)
        groups += [(label, replay[label]) for label in sorted(replay) if len(replay[label])]
        sizes = np.array([len(rows) for _, rows in groups], np.int64)
        return _Pool(
            rows=np.concatenate([rows.rows for _, rows in groups]),
            scales=np.concatenate([rows.scales for _, rows in groups]),
            labels=np.repeat([labels.index(label) for label, _ in groups], sizes).astype(np.int32),
            starts=np.cumsum(sizes) - sizes,
            sizes=sizes,
            lesson_groups=lesson_groups,
        )

    @property
    def has_replay(self) -> bool:
        return len(self.sizes) > self.lesson_groups

    @property
    def new_count(self) -> int:
        return int(self.sizes[: self.lesson_groups].sum())

    def draw(self, steps: int, generator: np.random.Generator) -> NDArray[np.int32]:
        """(steps, BATCH) row indices, uniform over classes and then over a class's rows."""
        half = BATCH // 2 if self.has_replay else BATCH
        new = self._uniform((steps, half), 0, self.lesson_groups, generator)
        if not self.has_replay:
            return new
        old = self._uniform((steps, BATCH - half), self.lesson_groups, len(self.sizes), generator)
        return np.concatenate([new, old], axis=1)

    def _uniform(
        self, shape: tuple[int, int], first: int, last: int, generator: np.random.Generator
    ) -> NDArray[np.int32]:
        groups = generator.integers(first, last, shape)
        within = (generator.random(shape) * self.sizes[groups]).astype(np.int64)
        return (self.starts[groups] + within).astype(np.int32)
