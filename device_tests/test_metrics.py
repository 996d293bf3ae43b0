"""Metrics against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgecl.metrics import backward_transfer, balanced_accuracy, forgetting, median, quantile

# rows: after learning experience i; columns: accuracy on experience j
MATRIX = np.array([[0.9, 0.0, 0.0], [0.95, 0.8, 0.0], [0.7, 0.85, 1.0]])


def test_balanced_accuracy_weighs_classes_equally() -> None:
    truth, said = np.array([0] * 98 + [1] * 2), np.zeros(100, int)
    assert balanced_accuracy(truth, said) == 0.5


def test_forgetting_counts_from_the_best_that_ever_was() -> None:
    assert forgetting(MATRIX) == pytest.approx(((0.95 - 0.7) + (0.8 - 0.85)) / 2)


def test_backward_transfer_counts_from_what_was_right_after_learning() -> None:
    assert backward_transfer(MATRIX) == pytest.approx(((0.7 - 0.9) + (0.85 - 0.8)) / 2)


def test_one_experience_has_nothing_to_forget() -> None:
    assert forgetting(MATRIX[:1, :1]) == 0
    assert backward_transfer(MATRIX[:1, :1]) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_median_has_the_bits_of_numpy(dtype: type) -> None:
    rng = np.random.default_rng(0)
    for size in range(1, 60):
        values = (rng.normal(size=size) ** 3).astype(dtype)
        assert median(values) == float(np.median(values))
    assert np.isnan(median([1.0, np.nan, 2.0]))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.95, 1.0])
def test_a_quantile_has_the_bits_of_numpy(share: float) -> None:
    rng = np.random.default_rng(1)
    for size in range(1, 60):
        values = rng.normal(size=size) ** 3
        assert quantile(values, share) == float(np.quantile(values, share))
