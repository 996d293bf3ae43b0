"""The loop on latents with known answers: order, determinism, strategies, what is refused and what is let in."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import SettingError
from edgecl.learning.loop import Stage, learn, lesson_stages
from edgecl.learning.strategies import STRATEGIES
from edgecl.model.model import MemoryObjects, Model

from ..support.learning import (
    ANYTHING,
    FileObjects,
    Words,
    accuracy,
    as_lesson,
    head_arrays,
    known,
    reloaded,
    settings,
    taught,
    teach,
)


def test_lessons_in_any_order_give_the_same_head(words: Words) -> None:
    lessons = [{label: words.say(label, 20)} for label in words.labels[:4]]
    heads = [head_arrays(taught(Model(settings()), *order)) for order in permutations(lessons)]
    for head in heads[1:]:
        np.testing.assert_allclose(head, heads[0], atol=1e-5 * np.abs(heads[0]).max())


def test_the_same_samples_in_other_lessons_give_the_same_head(words: Words) -> None:
    whole = words.lesson(24)
    parts = [{label: rows[first::3] for label, rows in whole.items()} for first in range(3)]
    singles = [{label: rows[first : first + 1]} for label, rows in whole.items() for first in range(24)]
    at_once = head_arrays(taught(Model(settings()), whole))
    for lessons in (parts, parts[::-1], singles):
        head = head_arrays(taught(Model(settings()), *lessons))
        np.testing.assert_allclose(head, at_once, atol=1e-5 * np.abs(at_once).max())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_inputs_give_the_same_bits(words: Words, strategy: str) -> None:
    lessons = [words.lesson(20, words.labels[:3]), words.lesson(20, words.labels[3:])]
    first = head_arrays(taught(Model(settings()), *lessons, strategy=strategy))
    second = head_arrays(taught(Model(settings()), *lessons, strategy=strategy))
    assert np.array_equal(first, second)


def test_another_seed_draws_other_minibatches(words: Words) -> None:
    lesson = words.lesson(20)
    heads = []
    for seed in (0, 1):
        outcome = teach(
            Model(settings()), lesson, objects=MemoryObjects(), strategy="replay", seed=seed, policy=ANYTHING
        )
        assert outcome.model is not None
        heads.append(head_arrays(outcome.model))
    assert not np.array_equal(heads[0], heads[1])


@pytest.mark.parametrize("strategy", ["auto", "closed-form", "ewc-replay", "replay"])
def test_a_stream_of_classes_is_kept(words: Words, strategy: str) -> None:
    lessons = [words.lesson(30, words.labels[first : first + 2]) for first in (0, 2, 4)]
    assert accuracy(taught(Model(settings()), *lessons, strategy=strategy), words.lesson(50)) > 0.9


def test_naive_gradient_steps_forget_and_replay_does_not(words: Words) -> None:
    lessons = [words.lesson(30, words.labels[first : first + 2]) for first in (0, 2, 4)]
    old = words.lesson(50, words.labels[:4])
    assert accuracy(taught(Model(settings()), *lessons, strategy="naive"), old) < 0.5
    assert accuracy(taught(Model(settings()), *lessons, strategy="replay"), old) > 0.85


def test_the_stages_come_in_the_order_of_the_loop(words: Words) -> None:
    model = Model(settings())
    run = lesson_stages(model, as_lesson(model, words.lesson(10)), objects=MemoryObjects())
    assert [stage.name for stage in run] == ["sift", "statistics", "update", "judge"]
    assert isinstance(Stage("judge", ""), Stage)


def test_five_good_samples_of_a_new_word_are_accepted(words: Words) -> None:
    objects = MemoryObjects()
    model = teach(Model(settings()), words.lesson(30, words.labels[:5]), objects=objects).model
    assert model is not None
    outcome = teach(model, {words.labels[5]: words.say(words.labels[5], 5)}, objects=objects)
    assert outcome.verdict.accepted
    assert outcome.model is not None
    assert words.labels[5] in outcome.model.labels
    assert accuracy(outcome.model, words.lesson(50, words.labels[5:])) > 0.9


def test_swapped_labels_are_refused_and_named(words: Words) -> None:
    objects = MemoryObjects()
    model = known(words, objects)
    first, second = words.labels[:2]
    outcome = teach(model, {first: words.say(second, 5), second: words.say(first, 5)}, objects=objects)
    assert outcome.model is None
    assert first in outcome.verdict.reasons[0]
    assert second in outcome.verdict.reasons[0]


def test_another_words_samples_under_a_known_name_are_refused(words: Words) -> None:
    objects = MemoryObjects()
    outcome = teach(known(words, objects), {words.labels[0]: words.say(words.labels[1], 5)}, objects=objects)
    assert not outcome.verdict.accepted


def test_an_old_word_under_a_new_name_is_refused(words: Words) -> None:
    objects = MemoryObjects()
    outcome = teach(known(words, objects), {"new": words.say(words.labels[1], 8)}, objects=objects)
    assert not outcome.verdict.accepted
    assert words.labels[1] in " ".join(outcome.verdict.reasons)


def test_noise_under_a_known_name_is_refused(words: Words, rng: np.random.Generator) -> None:
    objects = MemoryObjects()
    noise = 4 * rng.standard_normal((5, 24)).astype(np.float32)
    outcome = teach(known(words, objects), {words.labels[0]: noise}, objects=objects)
    assert not outcome.verdict.accepted
    assert "noise" in outcome.verdict.reasons[0]


def test_good_samples_of_a_known_word_are_accepted_and_proven(words: Words) -> None:
    objects = MemoryObjects()
    outcome = teach(known(words, objects), {words.labels[0]: words.say(words.labels[0], 5)}, objects=objects)
    assert outcome.verdict.accepted
    assert outcome.verdict.proven


def test_force_hands_over_a_refused_candidate_with_its_verdict(words: Words) -> None:
    objects = MemoryObjects()
    model = known(words, objects)
    lesson = as_lesson(model, {words.labels[0]: words.say(words.labels[1], 5)})
    outcome = learn(model, lesson, objects=objects, force=True)
    assert outcome.model is not None
    assert not outcome.verdict.accepted


def test_too_many_classes_are_a_rejection_that_names_what_would_do(words: Words) -> None:
    outcome = teach(Model(settings(max_classes=4)), words.lesson(5), objects=MemoryObjects())
    assert outcome.model is None
    assert "for 6 classes or more" in outcome.verdict.reasons[0]


def test_one_sample_is_taught_and_said_to_be_unproven(words: Words) -> None:
    outcome = teach(Model(settings()), {"one": words.say(words.labels[0], 1)}, objects=MemoryObjects())
    assert outcome.verdict.accepted
    assert not outcome.verdict.proven
    assert "unproven" in outcome.verdict.reasons[0]


def test_an_unknown_strategy_is_named_with_those_there_are(words: Words) -> None:
    with pytest.raises(SettingError, match="closed-form"):
        teach(Model(settings()), words.lesson(5), objects=MemoryObjects(), strategy="magic")


def test_gradient_steps_that_do_not_fit_are_refused_with_their_size(words: Words) -> None:
    small = settings(memory_bytes=40 << 10, max_classes=32)
    with pytest.raises(SettingError, match="KiB for gradient steps"):
        teach(Model(small), Words(30).lesson(5), objects=MemoryObjects(), strategy="replay")


def test_the_old_model_is_not_changed_by_a_lesson(words: Words) -> None:
    model = known(words, MemoryObjects())
    before = head_arrays(model).copy(), dict(model.digests), model.labels
    taught(model, {words.labels[0]: words.say(words.labels[0], 5)}, {"other": words.say(words.labels[1], 5)})
    assert np.array_equal(head_arrays(model), before[0])
    assert (dict(model.digests), model.labels) == before[1:]


def test_a_class_leaves_the_head_as_if_it_had_never_been(words: Words) -> None:
    """What exact forgetting rests on: statistics of one class do not depend on another's."""
    lessons = [words.lesson(10, [label]) for label in words.labels]
    with_it = taught(Model(settings()), *lessons)
    statistics = {label: one for label, one in with_it.statistics.items() if label != words.labels[2]}
    without = taught(Model(settings()), *(one for one in lessons if words.labels[2] not in one))
    assert statistics.keys() == without.statistics.keys()
    for label, one in statistics.items():
        assert np.array_equal(one.scatter, without.statistics[label].scatter)
        assert np.array_equal(one.mean, without.statistics[label].mean)


def test_a_reloaded_model_answers_the_same(words: Words, tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    outcome = teach(Model(settings()), words.lesson(30), objects=objects, strategy="ewc-replay", policy=ANYTHING)
    model = outcome.model
    assert model is not None
    back = reloaded(model, objects)
    asked = words.say(words.labels[3], 9)
    assert np.array_equal(back.predict(asked).confidence, model.predict(asked).confidence)
    assert back.ewc is not None
