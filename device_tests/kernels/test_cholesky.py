from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import edgecl_kernels
import numpy as np
import pytest

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")

SIZES = [1, 2, 3, 4, 5, 8, 17, naive.pick(98, 22)]


@dataclass(frozen=True)
class Precision:
    """The kernels of one type, and how near they must come."""

    dtype: Any
    tolerance: float
    suffix: str

    def __getattr__(self, name: str) -> Any:
        return getattr(edgecl_kernels, name + self.suffix)


@pytest.fixture(params=[Precision(np.float64, 1e-10, ""), Precision(np.float32, 1e-3, "_f32")], ids=["f64", "f32"])
def kernels(request) -> Precision:
    return request.param


def covariance(d: int, seed: int = 0):
    x = np.random.default_rng(seed).normal(size=(2 * d + 2, d))
    return x.T @ x / len(x) + 0.1 * np.eye(d)


def factored(kernels: Precision, matrix):
    packed = naive.pack(matrix, kernels.dtype)
    assert kernels.cholesky_packed(packed) == -1
    return packed


@pytest.mark.parametrize("d", SIZES)
def test_the_factor_is_that_of_numpy(kernels, d):
    expected = naive.pack(np.linalg.cholesky(covariance(d)), np.float64)
    np.testing.assert_allclose(
        factored(kernels, covariance(d)), expected, rtol=kernels.tolerance, atol=kernels.tolerance
    )


def test_nothing_has_a_factor(kernels):
    assert kernels.cholesky_packed(np.empty(0, kernels.dtype)) == -1


@pytest.mark.parametrize("bad", range(9))
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_the_first_pivot_that_is_not_positive_is_named(kernels, bad, value):
    factor = np.linalg.cholesky(covariance(9))
    factor[bad, bad] = 0
    matrix = factor @ factor.T
    matrix[bad, bad] += value - 1e-3  # what is left of this pivot
    matrix[bad + 1 :, bad + 1 :] += np.eye(9)[bad + 1 :, bad + 1 :]
    with np.errstate(all="ignore"):
        assert kernels.cholesky_packed(naive.pack(matrix, kernels.dtype)) == bad


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize("rows", [0, 1, 3, 4, 6])
def test_rows_are_solved(kernels, d, rows):
    b = np.random.default_rng(1).normal(size=(rows, d))
    expected = np.linalg.solve(covariance(d), b.T).T
    actual = np.ascontiguousarray(b, kernels.dtype)
    kernels.solve_packed(factored(kernels, covariance(d)), actual)
    np.testing.assert_allclose(actual, expected, rtol=kernels.tolerance, atol=kernels.tolerance)


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_rows_are_whitened(kernels, d, rows):
    b = np.random.default_rng(2).normal(size=(rows, d))
    expected = np.linalg.solve(np.linalg.cholesky(covariance(d)), b.T).T
    actual = np.ascontiguousarray(b, kernels.dtype)
    kernels.forward_packed(factored(kernels, covariance(d)), actual)
    np.testing.assert_allclose(actual, expected, rtol=kernels.tolerance, atol=kernels.tolerance)


def test_a_row_is_solved_alone_as_in_a_batch(kernels):
    factor = factored(kernels, covariance(13))
    b = np.random.default_rng(3).normal(size=(6, 13)).astype(kernels.dtype)
    batch = b.copy()
    kernels.solve_packed(factor, batch)
    for i in range(6):
        single = b[i : i + 1].copy()
        kernels.solve_packed(factor, single)
        np.testing.assert_array_equal(single[0], batch[i])


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize("scratch_rows", [1, 3, 4, 6])
def test_the_trace_of_the_inverse_is_that_of_numpy(kernels, d, scratch_rows):
    scratch = np.full((scratch_rows, d), np.nan, kernels.dtype)
    actual = kernels.inverse_trace(factored(kernels, covariance(d)), scratch)
    assert actual == pytest.approx(np.trace(np.linalg.inv(covariance(d))), rel=kernels.tolerance)


@pytest.mark.parametrize("d", SIZES)
def test_trace_and_norm_are_those_of_numpy(kernels, d):
    out = np.empty(2)
    kernels.packed_sums(naive.pack(covariance(d), kernels.dtype), out)
    np.testing.assert_allclose(out, [np.trace(covariance(d)), np.sum(covariance(d) ** 2)], rtol=1e-6)


def test_nan_in_a_row_stays_there(kernels):
    b = np.ones((3, 9), kernels.dtype)
    b[1, 4] = np.nan
    kernels.solve_packed(factored(kernels, covariance(9)), b)
    assert np.isnan(b[1]).any()
    assert np.isfinite(b[[0, 2]]).all()
