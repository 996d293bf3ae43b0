"""Closed-form heads against their formulas, and leave-one-out against really leaving one out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.model.group_left_out import leave_group_out
from edgecl.model.head import (
    Factor,
    HeadState,
    factorise,
    leave_each_out,
    leave_one_out,
    linear_discriminant,
    probabilities,
    shrinkage,
    squared_distances,
    whitened_cosine,
)
from edgecl.model.statistics import ClassStatistics, accumulate, packed_length

FLOOR = 0.05
CLASSES, DIMENSION = 4, 12


def statistics_of(latents: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, ClassStatistics]:
    found = {}
    for index in np.unique(labels):
        scatter = np.empty(packed_length(latents.shape[1]))
        count, mean = accumulate(None, [latents[labels == index]], scatter)
        found[f"class {index}"] = ClassStatistics(count, mean, scatter.astype(np.float32))
    return found


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    labels = np.repeat(np.arange(CLASSES), [40, 25, 10, 5])
    means = 2 * rng.standard_normal((CLASSES, DIMENSION))
    mixing = rng.standard_normal((DIMENSION, DIMENSION)) / 3
    latents = means[labels] + rng.standard_normal((len(labels), DIMENSION)) @ mixing
    return latents.astype(np.float32), labels


def naive_sigma(latents: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[NDArray[np.float64], float]:
    """(Σ, ρ) as DESIGN has them, in plain numpy."""
    means = np.stack([latents[labels == one].mean(axis=0) for one in np.unique(labels)])
    centred = latents - means[np.searchsorted(np.unique(labels), labels)]
    freedom, width = len(latents) - len(means), latents.shape[1]
    counts = np.bincount(np.searchsorted(np.unique(labels), labels))
    weights = 1 / (len(means) * counts)[np.searchsorted(np.unique(labels), labels)]
    pooled = (centred * weights[:, None]).T @ centred
    trace, squared = np.trace(pooled), np.sum(pooled**2)
    rho = ((1 - 2 / width) * squared + trace**2) / ((freedom + 1 - 2 / width) * (squared - trace**2 / width))
    rho = max(min(rho, 0.999), FLOOR)
    return (1 - rho) * pooled + rho * trace / width * np.eye(width), rho


def naive_whitened_cosine(
    latents: NDArray[np.float64], labels: NDArray[np.int64], asked: NDArray[np.float64]
) -> NDArray[np.float64]:
    sigma, rho = naive_sigma(latents, labels)
    classes = np.unique(labels)
    means = np.stack([latents[labels == one].mean(axis=0) for one in classes])
    counts = np.array([(labels == one).sum() for one in classes])
    inverse = np.linalg.inv(sigma)
    width = latents.shape[1]
    pooled = (sigma - np.eye(width) * np.trace(sigma) / width * rho) / (1 - rho)
    origin = means.mean(axis=0)
    directions = (means - origin) @ inverse
    squared = np.sum(directions * (means - origin), axis=1)
    debiased = np.maximum(squared - np.trace(inverse @ pooled) / counts, squared / 2)
    logits: NDArray[np.float64] = (asked - origin) @ directions.T / np.sqrt(debiased)
    return logits


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_whitened_cosine_equals_its_formula(
    data: tuple[NDArray[np.float32], NDArray[np.int64]], precision: str
) -> None:
    latents, labels = data
    factor = factorise(
        statistics_of(latents, labels), np.empty(packed_length(DIMENSION), precision), shrinkage_floor=FLOOR
    )
    expected = naive_whitened_cosine(latents.astype(np.float64), labels, latents.astype(np.float64))
    np.testing.assert_allclose(whitened_cosine(factor).logits(latents), expected, rtol=2e-3, atol=2e-3)


def test_lda_equals_its_formula(data: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    latents, labels = data
    factor = factorise(statistics_of(latents, labels), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR)
    wide = latents.astype(np.float64)
    inverse = np.linalg.inv(naive_sigma(wide, labels)[0])
    means = np.stack([wide[labels == one].mean(axis=0) for one in range(CLASSES)])
    origin = means.mean(axis=0)
    directions = (means - origin) @ inverse
    expected = (wide - origin) @ directions.T - np.sum(directions * (means - origin), axis=1) / 2
    expected += np.log(np.bincount(labels) / len(labels))
    np.testing.assert_allclose(linear_discriminant(factor).logits(latents), expected, rtol=2e-3, atol=2e-3)


def test_leave_one_out_equals_training_without_the_sample(
    data: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    """Up to what the downdate leaves as it is: the shrinkage, d_eff and one degree of freedom in about eighty."""
    latents, labels = data
    factor = factorise(statistics_of(latents, labels), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR)
    for index in (0, 45, 70, 78):
        own = int(labels[index])
        fast = leave_one_out(factor, latents[index : index + 1], own=own).logits[0]
        rest = np.arange(len(labels)) != index
        slow = naive_whitened_cosine(
            latents[rest].astype(np.float64), labels[rest], latents[index : index + 1].astype(np.float64)
        )[0]
        np.testing.assert_allclose(fast, slow, rtol=0.06, atol=0.1)


def test_classes_are_left_out_together_as_each_alone(data: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    latents, labels = data
    factor = factorise(statistics_of(latents, labels), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR)
    classes = [(own, latents[labels == own][:6]) for own in (2, 0, 3)]
    for (own, rows), found in zip(classes, leave_each_out(factor, classes), strict=True):
        alone = leave_one_out(factor, rows, own=own)
        np.testing.assert_allclose(found.logits, alone.logits, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found.distance, alone.distance, rtol=1e-9, atol=1e-9)


def test_leave_one_out_distance_is_that_to_the_mean_of_the_others(
    data: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    latents, labels = data
    factor = factorise(statistics_of(latents, labels), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR)
    wide = latents.astype(np.float64)
    sigma = naive_sigma(wide, labels)[0]
    own, row = 2, 66
    others = (labels == own) & (np.arange(len(labels)) != row)
    away = wide[row] - wide[labels == own].mean(axis=0)
    count = int((labels == own).sum())
    downdated = sigma - factor.downdate[own] * count / (count - 1) * np.outer(away, away)
    apart = wide[row] - wide[others].mean(axis=0)
    expected = apart @ np.linalg.solve(downdated, apart)
    found = leave_one_out(factor, latents[row : row + 1], own=own).distance[0]
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_sample_that_is_its_whole_class_is_never_answered_right_when_left_out(
    data: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    latents, labels = data
    labels = labels.copy()
    labels[-1] = CLASSES
    factor = factorise(statistics_of(latents, labels), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR)
    assert leave_one_out(factor, latents[-1:], own=CLASSES).logits[0].argmax() != CLASSES


def test_squared_distances_equal_their_formula(data: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    latents, labels = data
    factor = factorise(statistics_of(latents, labels), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR)
    wide = latents.astype(np.float64)
    inverse = np.linalg.inv(naive_sigma(wide, labels)[0])
    away = wide[3] - wide[labels == 1].mean(axis=0)
    assert squared_distances(factor, latents[3:4])[0, 1] == pytest.approx(away @ inverse @ away, rel=1e-3)


@pytest.mark.parametrize("closed_form", [whitened_cosine, linear_discriminant])
def test_one_class_is_always_the_answer(rng: np.random.Generator, closed_form: Callable[[Factor], HeadState]) -> None:
    latents = rng.standard_normal((5, DIMENSION)).astype(np.float32)
    factor = factorise(
        statistics_of(latents, np.zeros(5, np.int64)), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR
    )
    head = closed_form(factor)
    assert head.is_finite
    assert (probabilities(head.logits(latents)) == 1).all()


@pytest.mark.parametrize("closed_form", [whitened_cosine, linear_discriminant])
def test_one_sample_a_class_answers_by_the_nearest(
    rng: np.random.Generator, closed_form: Callable[[Factor], HeadState]
) -> None:
    latents = rng.standard_normal((3, DIMENSION)).astype(np.float32)
    factor = factorise(statistics_of(latents, np.arange(3)), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR)
    head = closed_form(factor)
    assert head.is_finite
    assert (head.logits(latents).argmax(axis=1) == np.arange(3)).all()


def test_identical_samples_give_a_finite_head() -> None:
    latents = np.repeat(np.eye(2, DIMENSION, dtype=np.float32), 4, axis=0)
    factor = factorise(
        statistics_of(latents, np.repeat([0, 1], 4)), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR
    )
    head = whitened_cosine(factor)
    assert head.is_finite
    assert (head.logits(latents).argmax(axis=1) == np.repeat([0, 1], 4)).all()


def test_shrinkage_is_full_without_evidence() -> None:
    assert shrinkage(0.0, 0.0, dimension=5, samples=0) == pytest.approx(0.999)


def test_shrinkage_falls_as_samples_come() -> None:
    few = shrinkage(10.0, 60.0, dimension=5, samples=10)
    many = shrinkage(10.0, 60.0, dimension=5, samples=1000)
    assert 0 < many < few < 1


def test_novelty_is_low_at_a_class_mean_and_one_at_the_origin(
    data: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    latents, labels = data
    factor = factorise(statistics_of(latents, labels), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR)
    head = whitened_cosine(factor)
    points = np.stack([latents[labels == 0].mean(axis=0), factor.origin.astype(np.float32)])
    novelty = head.novelty(head.logits(points))
    assert novelty[0] < 0.05
    assert novelty[1] > 0.95


def test_stored_arrays_give_the_same_head_back(data: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    latents, labels = data
    factor = factorise(statistics_of(latents, labels), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR)
    head = whitened_cosine(factor)
    back = HeadState.from_arrays(head.arrays(), labels=head.labels, kind=head.kind)
    assert np.array_equal(back.logits(latents), head.logits(latents))


def test_a_head_of_other_classes_is_damage(data: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    latents, labels = data
    factor = factorise(statistics_of(latents, labels), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR)
    with pytest.raises(ValueError, match="classes"):
        HeadState.from_arrays(whitened_cosine(factor).arrays(), labels=["one"], kind="whitened-cosine")


@pytest.mark.parametrize("size", [2, 7, 15])
def test_a_group_left_out_is_the_model_made_without_it(
    data: tuple[NDArray[np.float32], NDArray[np.int64]], size: int
) -> None:
    """By dense matrices, with the shrinkage and d_eff that the downdate leaves as they are."""
    latents, labels = data
    factor = factorise(statistics_of(latents, labels), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR)
    wide, own = latents.astype(np.float64), 1
    group = np.flatnonzero(labels == own)[:size]
    rest = np.setdiff1d(np.arange(len(labels)), group)
    count = int((labels == own).sum())

    def scatter(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        away = rows - rows.mean(axis=0)
        return np.asarray(away.T @ away)

    lost = scatter(wide[labels == own]) - scatter(wide[rest][labels[rest] == own])
    sigma = naive_sigma(wide, labels)[0] - factor.downdate[own] * lost
    means = np.stack([wide[rest][labels[rest] == one].mean(axis=0) for one in range(CLASSES)])
    origin = means.mean(axis=0)
    solved = np.linalg.solve(sigma, (means - origin).T)
    squared = np.sum((means - origin) * solved.T, axis=1)
    counts = factor.counts.copy()
    counts[own] = count - size
    typical = np.sqrt(np.maximum(squared - factor.effective_dimension / counts, squared / 2))
    away = wide[group] - means[own]
    found = leave_group_out(factor, latents[group], own=own)
    np.testing.assert_allclose(found.logits, (wide[group] - origin) @ solved / typical, rtol=5e-3, atol=5e-3)
    np.testing.assert_allclose(found.distance, np.sum(away * np.linalg.solve(sigma, away.T).T, axis=1), rtol=5e-3)


@pytest.mark.parametrize("size", [1, 2])
def test_a_sample_that_alone_spans_a_direction_can_be_left_out_exactly(
    data: tuple[NDArray[np.float32], NDArray[np.int64]], size: int
) -> None:
    latents, labels = data
    own, group = 3, np.flatnonzero(labels == 3)[:size]
    latents[group] += 40 * np.random.default_rng(1).standard_normal((size, DIMENSION)).astype(np.float32)
    factor = factorise(statistics_of(latents, labels), np.empty(packed_length(DIMENSION)), shrinkage_floor=0.001)
    rest = np.setdiff1d(np.arange(len(labels)), group)
    means = np.stack([latents[rest][labels[rest] == one].mean(axis=0, dtype=np.float64) for one in range(CLASSES)])
    away = latents[labels == own].astype(np.float64) - latents[labels == own].mean(axis=0, dtype=np.float64)
    left = latents[rest][labels[rest] == own].astype(np.float64) - means[own]
    sigma = square(factor.lower) - factor.downdate[own] * (away.T @ away - left.T @ left)
    apart = latents[group].astype(np.float64) - means[own]
    wanted = np.sum(apart * np.linalg.solve(sigma, apart.T).T, axis=1)
    np.testing.assert_allclose(leave_group_out(factor, latents[group], own=own).distance, wanted, rtol=1e-3)
    if size == 1:
        np.testing.assert_allclose(leave_one_out(factor, latents[group], own=own).distance, wanted, rtol=1e-3)


def square(lower: NDArray[np.floating]) -> NDArray[np.float64]:
    """Σ of its packed factor."""
    whole = np.zeros((DIMENSION, DIMENSION))
    whole[np.tril_indices(DIMENSION)] = lower
    return whole @ whole.T


def test_a_group_of_one_is_leave_one_out(data: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    latents, labels = data
    factor = factorise(statistics_of(latents, labels), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR)
    one, group = (leave(factor, latents[:1], own=int(labels[0])) for leave in (leave_one_out, leave_group_out))
    np.testing.assert_allclose(group.logits, one.logits, rtol=1e-5)
    np.testing.assert_allclose(group.distance, one.distance, rtol=1e-5)


def test_a_class_that_is_one_group_cannot_be_left_out(data: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    latents, labels = data
    factor = factorise(statistics_of(latents, labels), np.empty(packed_length(DIMENSION)), shrinkage_floor=FLOOR)
    with pytest.raises(ValueError, match="cannot be left out"):
        leave_group_out(factor, latents[labels == 0], own=0)
