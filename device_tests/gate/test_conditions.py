"""Known classes under new conditions, and wrong labels, which are none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.gate.gather import Before
from edgecl.learning.loop import learn
from edgecl.model.model import MemoryObjects, Model

from ..support.learning import Words, as_lesson, known, settings

SEEDS = range(5)
ALONG = 0.6  # of the way from one class to another by which a condition moves samples


def scene(seed: int) -> tuple[Words, Model, MemoryObjects]:
    words, objects = Words(5, seed=seed, apart=1.0), MemoryObjects()
    return words, known(words, objects), objects


def moved(words: Words, model: Model, count: int = 20) -> dict[str, NDArray[np.float32]]:
    """A lesson of all classes under a condition that moves each along the way from the first to the second."""
    lesson = words.lesson(count)
    first, second = words.labels[:2]
    way = (model.statistics[second].mean - model.statistics[first].mean).astype(np.float32)
    return {label: rows + ALONG * way for label, rows in lesson.items()}


def contradicted(model: Model, lesson: Mapping[str, NDArray[np.float32]]) -> dict[str, int]:
    """By label: samples that the model knows as something else."""
    found: dict[str, int] = {}
    for one in Before.of(model, as_lesson(model, lesson)).contradictions:
        found[one.label] = found.get(one.label, 0) + one.samples
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_a_class_that_a_condition_moves_contradicts_nothing(seed: int) -> None:
    words, model, _ = scene(seed)
    first, lesson = words.labels[0], moved(words, model)
    assert model.predict(lesson[first]).labels.count(words.labels[1]) >= 4
    assert contradicted(model, lesson).get(first, 0) <= 2
    assert contradicted(model, {first: lesson[first]})[first] >= 3  # nothing shows where the other class is now


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lesson_under_a_condition_is_learnt(seed: int) -> None:
    words, model, objects = scene(seed)
    lesson = moved(words, model)
    outcome = learn(model, as_lesson(model, lesson), objects=objects)
    assert outcome.model is not None, outcome.verdict.reasons


@pytest.mark.parametrize("seed", SEEDS)
def test_swapped_labels_are_refused_among_others_that_are_right(seed: int) -> None:
    words, model, objects = scene(seed)
    first, second = words.labels[:2]
    lesson = words.lesson(20)
    swapped = {**lesson, first: lesson[second], second: lesson[first]}
    assert contradicted(model, swapped)[first] >= 12
    assert learn(model, as_lesson(model, swapped), objects=objects).model is None


@pytest.mark.parametrize("seed", SEEDS)
def test_all_labels_in_another_order_are_refused(seed: int) -> None:
    words, model, objects = scene(seed)
    lesson = words.lesson(20)
    turned = {label: lesson[other] for label, other in zip(words.labels, np.roll(words.labels, 1), strict=True)}
    assert learn(model, as_lesson(model, turned), objects=objects).model is None


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("wrong", [6, 10])
def test_samples_of_one_class_among_those_of_another_still_contradict(seed: int, wrong: int) -> None:
    words, model, _ = scene(seed)
    first, second = words.labels[:2]
    lesson = words.lesson(20)
    lesson[first] = np.concatenate([lesson[first][wrong:], words.say(second, wrong)])
    told = model.predict(lesson[first][-wrong:]).labels.count(second)
    assert contradicted(model, lesson)[first] >= told - 3


def test_a_model_takes_settings_of_its_own() -> None:
    assert contradicted(Model(settings()), Words(2).lesson(5)) == {}
