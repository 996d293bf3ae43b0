"""The loop on latents with known answers: order, determinism, strategies, what is refused and what is let in."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.errors import SettingError
from edgecl.learning.loop import Stage, learn
from edgecl.learning.strategies import STRATEGIES
from edgecl.model.head import REFINED_CLOSED_FORM
from edgecl.model.loading import load_model
from edgecl.model.memory import plan_memory
from edgecl.model.model import Model
from edgecl.model.objects import Arrays, MemoryObjects
from edgecl.progress import finish

from ..support.learning import ANYTHING, Uneven, Words, accuracy, as_lesson, settings, taught, teach


@pytest.fixture
def words() -> Words:
    return Words(6)


def head_arrays(model: Model) -> NDArray[np.float32]:
    assert model.head is not None
    return np.concatenate([model.head.weights.ravel(), model.head.bias])


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
    run = learn(model, as_lesson(model, words.lesson(10)), objects=MemoryObjects())
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


def known(words: Words, objects: MemoryObjects, count: int = 30) -> Model:
    model = teach(Model(settings()), words.lesson(count), objects=objects).model
    assert model is not None
    return model


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
    outcome = finish(learn(model, lesson, objects=objects, force=True))
    assert outcome.model is not None
    assert not outcome.verdict.accepted


def test_too_many_classes_are_a_rejection_that_names_what_would_do(words: Words) -> None:
    outcome = teach(Model(settings(max_classes=4)), words.lesson(5), objects=MemoryObjects())
    assert outcome.model is None
    assert "--max-classes 6" in outcome.verdict.reasons[0]


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


def test_exemplars_stay_within_their_capacity_as_classes_come() -> None:
    many = Words(20)
    model = Model(settings(memory_bytes=64 << 10, max_classes=20))
    for label in many.labels:
        model = taught(model, {label: many.say(label, 60)})
        held = sum(one.nbytes for one in model.exemplars.values())
        assert held <= model.plan().exemplars
        assert model.bytes()["total"] <= model.settings.memory_bytes
    assert all(len(one) for one in model.exemplars.values())


def test_a_refined_model_with_full_exemplars_stays_within_the_memory() -> None:
    many = Words(8)
    objects, model = MemoryObjects(), Model(settings(memory_bytes=192 << 10, max_classes=8))
    for first in (0, 4):
        lesson = many.lesson(400, many.labels[first : first + 4])
        outcome = teach(model, lesson, objects=objects, strategy="ewc-replay", policy=ANYTHING)
        assert outcome.model is not None, outcome.verdict.reasons
        model = outcome.model
    assert model.ewc is not None
    assert model.bytes()["total"] <= model.settings.memory_bytes


class FileObjects:
    """Objects as files whose arrays are pages, as a store has them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def put(self, arrays: Arrays) -> str:
        self._count += 1
        place = self._folder / str(self._count)
        place.mkdir()
        for name, array in arrays.items():
            np.save(place / f"{name}.npy", array)
        return str(self._count)

    def read(self, digest: str) -> Mapping[str, NDArray[np.generic]]:
        return {one.stem: np.load(one, mmap_mode="r") for one in (self._folder / digest).iterdir()}


def reloaded(model: Model, objects: FileObjects) -> Model:
    parts = {role: objects.read(digest) for role, digest in model.digests.items()}
    return load_model(model.settings, model.digests, model.body(), parts)


PYTHON_OBJECTS = 96 << 10  # what frames, strings and dictionaries take: not learner state


@pytest.mark.parametrize(
    ("dimension", "classes", "memory_bytes"),
    [
        (96, 30, 1 << 20),
        (96, 30, 512 << 10),
        (400, 12, 3 << 20),
        pytest.param(200, 60, 2 << 20, marks=pytest.mark.native("its gradient steps take 20 s there")),
    ],
)
def test_a_lesson_allocates_no_more_than_the_memory_granted(
    tmp_path: Path, dimension: int, classes: int, memory_bytes: int
) -> None:
    words = Words(classes, dimension=dimension)
    objects = FileObjects(tmp_path)
    model = Model(settings(dimension=dimension, memory_bytes=memory_bytes, max_classes=classes, precision="float32"))
    for part in np.array_split(words.labels, 3):
        lesson = as_lesson(model, words.lesson(20, list(part)), spool=tmp_path)
        finish(learn(model, lesson, objects=objects, policy=ANYTHING))  # what is compiled on the way stays
        model = reloaded(model, objects)
        tracemalloc.start()
        outcome = finish(learn(model, lesson, objects=objects, policy=ANYTHING))
        held = model.bytes()
        peak = tracemalloc.get_traced_memory()[1] + held["statistics"] + held["head"] // 2
        tracemalloc.stop()
        assert outcome.model is not None
        model = outcome.model
        assert peak + lesson.nbytes <= memory_bytes + PYTHON_OBJECTS


# Gradient steps from the closed form


@pytest.fixture(scope="module")
def uneven() -> Uneven:
    return Uneven(24)


def in_months(words: Words, strategy: str, *, objects: MemoryObjects, memory_bytes: int = 2 << 20) -> list[Model]:
    """The models after 18 classes, and after three more, twice."""
    model, models = Model(settings(memory_bytes=memory_bytes)), []
    for part in (words.labels[:18], words.labels[18:21], words.labels[21:]):
        lesson = as_lesson(model, words.lesson(80, part))
        outcome = finish(learn(model, lesson, objects=objects, strategy=strategy, policy=ANYTHING))
        assert outcome.model is not None
        model = outcome.model
        models.append(model)
    return models


@pytest.fixture(scope="module")
def objects() -> MemoryObjects:
    return MemoryObjects()


@pytest.fixture(scope="module")
def refined(uneven: Uneven, objects: MemoryObjects) -> Model:
    model = in_months(uneven, "auto", objects=objects)[-1]
    assert model.head is not None
    assert model.head.kind == REFINED_CLOSED_FORM
    return model


def test_steps_from_the_closed_form_gain_where_classes_are_uneven(uneven: Uneven, refined: Model) -> None:
    closed = in_months(uneven, "closed-form", objects=MemoryObjects())[-1]
    asked = uneven.lesson(100)
    assert accuracy(refined, asked) > accuracy(closed, asked) + 0.02


def test_what_was_gained_outlives_the_exemplars_that_gave_it(uneven: Uneven, refined: Model) -> None:
    few = {label: one.first(2) for label, one in refined.exemplars.items()}
    outcome = teach(replace(refined, exemplars=few), {"new": uneven.say("word 00", 5) / 2}, objects=MemoryObjects())
    forgot = teach(
        replace(refined, exemplars=few),
        {"new": uneven.say("word 00", 5) / 2},
        objects=MemoryObjects(),
        strategy="closed-form",
    )
    assert outcome.model is not None
    assert forgot.model is not None
    asked = uneven.lesson(100)
    assert accuracy(outcome.model, asked) > accuracy(forgot.model, asked) + 0.02


def test_what_a_named_strategy_did_to_the_head_is_not_carried_over(uneven: Uneven) -> None:
    asked, objects = uneven.lesson(100), MemoryObjects()
    model = Model(settings(memory_bytes=2 << 20))
    for part in (uneven.labels[:20], uneven.labels[20:22]):
        outcome = teach(model, uneven.lesson(80, part), objects=objects, strategy="naive", policy=ANYTHING)
        assert outcome.model is not None
        model = outcome.model
    assert accuracy(model, uneven.lesson(50, uneven.labels[:20])) < 0.2
    lesson = as_lesson(model, uneven.lesson(80, uneven.labels[22:]))
    outcome = finish(learn(model, lesson, objects=objects, policy=ANYTHING))
    assert outcome.model is not None
    assert accuracy(outcome.model, asked) > 0.95


def test_a_class_of_few_samples_keeps_the_directions_of_its_closed_form(
    uneven: Uneven, refined: Model, objects: MemoryObjects
) -> None:
    lesson = {"new": uneven.say("word 00", 5) / 2}
    heads = [
        finish(learn(refined, as_lesson(refined, lesson), objects=objects, strategy=one, policy=ANYTHING)).model
        for one in ("auto", "closed-form")
    ]
    assert heads[0] is not None
    assert heads[1] is not None
    stepped, closed = heads[0].head, heads[1].head
    assert stepped is not None
    assert closed is not None
    own = closed.labels.index("new")
    assert stepped.kind == REFINED_CLOSED_FORM
    np.testing.assert_array_equal(stepped.weights[own], closed.weights[own])
    assert not np.array_equal(np.delete(stepped.weights, own, 0), np.delete(closed.weights, own, 0))


def test_a_refined_model_sees_that_there_is_nothing_new(refined: Model, uneven: Uneven, objects: MemoryObjects) -> None:
    label = uneven.labels[0]
    known = settled(uneven, refined, label, 6)
    outcome = finish(learn(refined, as_lesson(refined, known), objects=objects))
    assert outcome.is_unchanged
    moved = {label: known[label] * 0.7}
    assert not finish(learn(refined, as_lesson(refined, moved), objects=objects)).is_unchanged


def test_a_refined_model_of_which_no_exemplar_is_left_still_learns(uneven: Uneven, refined: Model) -> None:
    none = {label: one.first(0) for label, one in refined.exemplars.items()}
    lesson = {"new": uneven.say("word 00", 30) / 2}
    for exemplars in (none, {}):
        outcome = teach(replace(refined, exemplars=exemplars), lesson, objects=MemoryObjects(), policy=ANYTHING)
        assert outcome.model is not None
        assert accuracy(outcome.model, lesson) > 0.5


def test_a_known_class_may_be_taught_more_under_a_refined_head(uneven: Uneven, refined: Model) -> None:
    asked = uneven.lesson(60)
    outcome = teach(refined, uneven.lesson(30, uneven.labels[:2]), objects=MemoryObjects())
    assert outcome.model is not None
    assert outcome.strategy == "ewc-replay"
    assert accuracy(outcome.model, asked) > accuracy(refined, asked) - 0.01


def test_classes_that_the_closed_form_fits_are_not_refined() -> None:
    models = in_months(Words(24), "auto", objects=MemoryObjects())
    assert [one.head.kind for one in models if one.head] == ["whitened-cosine"] * 3


def test_a_store_too_small_for_ewc_state_still_takes_steps_from_the_closed_form(uneven: Uneven) -> None:
    plans = {kib: plan_memory(settings(memory_bytes=kib << 10), 24) for kib in range(64, 512, 4)}
    kib = next(kib for kib, plan in plans.items() if plan.can_refine and not plan.can_consolidate)
    model = in_months(uneven, "auto", objects=MemoryObjects(), memory_bytes=kib << 10)[-1]
    assert model.bytes()["total"] <= kib << 10
    with pytest.raises(SettingError, match="ewc-replay"):
        teach(model, uneven.lesson(9), objects=MemoryObjects(), strategy="ewc-replay")


def test_a_reloaded_model_answers_the_same(words: Words, tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    outcome = teach(Model(settings()), words.lesson(30), objects=objects, strategy="ewc-replay", policy=ANYTHING)
    model = outcome.model
    assert model is not None
    back = reloaded(model, objects)
    asked = words.say(words.labels[3], 9)
    assert np.array_equal(back.predict(asked).confidence, model.predict(asked).confidence)
    assert back.ewc is not None


# A lesson that has nothing new


def settled(words: Words, model: Model, label: str, count: int) -> dict[str, NDArray[np.float32]]:
    """Samples of a class that the model is as sure of as of its mean."""
    mean = model.statistics[label].mean.astype(np.float32)
    said = words.say(label, count)
    return {label: mean + 0.1 * (said - said.mean(axis=0))}


def test_what_is_answered_with_confidence_leaves_the_model_as_it_is(words: Words) -> None:
    model = taught(Model(settings()), words.lesson(100))
    objects = MemoryObjects()
    outcome = teach(model, settled(words, model, words.labels[0], 10), objects=objects)
    assert outcome.is_unchanged
    assert outcome.model is model
    assert outcome.verdict.accepted
    assert "nothing to learn" in outcome.verdict.reasons[0]


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
        outcome = finish(learn(model, lesson, objects=MemoryObjects(), **more))  # type: ignore[arg-type]
        assert outcome.model is not None
        assert outcome.model.statistics[words.labels[0]].count == 110


def test_a_class_that_comes_back_blends_with_what_was_known_of_it(words: Words) -> None:
    first, second = words.lesson(30), {words.labels[0]: words.say(words.labels[0], 20) + np.float32(0.5)}
    model = taught(Model(settings()), first, second)
    both = {**first, words.labels[0]: np.concatenate([first[words.labels[0]], second[words.labels[0]]])}
    np.testing.assert_allclose(head_arrays(model), head_arrays(taught(Model(settings()), both)), atol=1e-4)
    assert model.statistics[words.labels[0]].count == 50
