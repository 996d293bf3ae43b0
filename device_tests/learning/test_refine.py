"""Gradient refinement and EWC: exact Fisher, anchors that hold, same bits for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from edgecl_kernels.aligned import padded
from numpy.typing import NDArray

from edgecl.learning.refine import refine
from edgecl.learning.strategies import RefineSettings
from edgecl.model.ewc import Coordinates, EwcState, consolidate
from edgecl.model.exemplars import Exemplars, FeatureMap, Selection, quantise
from edgecl.model.head import HeadState, probabilities

DIMENSION, CLASSES = 10, 3
FEATURES = FeatureMap(DIMENSION, 0, 0, 0)
SHORT = RefineSettings(smallest_steps=200, largest_steps=200, rate=0.5)


@pytest.fixture
def rows(rng: np.random.Generator) -> dict[str, Exemplars]:
    means = 2 * rng.standard_normal((CLASSES, DIMENSION))
    return {
        f"class {index}": quantise((means[index] + rng.standard_normal((30, DIMENSION))).astype(np.float32))
        for index in range(CLASSES)
    }


@pytest.fixture
def coordinates(rng: np.random.Generator) -> Coordinates:
    return Coordinates(rng.standard_normal(DIMENSION).astype(np.float32), 0.3)


def blank(classes: int = CLASSES) -> HeadState:
    labels = tuple(f"class {index}" for index in range(classes))
    weights, bias = np.zeros((classes, DIMENSION), np.float32), np.zeros(classes, np.float32)
    return HeadState(labels, weights, bias, np.zeros(classes, np.float32), "refined")


def some_head(rng: np.random.Generator) -> HeadState:
    weights = rng.standard_normal((CLASSES, DIMENSION)).astype(np.float32)
    return replace(blank(), weights=weights, bias=rng.standard_normal(CLASSES).astype(np.float32))


def latents(rows: Exemplars) -> NDArray[np.float32]:
    return np.concatenate(list(rows.blocks(64)))


def test_coordinates_there_and_back_give_the_same_head(rng: np.random.Generator, coordinates: Coordinates) -> None:
    head = some_head(rng)
    parameters = np.zeros((CLASSES, padded(DIMENSION)), np.float32)
    coordinates.to_parameters(head, parameters)
    back = blank()
    coordinates.to_head(parameters, back, np.arange(CLASSES))
    np.testing.assert_allclose(back.weights, head.weights, rtol=1e-5)
    np.testing.assert_allclose(back.bias, head.bias, rtol=1e-3, atol=1e-4)


def test_the_precision_is_the_exact_fisher_diagonal_times_the_count(
    rows: dict[str, Exemplars], rng: np.random.Generator, coordinates: Coordinates
) -> None:
    head = some_head(rng)
    state = consolidate(None, head, [(one, 100) for one in rows.values()], coordinates=coordinates, features=FEATURES)
    expected = np.zeros((CLASSES, DIMENSION + 1))
    for one in rows.values():
        x = latents(one)
        p = probabilities(head.logits(x)).astype(np.float64)
        inputs = np.concatenate([(x - coordinates.offset) * coordinates.factor, np.ones((len(x), 1))], axis=1)
        expected += 100 * np.mean((inputs**2)[:, None, :] * (p * (1 - p))[:, :, None], axis=0)
    np.testing.assert_allclose(state.precision[:, : DIMENSION + 1], expected, rtol=2e-3, atol=1e-4)


def test_consolidating_again_adds_to_what_the_decay_leaves(
    rows: dict[str, Exemplars], rng: np.random.Generator, coordinates: Coordinates
) -> None:
    head = some_head(rng)
    pairs = [(one, len(one)) for one in rows.values()]
    once = consolidate(None, head, pairs, coordinates=coordinates, features=FEATURES)
    twice = consolidate(once, head, pairs, coordinates=coordinates, features=FEATURES, decay=0.5)
    np.testing.assert_allclose(twice.precision, 1.5 * once.precision, rtol=1e-5)


def test_a_class_that_is_new_is_held_by_nothing(
    rows: dict[str, Exemplars], rng: np.random.Generator, coordinates: Coordinates
) -> None:
    state = consolidate(None, some_head(rng), [(rows["class 0"], 9)], coordinates=coordinates, features=FEATURES)
    precision, anchor = state.expanded(["another", *state.labels])
    assert not precision[0].any()
    assert not anchor[0].any()
    assert np.array_equal(precision[1:], state.precision)


def test_stored_arrays_give_the_same_state_back(
    rows: dict[str, Exemplars], rng: np.random.Generator, coordinates: Coordinates
) -> None:
    state = consolidate(None, some_head(rng), [(rows["class 0"], 9)], coordinates=coordinates, features=FEATURES)
    back = EwcState.from_arrays(state.arrays(), labels=state.labels)
    assert np.array_equal(back.precision, state.precision)
    assert back.coordinates.factor == state.coordinates.factor


def selected(rows: dict[str, Exemplars]) -> dict[str, Selection]:
    return {label: Selection.of(one) for label, one in rows.items()}


def run(rows: dict[str, Exemplars], coordinates: Coordinates, ewc: EwcState | None = None, **more: float) -> HeadState:
    settings = replace(SHORT, **more)  # type: ignore[arg-type]
    head = blank()
    refine(head, selected(rows), {}, ewc, coordinates=coordinates, features=FEATURES, settings=settings, seed=1)
    return head


def test_gradient_steps_learn_separable_classes(rows: dict[str, Exemplars], coordinates: Coordinates) -> None:
    head = run(rows, coordinates)
    for index, one in enumerate(rows.values()):
        assert np.mean(head.logits(latents(one)).argmax(axis=1) == index) > 0.95


def test_the_same_seed_gives_the_same_bits(rows: dict[str, Exemplars], coordinates: Coordinates) -> None:
    assert np.array_equal(run(rows, coordinates).weights, run(rows, coordinates).weights)


@pytest.mark.parametrize("strength", [1e3, 1e6, 1e9])
def test_a_strong_penalty_is_stable_and_holds_the_anchor(
    rows: dict[str, Exemplars], rng: np.random.Generator, coordinates: Coordinates, strength: float
) -> None:
    anchor = some_head(rng)
    state = consolidate(
        None, anchor, [(one, len(one)) for one in rows.values()], coordinates=coordinates, features=FEATURES
    )
    head = run(rows, coordinates, state, ewc_strength=strength)
    assert head.is_finite
    held = state.precision[:, :DIMENSION] > 1e-2
    away = np.abs(head.weights - anchor.weights)[held].max()
    assert away < np.abs(run(rows, coordinates).weights - anchor.weights)[held].max() * 0.2


def test_replay_without_the_lessons_classes_keeps_them_apart(
    rows: dict[str, Exemplars], coordinates: Coordinates
) -> None:
    every = selected(rows)
    lesson = {"class 2": every.pop("class 2")}
    head = blank()
    refine(head, lesson, every, None, coordinates=coordinates, features=FEATURES, settings=SHORT, seed=0)
    for index, one in enumerate(rows.values()):
        assert np.mean(head.logits(latents(one)).argmax(axis=1) == index) > 0.9


def test_classes_that_take_no_part_in_steps_keep_their_bits(
    rows: dict[str, Exemplars], rng: np.random.Generator, coordinates: Coordinates
) -> None:
    before = some_head(rng)
    head = replace(before, weights=before.weights.copy(), bias=before.bias.copy())
    among = ["class 2", "class 0"]
    lesson = {label: one for label, one in selected(rows).items() if label in among}
    given = {"coordinates": coordinates, "features": FEATURES, "settings": SHORT, "seed": 0}
    refine(head, lesson, {}, None, among=among, **given)
    assert np.array_equal(head.weights[1], before.weights[1])
    assert head.bias[1] == before.bias[1]
    alone = HeadState(tuple(among), before.weights[[2, 0]], before.bias[[2, 0]], before.typical[:2], "refined")
    refine(alone, lesson, {}, None, **given)
    np.testing.assert_allclose(head.weights[[2, 0]], alone.weights, rtol=1e-4, atol=1e-5)
