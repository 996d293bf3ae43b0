from __future__ import annotations

import numpy as np
import pytest
from edgecl_kernels import fisher_diagonal

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")


def case(n: int, classes: int, columns: int, seed: int = 0):
    r = np.random.default_rng(seed)
    x, weights = r.normal(size=(n, columns)), r.normal(size=(classes, columns))
    return x.astype(np.float32), weights.astype(np.float32)


def fisher(x, weights, scratch_rows: int = 64):
    out = np.zeros(weights.shape, np.float32)
    scratch = np.full((scratch_rows, -(-len(weights) // 16) * 16), np.nan, np.float32)
    fisher_diagonal(x, weights, scratch, out)
    return out


@pytest.mark.parametrize(
    ("n", "classes", "columns"), [(0, 2, 3), (1, 1, 1), (1, 2, 5), (5, 4, 16), (9, 7, 18), (4, 9, 6), (3, 10, 75)]
)
def test_it_is_the_expectation_written_out(n, classes, columns):
    x, weights = case(n, classes, columns)
    np.testing.assert_allclose(fisher(x, weights), naive.fisher(x, weights), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_gradients_by_finite_differences_give_the_same(seed):
    x, weights = case(1, 3, 4, seed)
    step, expected = 1e-6, np.zeros(weights.shape)
    p = naive.softmax(x @ weights.T)[0]
    for c, d in np.ndindex(*weights.shape):
        up, down = weights.astype(np.float64), weights.astype(np.float64)
        up[c, d] += step
        down[c, d] -= step
        gradient = (np.log(naive.softmax(x @ up.T)[0]) - np.log(naive.softmax(x @ down.T)[0])) / (2 * step)
        expected[c, d] = p @ gradient**2
    np.testing.assert_allclose(fisher(x, weights), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scratch_rows", [1, 2, 3, 64])
def test_any_number_of_scratch_rows_will_do(scratch_rows):
    x, weights = case(7, 5, 9)
    np.testing.assert_allclose(fisher(x, weights, scratch_rows), naive.fisher(x, weights), rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(naive.PLAIN, reason="the loops are slow in plain Python")
def test_more_rows_than_a_block_and_more_columns_than_a_panel_are_summed():
    x, weights = case(150, 5, 1040)
    weights *= np.float32(0.1)
    np.testing.assert_allclose(fisher(x, weights), naive.fisher(x, weights), rtol=1e-3, atol=1e-4)


def test_it_adds_to_what_is_there():
    x, weights = case(4, 3, 6)
    out = np.ones(weights.shape, np.float32)
    fisher_diagonal(x, weights, np.empty((4, 16), np.float32), out)
    np.testing.assert_allclose(out - 1, fisher(x, weights), rtol=1e-4, atol=1e-5)


def test_two_equal_classes_have_a_quarter_of_the_squares():
    x, _ = case(6, 2, 5)
    expected = np.tile((x.astype(np.float64) ** 2).sum(axis=0) / 4, (2, 1))
    np.testing.assert_allclose(fisher(x, np.zeros((2, 5), np.float32)), expected, rtol=1e-5)


def test_one_class_carries_no_information():
    x, weights = case(5, 1, 8)
    assert not fisher(x, weights).any()


def test_nan_comes_out_as_nan():
    x, weights = case(5, 4, 8)
    x[2, 3] = np.nan
    with np.errstate(all="ignore"):
        assert np.isnan(fisher(x, weights)).any()
