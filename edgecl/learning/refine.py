"""Refinement: minibatches of new and replayed latents under an EWC penalty, from a head that is already good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import edgecl_kernels as kernels
import numpy as np
from edgecl_kernels.aligned import TILE, aligned_zeros, padded
from numpy.typing import NDArray

from edgecl.learning.strategies import RefineSettings
from edgecl.model.ewc import Coordinates, EwcState, add_precision
from edgecl.model.exemplars import DRAWN_AT_ONCE, Exemplars, FeatureMap, Selection
from edgecl.model.head import HeadState
from edgecl.model.model import Model
from edgecl.model.settings import BATCH

MOMENTUM = 0.9


class Rows(Protocol):
    """Rows of a class that minibatches are drawn from: a `Selection`, or a generator."""

    def __len__(self) -> int: ...

    def draw(self, which: NDArray[np.integer]) -> Exemplars: ...


def refine(
    head: HeadState,
    lesson: Mapping[str, Selection],
    replay: Mapping[str, Rows],
    ewc: EwcState | None,
    *,
    coordinates: Coordinates,
    features: FeatureMap,
    settings: RefineSettings,
    seed: int,
    among: Sequence[str] | None = None,
    drawn_at_once: int = DRAWN_AT_ONCE,
    held_by: Iterable[tuple[Exemplars, int]] = (),
) -> None:
    """Take gradient steps with `head` on class-uniform minibatches, half lesson and half replay.

    Parameters
    ----------
    head
        Where to start. Its weights and bias are changed in place: small memories have no room for a second one.
    lesson, replay
        Rows by label; labels must be in `among`. `replay` may be empty: then the whole batch is new.
    ewc
        Penalty, or None for none but that of `held_by`. Its coordinates must be `coordinates`.
    seed
        Random seed of the minibatches: same inputs, same bits.
    among
        Labels of the head that take part; None: all. The others stay as they are.
    drawn_at_once
        Rows that are drawn and gathered at a time, which bounds the workspace.
    held_by
        Without `ewc`: rows of one class, and how many samples they stand for; their Fisher diagonal anchors the
        parameters at their start.
    """
    labels = head.labels if among is None else tuple(among)
    rows = np.array([head.labels.index(label) for label in labels], np.intp)
    pool = _Pool.of(lesson, replay, labels)
    stride, classes = padded(features.dimension), len(labels)
    parameters = aligned_zeros((4, classes, stride))
    start, velocity, precision, anchor = parameters
    coordinates.to_parameters(head, start, rows)
    if ewc is not None:
        ewc.expand(labels, precision, anchor)
    else:
        anchor[:] = start
        add_precision(precision, anchor, held_by, velocity, coordinates=coordinates, features=features)
        velocity[:] = 0
    penalty = settings.ewc_strength / max(pool.new_count, 1)  # no precision, no penalty
    steps = settings.epochs * -(-pool.new_count // (BATCH // 2))
    steps = int(np.clip(steps, settings.smallest_steps, settings.largest_steps))
    weights = _sample_weights(settings.replay_weight, lesson=len(lesson), classes=classes, replayed=pool.has_replay)
    rates = (settings.rate * 0.5 * (1 + np.cos(np.pi * np.arange(steps) / steps))).astype(np.float32)
    x, p = aligned_zeros((BATCH, stride)), aligned_zeros((BATCH, -(-classes // TILE) * TILE))
    generator = np.random.Generator(np.random.Philox(key=seed))
    steps_per_call = max(drawn_at_once // BATCH, 1)
    for first in range(0, steps, steps_per_call):
        piece = rates[first : first + steps_per_call]
        drawn, answers, schedule = pool.draw(len(piece), generator, width=features.row_dimension)
        kernels.refine_steps(
            parameters,
            drawn.rows,
            drawn.scales,
            answers,
            schedule,
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
        del drawn, answers, schedule  # else they are there while the next are drawn
    coordinates.to_head(parameters[0], head, rows)


def _sample_weights(replay_weight: float | None, *, lesson: int, classes: int, replayed: bool) -> NDArray[np.float32]:
    """Return weights (BATCH,) that sum to one: the first half of a batch is new, the second half replayed."""
    if not replayed:
        return np.full(BATCH, 1 / BATCH, np.float32)
    share = replay_weight if replay_weight is not None else float(np.clip(1 - lesson / classes, 0.5, 0.95))
    half = BATCH // 2
    return np.repeat(np.array([(1 - share) / half, share / half], np.float32), half)


@dataclass(frozen=True)
class _Pool:
    """All rows that may be drawn, by class: the lesson's first, then the replayed ones."""

    groups: tuple[Rows, ...]
    labels: NDArray[np.int32]
    """(groups,) index into the head's labels."""
    sizes: NDArray[np.int64]
    """(groups,)."""
    lesson_groups: int

    @staticmethod
    def of(lesson: Mapping[str, Selection], replay: Mapping[str, Rows], labels: tuple[str, ...]) -> _Pool:
        groups: list[tuple[str, Rows]] = [(label, lesson[label]) for label in sorted(lesson) if len(lesson[label])]
        lesson_groups = len(groups)
        groups += [(label, replay[label]) for label in sorted(replay) if len(replay[label])]
        return _Pool(
            groups=tuple(rows for _, rows in groups),
            labels=np.array([labels.index(label) for label, _ in groups], np.int32),
            sizes=np.array([len(rows) for _, rows in groups], np.int64),
            lesson_groups=lesson_groups,
        )

    @property
    def has_replay(self) -> bool:
        return len(self.sizes) > self.lesson_groups

    @property
    def new_count(self) -> int:
        return int(self.sizes[: self.lesson_groups].sum())

    def draw(
        self, steps: int, generator: np.random.Generator, *, width: int
    ) -> tuple[Exemplars, NDArray[np.int32], NDArray[np.int32]]:
        """Draw rows (n, width) and labels of minibatches, uniform over classes and then over a class's rows, and order.

        The order (steps, BATCH) is the index of the rows of each minibatch.
        """
        half = BATCH // 2 if self.has_replay else BATCH
        groups = generator.integers(0, self.lesson_groups, (steps, half))
        if self.has_replay:
            old = generator.integers(self.lesson_groups, len(self.sizes), (steps, BATCH - half))
            groups = np.concatenate([groups, old], axis=1)
        within = (generator.random(groups.shape) * self.sizes[groups]).astype(np.int64)
        by_group = np.argsort(groups, axis=None, kind="stable")
        drawn, ends = within.ravel()[by_group], np.cumsum(np.bincount(groups.ravel(), minlength=len(self.sizes)))
        rows = Exemplars(np.empty((groups.size, width), np.int8), np.empty(groups.size, np.float32))
        for index, (first, last) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            if last > first:
                some = self.groups[index].draw(drawn[first:last])
                rows.rows[first:last], rows.scales[first:last] = some.rows, some.scales
        schedule = np.empty(groups.size, np.int32)
        schedule[by_group] = np.arange(groups.size, dtype=np.int32)
        return rows, self.labels[groups.ravel()[by_group]], schedule.reshape(groups.shape)


def coordinates_of(model: Model) -> Coordinates:
    """Return coordinates centred at the mean of the class means and scaled so that E‖x - g‖² = 1."""
    classes = list(model.statistics.values())
    origin = np.mean([one.mean for one in classes], axis=0)
    diagonal = np.cumsum(np.arange(1, len(origin) + 1)) - 1
    within = sum(float(one.scatter[diagonal].sum(dtype=np.float64)) for one in classes)
    within /= max(sum(one.count for one in classes) - len(classes), 1)
    between = float(np.mean([np.square(one.mean - origin).sum() for one in classes]))
    return Coordinates(origin.astype(np.float32), float(1 / np.sqrt(max(within + between, 1e-12))))


def typical_logits(head: HeadState, model: Model) -> NDArray[np.float32]:
    """Return the logit of each class's mean for its own class."""
    logits = [
        float(head.weights[index] @ model.statistics[label].mean + head.bias[index])
        for index, label in enumerate(head.labels)
    ]
    return np.maximum(logits, 0).astype(np.float32)
