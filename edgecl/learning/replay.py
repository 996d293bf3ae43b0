"""The named strategies with gradient steps: naive, replay, ewc and ewc-replay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecl.gate.gather import EVIDENCE_PER_CLASS, After
from edgecl.learning.refine import coordinates_of, refine, typical_logits
from edgecl.learning.strategies import REFINE_PER_CLASS, Rung
from edgecl.model.ewc import Coordinates, EwcState, consolidate
from edgecl.model.exemplars import Exemplars, Selection, is_evidence
from edgecl.model.head import HeadState
from edgecl.model.model import Lesson, Model


def grown_head(head: HeadState | None, taught: Model) -> HeadState:
    """Return the old head with zero rows for the classes that it does not have."""
    labels, width = taught.labels, taught.settings.features.dimension
    weights, bias = np.zeros((len(labels), width), np.float32), np.zeros(len(labels), np.float32)
    typical = np.zeros(len(labels), np.float32)
    if head is not None:
        rows = [labels.index(label) for label in head.labels]
        weights[rows], bias[rows], typical[rows] = head.weights, head.bias, head.typical
    return HeadState(labels, weights, bias, typical, "refined")


def refine_with_replay(rung: Rung, start: Model, taught: Model, lesson: Lesson, *, seed: int) -> Model:
    """Take gradient steps from the head of `start`; the result has its consolidated EWC state."""
    assert start.head is not None
    features = taught.settings.features
    coordinates = taught.ewc.coordinates if taught.ewc else coordinates_of(taught)
    sample = {label: Selection.of(rows, REFINE_PER_CLASS) for label, rows in lesson.rows.items()}
    replayed: dict[str, Selection] = {}
    if "replay" in rung.strategy:
        replayed = {
            label: Selection.of(one).divided(is_evidence(len(one)))[0] for label, one in taught.exemplars.items()
        }
        sample = {label: without_evidence(rows, taught.exemplars.get(label)) for label, rows in sample.items()}
    ewc = None
    if "ewc" in rung.strategy:
        ewc = taught.ewc or _recomputed(start, taught, coordinates, without=frozenset(lesson.rows))
    head = start.head
    refine(
        head,
        sample,
        replayed,
        ewc,
        coordinates=coordinates,
        features=features,
        settings=rung.settings,
        seed=seed,
        drawn_at_once=taught.settings.drawn_at_once,
    )
    head = replace(head, typical=typical_logits(head, taught))
    fresh = ((rows.all(), len(lesson.rows[label])) for label, rows in sample.items())
    state = consolidate(ewc, head, fresh, coordinates=coordinates, features=features)
    return replace(taught, head=head, ewc=state)


def without_evidence(rows: Selection, kept: Exemplars | None) -> Selection:
    """Return rows of a lesson without those that became evidence: no head is judged by rows that it was fitted to."""
    if kept is None:
        return rows
    evidence = {row.tobytes() for row in kept.rows[is_evidence(len(kept))]}
    fresh = np.array([row.tobytes() not in evidence for row in rows.all().rows], bool)
    return Selection(rows.source, rows.indices[fresh]) if fresh.any() else rows


def _recomputed(start: Model, taught: Model, coordinates: Coordinates, *, without: frozenset[str]) -> EwcState | None:
    """Compute the EWC state from head and exemplars, for a model without one; classes of the lesson are free."""
    assert start.head is not None
    known = [(one, taught.statistics[label].count) for label, one in taught.exemplars.items() if label not in without]
    if not known:
        return None
    return consolidate(None, start.head, known, coordinates=coordinates, features=taught.settings.features)


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
        joined = np.where([one in old.statistics for one in head.labels], joined, -np.inf)
    return np.asarray(joined.argmax(axis=1) == head.labels.index(label))
