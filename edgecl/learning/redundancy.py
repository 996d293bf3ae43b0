"""Redundancy: tests whether a lesson contains anything new."""

from __future__ import annotations

import numpy as np

from edgecl.gate.bounds import ONE_SIDED_95
from edgecl.model.closed_form import whitened_cosine
from edgecl.model.exemplars import Exemplars
from edgecl.model.head import HeadState, probabilities
from edgecl.model.lesson import Lesson
from edgecl.model.model import Model, factor_of

SETTLED_SHARE = 0.1  # of the samples that a class was taught: so few more of the same would hardly move it
SETTLED_CONFIDENCE = 0.9


def has_nothing_new(model: Model, lesson: Lesson) -> bool:
    """Whether the model answers all of a lesson as it is taught, with confidence, and would hardly be moved by it.

    For each label the lesson has at most SETTLED_SHARE of the samples that the class was taught; each is answered
    right with SETTLED_CONFIDENCE; and together they get no lower logits than the class's own: these have the mean
    `typical`, and in whitened space unit variance, so their mean over n samples falls below typical - 1.645/√n only
    once in twenty lessons of the same. A lower one is a drift, of a speaker or a place, that is worth learning. Where
    the head is refined it says what is answered, and its closed form how typical that is.
    """
    head = model.head
    if head is None or not lesson.rows or not (head.kind == "whitened-cosine" or head.is_refined):
        return False
    known = model.statistics
    if any(label not in known or len(rows) > SETTLED_SHARE * known[label].count for label, rows in lesson.rows.items()):
        return False
    closed = head if head.kind == "whitened-cosine" else whitened_cosine(factor_of(model))
    return all(_is_settled(model, head, closed, label, rows) for label, rows in lesson.rows.items())


def _is_settled(model: Model, head: HeadState, closed: HeadState, label: str, rows: Exemplars) -> bool:
    own, usual = head.labels.index(label), 0.0
    for block in model.settings.features.blocks(rows):
        if probabilities(head.logits(block))[:, own].min() < SETTLED_CONFIDENCE:
            return False
        usual += float(closed.logits(block)[:, own].sum()) / len(rows)
    return bool(usual >= closed.typical[own] - ONE_SIDED_95 / np.sqrt(len(rows)))
