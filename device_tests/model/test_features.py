"""Projection and lift: regenerated from a seed, and near enough to keep distances."""

from __future__ import annotations

import numpy as np

from edgecl.model.exemplars import FeatureMap


def test_without_either_a_latent_stays_as_it_is(rng: np.random.Generator) -> None:
    latents = rng.standard_normal((4, 30)).astype(np.float32)
    assert np.array_equal(FeatureMap(30, 0, 0, 0)(latents), latents)


def test_a_projection_keeps_lengths_in_the_mean(rng: np.random.Generator) -> None:
    latents = rng.standard_normal((300, 100)).astype(np.float32)
    projected = FeatureMap(100, 64, 0, 3).project(latents)
    assert projected.shape == (300, 64)
    ratio = np.square(projected).sum() / np.square(latents).sum()
    assert 0.95 < ratio < 1.05


def test_a_projection_to_the_full_width_is_orthogonal() -> None:
    matrix = FeatureMap(64, 64, 0, 5).project(np.eye(64, dtype=np.float32))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(64), atol=1e-5)


def test_the_same_seed_gives_the_same_features_and_another_others(rng: np.random.Generator) -> None:
    latents = rng.standard_normal((3, 40)).astype(np.float32)
    first, same, other = (FeatureMap(40, 16, 24, seed)(latents) for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.allclose(first, other)


def test_a_lift_puts_rectified_units_before_the_row(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((5, 20)).astype(np.float32)
    features = FeatureMap(20, 0, 50, 0)
    lifted = features.lift(rows)
    assert lifted.shape == (5, features.dimension) == (5, 70)
    assert (lifted[:, :50] >= 0).all()
    assert np.array_equal(lifted[:, 50:], rows)
