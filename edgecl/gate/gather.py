"""Evidence for a verdict: how the old model and a candidate predict samples that neither was made from.

A closed form predicts every kept sample as if it had never seen it; a refined head those that its steps never drew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgecl.gate.resemblance import MEANS_AT_ONCE, Scale
from edgecl.gate.verdict import Contradiction, Foreign
from edgecl.metrics import median
from edgecl.model.exemplars import Exemplars
from edgecl.model.head import (
    SOLVED_ROWS,
    Factor,
    HeadState,
    LeftOut,
    leave_each_out,
    probabilities,
    squared_distances,
    whitened_cosine,
)
from edgecl.model.model import Lesson, Model, factor_of
from edgecl.values import dataclass, field, replace

EVIDENCE_PER_CLASS = 48  # kept samples of a class that are judged
CONFIDENT = 0.5  # probability from which a prediction is confident
MEAN_ERRORS = 2.0  # a mean of n samples is off by 1/n of a typical squared distance: how much nearer another must be
FAMILIAR = 3.0  # relative squared distance up to which a sample may be of the class that it is predicted as
COMMON_LABELS = 3  # known labels in a lesson from which a shift of all can be distinguished from noise in one


@dataclass(frozen=True)
class Known:
    """The old model as a lesson is compared with it. Its factor lives in a workspace: drop it before the next one."""

    factor: Factor
    judged: Mapping[str, Exemplars]
    """A few kept samples of each class."""
    seen: Mapping[str, Seen]
    """What the closed form answers for them, each left out."""
    typical: float
    """Median squared distance of a kept sample to its own class, which it is left out of."""

    @property
    def scale(self) -> Scale:
        """The units in which names are compared."""
        factor = self.factor
        effective, at_once = factor.effective_dimension, MEANS_AT_ONCE if factor.pages is None else SOLVED_ROWS
        return Scale.of(
            factor.whitened, factor.counts, typical=self.typical, effective_dimension=effective, at_once=at_once
        )

    @staticmethod
    def of(model: Model) -> Known | None:
        """Return what is known; None of a model without classes."""
        if not model.statistics or model.head is None:
            return None
        judged, factor = judged_rows(model), factor_of(model)
        seen = left_out(factor, model, judged, old=model, kept=model.exemplars)
        distances = [one.distance for one in seen.values() if len(one.distance)]
        return Known(factor, judged, seen, median(np.concatenate(distances)) if distances else np.inf)


def judged_rows(model: Model) -> dict[str, Exemplars]:
    """Return a few kept samples of each class; a class of a single sample has nothing to be judged by."""
    counts, paged = model.statistics, model.settings.paged
    kept = {label: one for label, one in model.exemplars.items() if len(one) and counts[label].count > 1}
    return {label: one.spread(EVIDENCE_PER_CLASS, as_view=paged) for label, one in kept.items()}


@dataclass(frozen=True)
class Before:
    """What the old model predicts: its kept samples, each left out, and the lesson."""

    judged: Mapping[str, Exemplars]
    """A few kept samples of each old class."""
    correct: Mapping[str, NDArray[np.bool_]]
    """The closed form's, each sample left out."""
    contradictions: tuple[Contradiction, ...]
    foreign: tuple[Foreign, ...]

    @staticmethod
    def of(model: Model, lesson: Lesson, known: Known | None = None) -> Before:
        """Return what a model answers to a lesson; `known` saves factoring it again."""
        known = known or Known.of(model)
        if known is None or model.head is None:
            return Before({}, {}, (), ())
        factor = known.factor
        head = whitened_cosine(factor) if model.head.is_refined else model.head  # as distances are measured
        contradictions: list[Contradiction] = []
        foreign: list[Foreign] = []
        for label, rows in sorted(lesson.rows.items()):
            if label not in factor.labels or not known.typical > 0:  # where all are in one place, none is far
                continue
            index = factor.labels.index(label)
            some = rows.spread(EVIDENCE_PER_CLASS, as_view=model.settings.paged)
            answers, sure, distances = _answers(factor, model, head, some, index, typical=known.typical)
            recall, odds = float(np.mean(answers == index)), dict[int, float]()
            if recall < 1:
                from edgecl.gate.conditions import contradicting, odds_of_few  # few lessons contradict what is known

                odds = odds_of_few(label, factor, known.scale, model, lesson)
                contradictions += contradicting(label, sure, factor, model, lesson, odds)
            foreign.append(Foreign(label, median(distances) / known.typical, recall, len(answers), odds.get(index)))
        correct = {label: one.correct for label, one in known.seen.items()}
        return Before(known.judged, correct, tuple(contradictions), tuple(_relative_to_lesson(foreign)))


def _relative_to_lesson(foreign: list[Foreign]) -> list[Foreign]:
    """Return distances over what the labels of a lesson have in common: another wearer or room moves them all."""
    common = max(1.0, median([one.distance for one in foreign])) if len(foreign) >= COMMON_LABELS else 1.0
    return [replace(one, distance=one.distance / common) for one in foreign]


@dataclass(frozen=True)
class Seen:
    correct: NDArray[np.bool_]
    """(n,)."""
    among_old: NDArray[np.bool_]
    """(n,) whether it would be right if only old classes could be answered."""
    distance: NDArray[np.float64]
    """(n,) squared Mahalanobis distance to the own class."""

    def put(self, first: int, found: LeftOut, own: int, among: NDArray[np.bool_]) -> None:
        """Put in what is found of samples of class `own` from `first` on; `among` (C,) are the old classes."""
        here = slice(first, first + len(found.distance))
        self.correct[here] = found.logits.argmax(axis=1) == own
        self.among_old[here] = np.where(among, found.logits, -np.inf).argmax(axis=1) == own
        self.distance[here] = found.distance


def left_out(
    factor: Factor,
    model: Model,
    rows: Mapping[str, Exemplars],
    *,
    old: Model,
    kept: Mapping[str, Exemplars],
    like: Mapping[str, float] | None = None,
) -> dict[str, Seen]:
    """Score samples of classes by the closed form, each left out; nothing of a class that has no others.

    With it goes, of `kept` rows of its class, what is of its recording or has a cosine of `like` with it.
    """
    where = {label: index for index, label in enumerate(factor.labels)}
    among = np.array([label in old.statistics for label in where])  # (C,)
    near = {label: (like or {}).get(label, math.inf) for label in rows}
    mated = {label for label in rows if kept[label].recordings is not None or near[label] < math.inf}
    judged = {label: one for label, one in rows.items() if factor.counts[where[label]] > 1}
    counts = {label: len(one) if label in judged else 0 for label, one in rows.items()}
    seen = {label: Seen(np.zeros(n, bool), np.zeros(n, bool), np.zeros(n)) for label, n in counts.items()}
    filled, whole = dict.fromkeys(rows, 0), {label: list[LeftOut]() for label in mated}
    for together in model.settings.features.blocks_of_several(judged):
        found = leave_each_out(factor, [(where[label], block) for label, block in together])
        for (label, _), one in zip(together, found, strict=True):
            if label in mated:
                whole[label].append(one)
                continue
            seen[label].put(filled[label], one, where[label], among)
            filled[label] += len(one.distance)
    for label, several in whole.items():
        if several:
            from edgecl.gate.witnesses import without_mates  # few classes are of recordings

            logits, own = np.concatenate([one.logits for one in several]), where[label]
            logits = without_mates(logits, factor, model, rows[label], kept[label], own=own, like=near[label])
            distance = np.concatenate([one.distance for one in several])
            seen[label].put(0, LeftOut(logits, distance), own, among)
    return seen


def _taught(factor: Factor, model: Model, lesson: Lesson, *, old: Model) -> dict[str, NDArray[np.bool_]]:
    """Test which samples of a lesson, or groups of them, are predicted right, each left out; by class."""
    paged = model.settings.paged
    alone = {label: rows.spread(EVIDENCE_PER_CLASS, as_view=paged) for label, rows in lesson.rows.items()}
    for label in lesson.recordings.keys() & alone.keys():
        del alone[label]
    right = {label: one.correct for label, one in left_out(factor, model, alone, old=old, kept=alone).items()}
    for label in lesson.rows.keys() - alone.keys():
        from edgecl.gate.witnesses import right_groups  # few lessons have groups

        right[label] = right_groups(factor, model, lesson, label, most=EVIDENCE_PER_CLASS)
    return {label: right[label] for label in lesson.rows}


def _answers(
    factor: Factor, model: Model, head: HeadState, rows: Exemplars, own: int, *, typical: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return what samples of class `own`, which the model has not seen, are answered as, block by block.

    Each is (n,): the answer; the class as which it is predicted with confidence and typically, or -1; and its squared
    distance to the class.
    """
    parts = []
    for block in model.settings.features.blocks(rows):
        logits, distances = head.logits(block), squared_distances(factor, block)
        sure = _sure_answers(logits, distances / typical, own, MEAN_ERRORS / factor.counts[own])
        parts.append((logits.argmax(axis=1), sure, distances[:, own].copy()))
    answers, sure, distances = (np.concatenate(one) for one in zip(*parts, strict=True))
    return answers, sure, distances


def _sure_answers(
    logits: NDArray[np.float32], distances: NDArray[np.float64], own: int, margin: float
) -> NDArray[np.intp]:
    """Return the class (n,) as which each sample is predicted, with confidence and typically; -1 where it is not."""
    answers = logits.argmax(axis=1)
    best = np.take_along_axis(distances, answers[:, None], axis=1)[:, 0]
    is_nearer = (answers == own) | (distances[:, own] - best > margin)
    is_sure = (probabilities(logits).max(axis=1) > CONFIDENT) & (best < FAMILIAR) & is_nearer
    return np.asarray(np.where(is_sure, answers, -1), np.intp)


@dataclass(frozen=True)
class After:
    """What a candidate predicts for the same samples."""

    before: Mapping[str, NDArray[np.bool_]]
    """Paired with `after`."""
    after: Mapping[str, NDArray[np.bool_]]
    among_old: Mapping[str, NDArray[np.bool_]]
    taught: Mapping[str, NDArray[np.bool_]]
    people: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    @staticmethod
    def left_out(factor: Factor, model: Model, taught: Model, lesson: Lesson, before: Before) -> After:
        """Score every judged sample and the lesson's by the closed form of `factor`, each left out in turn."""
        kept = {label: lesson.beside(label, model.exemplars[label]) for label in before.judged}
        like = dict.fromkeys(lesson.rows, lesson.like)
        seen = left_out(factor, taught, before.judged, old=model, kept=kept, like=like)
        several = [one for one in lesson.rows if one not in model.statistics and lesson.is_of_several(one)]
        people: dict[str, NDArray[np.bool_]] = {}
        if several:
            from edgecl.gate.witnesses import right_people  # few lessons are of several people

            people = right_people(factor, taught, lesson, several)
        return After(
            before=before.correct,
            after={label: one.correct for label, one in seen.items()},
            among_old={label: one.among_old for label, one in seen.items()},
            taught=_taught(factor, taught, lesson, old=model),
            people=people,
        )
