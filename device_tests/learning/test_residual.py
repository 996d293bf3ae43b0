"""Gradient steps from the closed form, and what of them is carried over."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from edgecl.errors import SettingError
from edgecl.learning.loop import learn
from edgecl.model.head import REFINED_CLOSED_FORM
from edgecl.model.model import MemoryObjects, Model
from edgecl.model.settings import plan_memory

from ..support.learning import ANYTHING, Uneven, Words, accuracy, as_lesson, settings, settled, teach


@pytest.fixture(scope="module")
def world() -> Uneven:
    return Uneven(24)


@pytest.fixture
def uneven(world: Uneven, refined: Model) -> Uneven:
    return copy.deepcopy(world)  # as it is after `refined`, whichever tests ran before


def in_months(words: Words, strategy: str, *, objects: MemoryObjects, memory_bytes: int = 2 << 20) -> list[Model]:
    """The models after 18 classes, and after three more, twice."""
    model, models = Model(settings(memory_bytes=memory_bytes)), []
    for part in (words.labels[:18], words.labels[18:21], words.labels[21:]):
        lesson = as_lesson(model, words.lesson(80, part))
        outcome = learn(model, lesson, objects=objects, strategy=strategy, policy=ANYTHING)
        assert outcome.model is not None
        model = outcome.model
        models.append(model)
    return models


@pytest.fixture(scope="module")
def objects() -> MemoryObjects:
    return MemoryObjects()


@pytest.fixture(scope="module")
def refined(world: Uneven, objects: MemoryObjects) -> Model:
    model = in_months(world, "auto", objects=objects)[-1]
    assert model.head is not None
    assert model.head.kind == REFINED_CLOSED_FORM
    return model


def test_steps_from_the_closed_form_gain_where_classes_are_uneven(uneven: Uneven, refined: Model) -> None:
    closed = in_months(uneven, "closed-form", objects=MemoryObjects())[-1]
    asked = uneven.lesson(100)
    assert accuracy(refined, asked) > accuracy(closed, asked) + 0.02


def test_what_was_gained_outlives_the_exemplars_that_gave_it(uneven: Uneven, refined: Model) -> None:
    few = {label: one.first(2) for label, one in refined.exemplars.items()}
    model, lesson = replace(refined, exemplars=few), {"new": uneven.say("word 00", 5) / 2}
    outcome = teach(model, lesson, objects=MemoryObjects(), policy=ANYTHING)
    forgot = teach(model, lesson, objects=MemoryObjects(), policy=ANYTHING, strategy="closed-form")
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
    outcome = learn(model, lesson, objects=objects, policy=ANYTHING)
    assert outcome.model is not None
    assert accuracy(outcome.model, asked) > 0.95


def test_a_class_of_few_samples_keeps_the_directions_of_its_closed_form(
    uneven: Uneven, refined: Model, objects: MemoryObjects
) -> None:
    lesson = {"new": uneven.say("word 00", 5) / 2}
    heads = [
        learn(refined, as_lesson(refined, lesson), objects=objects, strategy=one, policy=ANYTHING).model
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
    outcome = learn(refined, as_lesson(refined, known), objects=objects)
    assert outcome.is_unchanged
    moved = {label: known[label] * 0.7}
    assert not learn(refined, as_lesson(refined, moved), objects=objects).is_unchanged


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
