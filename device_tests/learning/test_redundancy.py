"""A lesson that has nothing new."""

from __future__ import annotations

import numpy as np

from edgecl.learning.loop import learn
from edgecl.model.model import MemoryObjects, Model

from ..support.learning import ANYTHING, Words, as_lesson, head_arrays, settings, settled, taught, teach


def test_what_is_answered_with_confidence_leaves_the_model_as_it_is(words: Words) -> None:
    model = taught(Model(settings()), words.lesson(100))
    objects = MemoryObjects()
    outcome = teach(model, settled(words, model, words.labels[0], 10), objects=objects)
    assert outcome.is_unchanged
    assert outcome.model is model
    assert outcome.verdict.accepted
    assert "nothing to learn" in outcome.verdict.reasons[0]
    one = teach(model, settled(words, model, words.labels[0], 1), objects=objects)
    assert one.verdict.reasons[0].startswith("the sample is predicted as it is taught")


def test_new_labels_weak_answers_and_weighty_lessons_are_learnt(words: Words) -> None:
    known, label = words.labels[:5], words.labels[0]
    model = taught(Model(settings()), words.lesson(100, known))
    ten = settled(words, model, label, 10)
    other = model.statistics[known[1]].mean.astype(np.float32)
    drifted = {label: ten[label] + 0.3 * (other - ten[label])}
    for lesson in (
        {words.labels[5]: ten[label]},
        {**ten, known[1]: ten[label][:3]},
        settled(words, model, label, 11),
        drifted,
    ):
        assert not teach(model, lesson, objects=MemoryObjects(), policy=ANYTHING).is_unchanged


def test_a_named_strategy_and_force_teach_what_is_not_new(words: Words) -> None:
    model = taught(Model(settings()), words.lesson(100))
    lesson = as_lesson(model, settled(words, model, words.labels[0], 10))
    for more in ({"strategy": "closed-form"}, {"force": True}):
        outcome = learn(model, lesson, objects=MemoryObjects(), **more)  # type: ignore[arg-type]
        assert outcome.model is not None
        assert outcome.model.statistics[words.labels[0]].count == 110


def test_a_class_that_comes_back_blends_with_what_was_known_of_it(words: Words) -> None:
    first, second = words.lesson(30), {words.labels[0]: words.say(words.labels[0], 20) + np.float32(0.5)}
    model = taught(Model(settings()), first, second)
    both = {**first, words.labels[0]: np.concatenate([first[words.labels[0]], second[words.labels[0]]])}
    np.testing.assert_allclose(head_arrays(model), head_arrays(taught(Model(settings()), both)), atol=1e-4)
    assert model.statistics[words.labels[0]].count == 50
