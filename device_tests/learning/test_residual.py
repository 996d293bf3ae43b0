"""Gradient steps from the closed form, and what of them is carried over."""

from __future__ import annotations

import copy
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from edgecl.errors import SettingError
from edgecl.learning.loop import learn
from edgecl.learning.residual import refine_residual
from edgecl.model.head import REFINED_CLOSED_FORM
from edgecl.model.model import MemoryObjects, Model
from edgecl.model.settings import plan_memory
from edgecl.operations import scratch

from ..support.learning import ANYTHING, Uneven, Words, accuracy, as_lesson, settings, settled, teach


@pytest.fixture(scope="module")
def world() -> Uneven:
    return Uneven(24)


@pytest.fixture
def uneven(world: Uneven, refined: Model) -> Uneven:
    return copy.deepcopy(world)  # as it is after `refined`, whichever tests ran before


def in_months(words: Words, strategy: str, *, objects: MemoryObjects, **given: object) -> list[Model]:
    """The models after 18 classes, and after three more, twice."""
    chosen, models = settings(**{"memory_bytes": 2 << 20, **given}), []  # type: ignore[arg-type]
    model = Model(chosen, pages=scratch.file_pages if chosen.paged else np.empty)
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


PAGED = {"precision": "float32", "paged": True}


def least_kib(**given: object) -> int:
    """The least memory with which gradient steps fit 24 classes of a store that is made for as many."""
    given = {"max_classes": 24, **given}
    every = (settings(memory_bytes=kib << 10, **given) for kib in range(16, 4096, 4))  # type: ignore[arg-type]
    plans = (plan_memory(one, 24) for one in every)
    return next(plan.total >> 10 for plan in plans if plan.can_refine and plan.exemplars > 24 * 12 * 400)


@pytest.mark.native("teaches a model for each budget")
@pytest.mark.parametrize("way", [{}, PAGED])
def test_where_steps_just_fit_no_lesson_is_refused_for_memory(uneven: Uneven, way: dict[str, object]) -> None:
    memory = least_kib(**way) << 10
    model = in_months(uneven, "auto", objects=MemoryObjects(), memory_bytes=memory, max_classes=24, **way)[-1]
    assert model.head is not None
    assert model.head.kind == REFINED_CLOSED_FORM
    assert model.bytes()["total"] <= memory


@pytest.mark.native("takes hundreds of steps of 150 classes")
@pytest.mark.parametrize("way", [{}, PAGED])
def test_steps_allocate_no_more_than_was_planned(monkeypatch: pytest.MonkeyPatch, way: dict[str, object]) -> None:
    wide, peaks = Uneven(24, dimension=384), list[int]()
    memory = least_kib(dimension=384, **way) << 10

    def watched(*given: object, **more: object) -> Model:
        tracemalloc.start()
        try:
            return refine_residual(*given, **more)  # type: ignore[arg-type]
        finally:
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    monkeypatch.setattr("edgecl.learning.residual.refine_residual", watched)
    given = {"dimension": 384, "max_classes": 24, "memory_bytes": memory, **way}
    model = in_months(wide, "auto", objects=MemoryObjects(), **given)[-1]
    assert len(peaks) == 3
    assert max(peaks[1:]) <= model.plan().workspace + model.plan().lesson  # the first loads code
    assert model.plan().workspace >= model.plan().refinement > max(peaks[1:]) // 2


@pytest.mark.native("teaches hundreds of classes")
def test_steps_that_will_not_fit_all_classes_of_a_store_are_not_begun(uneven: Uneven) -> None:
    roomy = {"memory_bytes": least_kib(**PAGED) << 10, "max_classes": 400, **PAGED}
    assert plan_memory(settings(**roomy), 24).can_refine
    assert not plan_memory(settings(**roomy), 400).can_refine
    models = in_months(uneven, "auto", objects=MemoryObjects(), **roomy)
    assert [one.head.kind for one in models if one.head] == ["whitened-cosine"] * 3
