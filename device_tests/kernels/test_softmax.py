from __future__ import annotations

import numpy as np
import pytest
from edgecl_kernels import scores, softmax_rows

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")

SIZES = [(0, 3, 2), (1, 1, 1), (2, 5, 3), (3, 16, 4), (6, 17, 9), (9, 40, 6), (70, 35, 7)]


def case(n: int, dimension: int, classes: int, seed: int = 0):
    r = np.random.default_rng(seed)
    x, weights, bias = (
        r.normal(size=(n, dimension)),
        r.normal(size=(classes, dimension)),
        r.normal(size=classes),
    )
    return x.astype(np.float32), weights.astype(np.float32), bias.astype(np.float32)


def scored(x, weights, bias):
    out = np.empty((len(x), len(weights)), np.float32)
    scores(x, weights, bias, out)
    return out


@pytest.mark.parametrize(("n", "dimension", "classes"), SIZES)
def test_scores_are_products_and_bias(n, dimension, classes):
    x, weights, bias = case(n, dimension, classes)
    np.testing.assert_allclose(scored(x, weights, bias), x @ weights.T + bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 6, 8])
def test_a_row_scores_the_same_alone_as_in_a_batch(classes):
    x, weights, bias = case(7, 37, classes)
    batch = scored(x, weights, bias)
    for i in range(len(x)):
        np.testing.assert_array_equal(scored(x[i : i + 1], weights, bias)[0], batch[i])


def test_nan_stays_in_its_row_of_scores():
    x, weights, bias = case(3, 9, 5)
    x[1, 0] = np.nan
    out = scored(x, weights, bias)
    assert np.isnan(out[1]).all()
    assert np.isfinite(out[[0, 2]]).all()


@pytest.mark.parametrize(("n", "classes"), [(0, 3), (1, 1), (3, 2), (4, 16), (2, 35)])
@pytest.mark.parametrize("scale", [0.01, 1, 30])
def test_softmax_is_the_naive_one(n, classes, scale):
    z = (scale * np.random.default_rng(1).normal(size=(n, classes))).astype(np.float32)
    expected = naive.softmax(z)
    softmax_rows(z)
    np.testing.assert_allclose(z, expected, rtol=5e-6, atol=1e-30)  # without FMA 3.7e-6


def test_softmax_of_large_scores_is_finite():
    z = np.array([[1e4, 0, -1e4], [-3e38, 3e38, 0]], np.float32)
    with np.errstate(over="ignore"):
        softmax_rows(z)
    np.testing.assert_allclose(z, [[1, 0, 0], [0, 1, 0]], atol=1e-30)


def test_softmax_of_equal_scores_is_uniform():
    z = np.full((1, 7), -123.0, np.float32)
    softmax_rows(z)
    np.testing.assert_allclose(z, 1 / 7, rtol=1e-6)


def test_nan_stays_in_its_row_of_probabilities():
    z = np.zeros((3, 5), np.float32)
    z[1, 3] = np.nan
    with np.errstate(all="ignore"):
        softmax_rows(z)
    assert np.isnan(z[1]).all()
    np.testing.assert_allclose(z[[0, 2]], 0.2, rtol=1e-6)
