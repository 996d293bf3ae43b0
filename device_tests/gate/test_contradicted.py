"""Which samples of a lesson contradict a known label, by how well that label is known."""

from __future__ import annotations

import numpy as np
import pytest

from edgecl.gate.gather import MEAN_ERRORS, Before, _sure_answers
from edgecl.learning.loop import learn
from edgecl.model.model import MemoryObjects, Model

from ..support.learning import Words, as_lesson, settings, taught

BETWEEN = 0.52  # of the way from its own class to another, where a second person's samples are


@pytest.mark.parametrize(("known_by", "contradict"), [(3, 0), (5, 0), (8, 6), (40, 6)])
def test_samples_a_little_nearer_to_another_class_contradict_only_a_label_that_many_taught(
    known_by: int, contradict: int
) -> None:
    logits = np.zeros((6, 4), np.float32)
    logits[:, 1] = 9  # a confident answer
    distances = np.full(logits.shape, 5.0)
    distances[:, :2] = 1.3, 1.0
    sure = _sure_answers(logits, distances, own=0, margin=MEAN_ERRORS / known_by)
    assert (sure == 1).sum() == contradict


def test_another_class_contradicts_a_label_that_five_samples_taught() -> None:
    words = Words(4)
    own, other, *others = words.labels
    model = taught(Model(settings()), {own: words.say(own, 5), **words.lesson(40, [other, *others])})
    [found] = Before.of(model, as_lesson(model, {own: words.say(other, 12)})).contradictions
    assert (found.label, found.answered_as, found.of) == (own, other, 12)
    assert found.samples >= 10


@pytest.mark.parametrize("seed", range(5))
def test_a_second_person_nearer_to_another_class_contradicts_only_a_label_that_many_taught(seed: int) -> None:
    words = Words(5, seed=seed, apart=1.0)
    own, other, *others = words.labels
    lesson = words.lesson(40, [other, *others])
    few = taught(Model(settings()), {own: words.say(own, 5), **lesson})
    many = taught(Model(settings()), {own: words.say(own, 40), **lesson})
    way = (many.statistics[other].mean - many.statistics[own].mean).astype(np.float32)
    moved = {own: words.say(own, 10) + BETWEEN * way}
    assert not Before.of(few, as_lesson(few, moved)).contradictions
    outcome = learn(few, as_lesson(few, moved), objects=MemoryObjects())
    assert outcome.model is not None, outcome.verdict.reasons
    assert Before.of(many, as_lesson(many, moved)).contradictions
