"""Evidence for a verdict: how the old model and a candidate predict samples that neither was made from.

A closed form predicts every kept sample as if it had never seen it; a refined head the kept samples that
gradient steps never drew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecl.gate.ask import Scale
from edgecl.gate.verdict import Contradiction, Evidence, Foreign
from edgecl.model.closed_form import Factor, leave_one_out, squared_distances, whitened_cosine
from edgecl.model.exemplars import Exemplars, Selection, is_evidence
from edgecl.model.head import HeadState, probabilities
from edgecl.model.model import Lesson, Model, factor_of
from edgecl.units import format_bytes

EVIDENCE_PER_CLASS = 48  # kept samples of a class that are judged
CONFIDENT = 0.5  # probability from which a prediction is confident
FAMILIAR = 3.0  # relative squared distance up to which a sample may be of the class that it is predicted as
COMMON_LABELS = 3  # known labels in a lesson from which a shift of all can be distinguished from noise in one


@dataclass(frozen=True)
class Known:
    """The old model as a lesson is compared with it. Its factor lives in a workspace: drop it before the next one."""

    factor: Factor
    judged: Mapping[str, Exemplars]
    """A few kept samples of each class."""
    seen: Mapping[str, _Seen]
    """What the closed form answers for them, each left out."""
    typical: float
    """Median squared distance of a kept sample to its own class, which it is left out of."""

    @property
    def scale(self) -> Scale:
        """The units in which names are compared."""
        factor = self.factor
        effective = factor.effective_dimension
        return Scale.of(factor.whitened, factor.counts, typical=self.typical, effective_dimension=effective)

    @staticmethod
    def of(model: Model) -> Known | None:
        """Return what is known; None of a model without classes."""
        if not model.statistics or model.head is None:
            return None
        judged = {
            label: one.spread(EVIDENCE_PER_CLASS)
            for label, one in model.exemplars.items()
            if len(one) and model.statistics[label].count > 1  # a single sample leaves nothing to be judged by
        }
        factor = factor_of(model)
        seen = {label: left_out(factor, model, rows, label, old=model) for label, rows in judged.items()}
        return Known(factor, judged, seen, _typical_distance(seen))


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
            if label not in factor.labels:
                continue
            logits, distances = _answers(factor, model, head, rows.spread(EVIDENCE_PER_CLASS))
            contradictions += _contradictions(label, head, logits, distances / known.typical)
            own = distances[:, factor.labels.index(label)]
            recall = float(np.mean(logits.argmax(axis=1) == head.labels.index(label)))
            foreign.append(Foreign(label, float(np.median(own)) / known.typical, recall, len(own)))
        correct = {label: one.correct for label, one in known.seen.items()}
        return Before(known.judged, correct, tuple(contradictions), tuple(_relative_to_lesson(foreign)))


def _relative_to_lesson(foreign: list[Foreign]) -> list[Foreign]:
    """Return distances over what the labels of a lesson have in common: another wearer or room moves them all."""
    if len(foreign) < COMMON_LABELS:
        return foreign
    common = max(1.0, float(np.median([one.distance for one in foreign])))
    return [replace(one, distance=one.distance / common) for one in foreign]


@dataclass(frozen=True)
class _Seen:
    correct: NDArray[np.bool_]
    """(n,)."""
    among_old: NDArray[np.bool_]
    """(n,) whether it would be right if only old classes could be answered."""
    distance: NDArray[np.float64]
    """(n,) squared Mahalanobis distance to the own class."""


def left_out(factor: Factor, model: Model, rows: Exemplars, label: str, *, old: Model) -> _Seen:
    """Score samples of a class by the closed form, each left out; nothing where the class has no others."""
    own = factor.labels.index(label)
    if factor.counts[own] < 2:
        return _Seen(np.zeros(0, bool), np.zeros(0, bool), np.zeros(0))
    parts = [leave_one_out(factor, block, own=own) for block in model.settings.features.blocks(rows)]
    return _Seen(
        np.concatenate([one.logits.argmax(axis=1) == own for one in parts]),
        np.concatenate([_masked(one.logits, factor.labels, old).argmax(axis=1) == own for one in parts]),
        np.concatenate([one.distance for one in parts]),
    )


def _masked(logits: NDArray[np.floating], labels: Sequence[str], old: Model) -> NDArray[np.floating]:
    """Return logits (n, C) with classes that the old model does not have at minus infinity."""
    known = np.array([label in old.statistics for label in labels])
    return np.where(known, logits, -np.inf)


def _typical_distance(seen: Mapping[str, _Seen]) -> float:
    """Return the median squared distance of a kept sample to its own class without it."""
    distances = [one.distance for one in seen.values() if len(one.distance)]
    return float(np.median(np.concatenate(distances))) if distances else np.inf


def _answers(
    factor: Factor, model: Model, head: HeadState, rows: Exemplars
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return logits (n, C) and squared distances (n, C) of samples that the model has not seen."""
    pairs = [(head.logits(block), squared_distances(factor, block)) for block in model.settings.features.blocks(rows)]
    return np.concatenate([one for one, _ in pairs]), np.concatenate([one for _, one in pairs])


def _contradictions(
    label: str, head: HeadState, logits: NDArray[np.float32], distances: NDArray[np.float64]
) -> Iterator[Contradiction]:
    """Yield the other classes as which samples of a known label are predicted, with confidence and typically."""
    answers = logits.argmax(axis=1)
    rank = np.arange(len(answers))
    confident = probabilities(logits)[rank, answers] > CONFIDENT
    sure = answers[confident & (distances[rank, answers] < FAMILIAR)]
    for other in np.unique(sure):
        if head.labels[other] != label:
            yield Contradiction(label, head.labels[other], int((sure == other).sum()), len(answers))


@dataclass(frozen=True)
class After:
    """What a candidate predicts for the same samples."""

    before: Mapping[str, NDArray[np.bool_]]
    """Paired with `after`."""
    after: Mapping[str, NDArray[np.bool_]]
    among_old: Mapping[str, NDArray[np.bool_]]
    taught: Mapping[str, NDArray[np.bool_]]

    @staticmethod
    def left_out(factor: Factor, model: Model, taught: Model, lesson: Lesson, before: Before) -> After:
        """Score every judged sample and the lesson's by the closed form of `factor`, each left out in turn."""
        seen = {label: left_out(factor, taught, rows, label, old=model) for label, rows in before.judged.items()}
        sample = {label: rows.spread(EVIDENCE_PER_CLASS) for label, rows in lesson.rows.items()}
        return After(
            before=before.correct,
            after={label: one.correct for label, one in seen.items()},
            among_old={label: one.among_old for label, one in seen.items()},
            taught={label: left_out(factor, taught, rows, label, old=model).correct for label, rows in sample.items()},
        )

    @staticmethod
    def held_out(model: Model, candidate: Model, lesson: Lesson) -> After:
        """Score the kept samples that are never replayed, before and after, and those of the lesson's classes."""
        before, after, among_old, taught = {}, {}, {}, {}
        for label, one in candidate.exemplars.items():
            rows = one.take(np.flatnonzero(is_evidence(len(one)))[:EVIDENCE_PER_CLASS])
            correct = correct_answers(candidate, rows, label)
            if label in lesson.rows:
                taught[label] = correct
            if model.head is not None and label in model.head.labels:
                before[label], after[label] = correct_answers(model, rows, label), correct
                among_old[label] = correct_answers(candidate, rows, label, old=model)
        return After(before, after, among_old, taught)


def correct_answers(model: Model, rows: Exemplars, label: str, *, old: Model | None = None) -> NDArray[np.bool_]:
    """Test which rows of a class are predicted right, among all classes or among those of an old model."""
    head = model.head
    assert head is not None
    logits = [head.logits(block) for block in model.settings.features.blocks(rows)]
    if not logits:
        return np.zeros(0, bool)
    joined = np.concatenate(logits)
    if old is not None:
        joined = _masked(joined, head.labels, old)
    return np.asarray(joined.argmax(axis=1) == head.labels.index(label))


def gains_left_out(refined: Model, closed: Model, undrawn: Mapping[str, Selection]) -> dict[str, NDArray[np.float64]]:
    """Return, by class, 1 for each sample whose prediction refinement corrects and -1 where it spoils one.

    Each sample is left out of the closed form under both heads: a refined head is that closed form and a difference,
    which has not seen the sample.
    """
    assert refined.head is not None
    assert closed.head is not None
    factor, gains = factor_of(closed), {}
    for own, label in enumerate(factor.labels):
        if factor.counts[own] < 2 or not len(undrawn[label]):
            continue
        parts = []
        for block in closed.settings.features.blocks(undrawn[label].all().first(EVIDENCE_PER_CLASS)):
            logits = leave_one_out(factor, block, own=own).logits
            further = logits + refined.head.logits(block) - closed.head.logits(block)
            parts.append((further.argmax(axis=1) == own) - (logits.argmax(axis=1) == own).astype(float))
        gains[label] = np.concatenate(parts)
    return gains


def evidence_of(model: Model, candidate: Model, lesson: Lesson, before: Before, after: After) -> Evidence:
    faults = []
    if candidate.head is None or not candidate.head.is_finite:
        faults.append("the candidate is not finite: was the lesson extreme, or the rate too high?")
    held = candidate.bytes()["total"]
    if held > model.settings.memory_bytes:
        faults.append(f"the model would take {format_bytes(held)}, {format_bytes(model.settings.memory_bytes)} granted")
    return Evidence(
        before=after.before,
        after=after.after,
        among_old=after.among_old,
        taught=after.taught,
        new_labels=frozenset(lesson.rows) - frozenset(model.statistics),
        contradictions=before.contradictions,
        foreign=before.foreign,
        faults=faults,
    )
