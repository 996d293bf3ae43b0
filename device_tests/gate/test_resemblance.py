"""What new names are asked about: the two distances and the line, as the formula says them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgecl.gate.resemblance import (
    ALONG,
    BASE,
    GAP,
    NEAR,
    NEAREST,
    Scale,
    log_odds,
    resemblance,
    typical_gap,
)
from edgecl.learning.admission import same_lesson


def test_the_gap_is_the_median_distance_to_the_nearest_class(rng: np.random.Generator) -> None:
    means, counts = rng.standard_normal((5, 8)) * 3, np.array([4.0, 9, 30, 7, 50])
    nearest = [
        min(float(np.sum((means[k] - means[j]) ** 2)) / 10 - 1 / counts[k] - 1 / counts[j] for j in range(5) if j != k)
        for k in range(5)
    ]
    assert typical_gap(means, counts, typical=10.0) == pytest.approx(float(np.median(nearest)))


def test_many_classes_are_compared_as_few_are(rng: np.random.Generator) -> None:
    """More than fit one block."""
    means, counts = rng.standard_normal((75, 6)), rng.integers(2, 40, 75).astype(float)
    away = np.square(means[:, None] - means).sum(axis=2) / 10 - 1 / counts[:, None] - 1 / counts
    np.fill_diagonal(away, np.inf)
    gap = typical_gap(means, counts, typical=10.0)
    assert gap == pytest.approx(max(float(np.median(away.min(axis=1))), 0.05))
    assert (same_lesson(means, counts, Scale(10.0, gap, 2.0)) == (away < 0.15)).all()


def test_classes_on_top_of_each_other_have_the_narrowest_gap_and_one_class_none() -> None:
    assert typical_gap(np.ones((3, 4)), np.full(3, 10.0), typical=1.0) == 0.05
    assert math.isnan(typical_gap(np.ones((1, 4)), np.full(1, 10.0), typical=1.0))


def test_odds_are_those_of_the_formula(rng: np.random.Generator) -> None:
    means, counts = rng.standard_normal((4, 6)) * 2, np.array([5.0, 20, 8, 12])
    scale = Scale.of(means, counts, typical=7.0, effective_dimension=5.5)
    mean, count = means[2] + 0.3 * rng.standard_normal(6), 5
    odds = log_odds(mean, count, means, counts, scale)
    for k in range(4):
        q = float(means[k] @ means[k])
        along = float(means[k] @ mean) / max(q - 5.5 / counts[k], q / 2)
        apart = float(np.sum((means[k] - mean) ** 2)) / 7.0 - 1 / count - 1 / counts[k]
        expected = BASE + ALONG * along + NEAR * math.log(min(max(apart, NEAREST), 5.0)) + GAP * math.log(scale.gap)
        assert odds[k] == pytest.approx(expected)
    assert odds.argmax() == 2


def test_a_name_is_compared_with_those_that_it_may_be_and_with_no_single_sample() -> None:
    means, counts = np.array([[4.0, 0], [0, 4], [-4, -4]]), np.full(3, 30.0)
    scale = Scale.of(means, counts, typical=2.0, effective_dimension=2.0)
    known = {"a": 0, "b": 1, "c": 2}
    one = resemblance(means[1], 5, known, means, counts, scale)
    assert one is not None
    assert (one.like, one.is_close) == ("b", True)
    distinct = resemblance(means[1], 5, {"a": 0, "c": 2}, means, counts, scale)
    assert distinct is not None
    assert distinct.like != "b"
    assert not distinct.is_close
    assert resemblance(means[1], 1, known, means, counts, scale) is None
    assert resemblance(means[1], 5, {}, means, counts, scale) is None
    unmeasured = Scale(math.inf, scale.gap, 2.0)
    assert resemblance(means[1], 5, known, means, counts, unmeasured) is None


def test_beside_a_single_class_the_distance_alone_decides() -> None:
    means, counts = np.array([[3.0, 0]]), np.full(1, 30.0)
    scale = Scale.of(means, counts, typical=2.0, effective_dimension=2.0)
    near = resemblance(np.array([3.1, 0]), 20, {"a": 0}, means, counts, scale)
    far = resemblance(np.array([-3.0, 2]), 20, {"a": 0}, means, counts, scale)
    assert near is not None
    assert far is not None
    assert (near.is_close, far.is_close) == (True, False)
    assert math.isnan(near.odds)


def test_names_of_a_lesson_are_the_same_where_they_lie_together() -> None:
    means, counts = np.array([[3.0, 0], [3.1, 0], [-3, 1], [3, 0]]), np.array([20.0, 20, 20, 1])
    scale = Scale(2.0, 1.0, 2.0)
    near = same_lesson(means, counts, scale)
    assert near[0, 1]
    assert near[1, 0]
    assert near.sum() == 2  # a single sample is not compared, nor a name with itself
    assert not same_lesson(means, counts, Scale(math.inf, 1.0, 2.0)).any()
