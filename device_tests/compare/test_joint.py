"""Joint training: converged, balanced, and the same as scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.compare.joint import _folds, choose_penalty, fit_joint
from edgecl.errors import DataError

from ..support.learning import Words

Samples = tuple[NDArray[np.float64], NDArray[np.intp]]


def draw(counts: list[int], *, seed: int = 0, apart: float = 1.5) -> Samples:
    words = Words(len(counts), seed=seed, apart=apart, dimension=12)
    rows = [words.say(label, count) for label, count in zip(words.labels, counts, strict=True)]
    return np.concatenate(rows).astype(np.float64), np.repeat(np.arange(len(counts)), counts)


def gradient_as_written(
    latents: NDArray[np.float64], labels: NDArray[np.intp], weights: NDArray[np.float64], bias: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the balanced loss without penalty, sample by sample."""
    counts = np.bincount(labels)
    of_weights, of_bias = np.zeros_like(weights), np.zeros_like(bias)
    for x, own in zip(latents, labels, strict=True):
        z = weights @ x + bias
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        p[own] -= 1
        share = 1 / (len(counts) * counts[own])
        of_weights += share * np.outer(p, x)
        of_bias += share * p
    return of_weights, of_bias


@pytest.mark.filterwarnings("ignore:scipy.optimize:DeprecationWarning")  # of an older scikit-learn with a newer SciPy
@pytest.mark.host
@pytest.mark.parametrize("penalty", [1e-2, 1e-4])
@pytest.mark.parametrize("counts", [[30, 30], [80, 10, 25, 40]])
def test_it_equals_scikit_learn_to_1e_4(counts: list[int], penalty: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    latents, labels = draw(counts)
    head = fit_joint(latents, labels, penalty=penalty, tolerance=1e-9)
    strength = 1 / (penalty * len(labels))
    peer = linear_model.LogisticRegression(class_weight="balanced", C=strength, tol=1e-9, max_iter=10_000)
    peer.fit(latents, labels)
    if len(counts) > 2:  # with two classes scikit-learn fits one row with half the penalty
        np.testing.assert_allclose(head.weights, peer.coef_, atol=1e-4)
        np.testing.assert_allclose(head.bias, peer.intercept_, atol=1e-4)
    else:
        half = fit_joint(latents, labels, penalty=2 * penalty, tolerance=1e-9)
        np.testing.assert_allclose(half.weights[1] - half.weights[0], peer.coef_[0], atol=1e-4)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_gradient_is_nought_at_the_solution(seed: int) -> None:
    latents, labels = draw([40, 15, 25], seed=seed)
    head = fit_joint(latents, labels, penalty=1e-3, tolerance=1e-8)
    of_weights, of_bias = gradient_as_written(latents, labels, head.weights, head.bias)
    assert head.has_converged
    assert np.abs(of_weights + 1e-3 * head.weights).max() < 1e-6
    assert np.abs(of_bias).max() < 1e-6


def test_recording_a_class_twice_changes_nothing() -> None:
    latents, labels = draw([20, 20, 20])
    again = labels == 1
    once = fit_joint(latents, labels, penalty=1e-3, tolerance=1e-8)
    twice = fit_joint(
        np.concatenate([latents, latents[again]]),
        np.concatenate([labels, labels[again]]),
        penalty=1e-3,
        tolerance=1e-8,
    )
    np.testing.assert_allclose(twice.weights, once.weights, atol=1e-4)


def test_where_it_starts_does_not_matter() -> None:
    latents, labels = draw([30, 30, 30])
    cold = fit_joint(latents, labels, penalty=1e-4, tolerance=1e-8)
    warm = fit_joint(latents, labels, penalty=1e-4, tolerance=1e-8, start=fit_joint(latents, labels, penalty=1e-1))
    np.testing.assert_allclose(warm.weights, cold.weights, atol=1e-4)


def test_moving_all_latents_moves_only_the_bias() -> None:
    latents, labels = draw([30, 30, 30])
    here = fit_joint(latents, labels, penalty=1e-3, tolerance=1e-8)
    there = fit_joint(latents + 100, labels, penalty=1e-3, tolerance=1e-8)
    np.testing.assert_allclose(there.weights, here.weights, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_the_latents_changes_no_answer(scale: float) -> None:
    latents, labels = draw([40, 40, 40])
    groups = np.tile(np.arange(5), 24)
    heads = []
    for factor in (1.0, scale):
        penalty = choose_penalty(factor * latents, labels, groups, seed=0)
        heads.append(fit_joint(factor * latents, labels, penalty=penalty, tolerance=1e-8))
    np.testing.assert_allclose(heads[1].weights * scale, heads[0].weights, atol=1e-4)
    np.testing.assert_array_equal(heads[1].answers(scale * latents), heads[0].answers(latents))


def test_it_converges_where_latents_are_separable() -> None:
    latents, labels = draw([20, 20], apart=20)
    head = fit_joint(latents, labels, penalty=1e-6)
    assert head.has_converged
    assert (head.answers(latents) == labels).all()


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 2, 2]])
def test_a_class_without_samples_is_refused(labels: list[int]) -> None:
    with pytest.raises(DataError, match="counts"):
        fit_joint(np.eye(3), np.array(labels), penalty=1e-3)


def test_no_group_is_on_both_sides_of_a_fold() -> None:
    groups = np.repeat(np.arange(7), 6)
    folds = list(_folds(np.tile([0, 1, 2], 14), groups, seed=0))
    assert len(folds) == 3
    for fitted, judged in folds:
        assert not set(groups[fitted]) & set(groups[judged])
    assert sorted(np.concatenate([judged for _, judged in folds])) == list(range(42))


def test_noise_asks_for_a_stronger_penalty_than_signal(rng: np.random.Generator) -> None:
    latents, labels = draw([60, 60, 60], apart=1.0)
    groups = np.tile(np.arange(6), 30)
    noisy = np.concatenate([latents, 2 * rng.standard_normal((180, 60))], axis=1)
    grid = (1e-1, 1e-3, 1e-5)
    clean = choose_penalty(latents, labels, groups, seed=0, penalties=grid)
    assert choose_penalty(noisy, labels, groups, seed=0, penalties=grid) > clean


def test_of_equal_penalties_the_strongest_is_chosen() -> None:
    latents, labels = draw([30, 30], apart=30)
    groups = np.tile(np.arange(5), 12)
    spread = latents.var(axis=0).sum()
    assert choose_penalty(latents, labels, groups, seed=0, penalties=(1e-2, 1e-3, 1e-4)) == pytest.approx(1e-2 * spread)


def test_a_class_of_one_group_is_passed_over_where_it_is_left_out() -> None:
    latents, labels = draw([20, 20, 20])
    groups = np.where(labels == 2, 0, 1 + np.arange(60) % 4)
    assert choose_penalty(latents, labels, groups, seed=0) > 0
