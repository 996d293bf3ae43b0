from __future__ import annotations

import numpy as np
import pytest
from edgecl_kernels import scatter_update, scatter_update_f32

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")

KERNELS = pytest.mark.parametrize(
    ("kernel", "dtype", "tolerance"),
    [(scatter_update, np.float64, 1e-14), (scatter_update_f32, np.float32, 1e-5)],
)


def draw(n: int, dimension: int, seed: int = 0):
    return np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)


def scattered(kernel, dtype, x):
    packed = np.zeros(x.shape[1] * (x.shape[1] + 1) // 2, dtype)
    kernel(x, packed)
    return packed


@KERNELS
@pytest.mark.parametrize(("n", "dimension"), [(0, 3), (1, 1), (1, 17), (7, 5), (8, 16), (9, 21), (20, 4), (3, 53)])
def test_it_is_the_sum_of_outer_products(kernel, dtype, tolerance, n, dimension):
    x = draw(n, dimension)
    np.testing.assert_allclose(scattered(kernel, dtype, x), naive.scatter(x), rtol=tolerance, atol=10 * tolerance)


@KERNELS
@pytest.mark.skipif(naive.PLAIN, reason="300 columns are slow in plain Python")
@pytest.mark.parametrize("dimension", [96, 256, 261, 300])
def test_more_columns_than_a_panel_and_more_rows_than_a_block_are_summed(kernel, dtype, tolerance, dimension):
    x = draw(37, dimension)
    expected = (x.astype(np.float64).T @ x)[np.tril_indices(dimension)]
    np.testing.assert_allclose(scattered(kernel, dtype, x), expected, rtol=tolerance, atol=10 * tolerance)


@KERNELS
@pytest.mark.parametrize("dimension", [13, 64])
def test_nothing_is_written_beside_the_triangle(kernel, dtype, tolerance, dimension):
    size = dimension * (dimension + 1) // 2
    held = np.full(size + 64, 7, dtype)
    x = draw(5, dimension)
    kernel(x, held[:size])
    assert (held[size:] == 7).all()


@KERNELS
def test_it_adds_to_what_is_there(kernel, dtype, tolerance):
    x, y = draw(5, 6, 1), draw(9, 6, 2)
    packed = scattered(kernel, dtype, x)
    kernel(y, packed)
    expected = naive.scatter(np.concatenate([x, y]))
    np.testing.assert_allclose(packed, expected, rtol=tolerance, atol=10 * tolerance)


def test_rows_one_by_one_are_rows_at_once_in_float64():
    x = draw(19, 12)
    packed = np.zeros(78)
    for row in x:
        scatter_update(row[None].copy(), packed)
    np.testing.assert_allclose(packed, scattered(scatter_update, np.float64, x), rtol=1e-13, atol=1e-13)


def test_products_are_exact_in_float64():
    x = np.array([[1 + 2**-20, 1]], np.float32)
    np.testing.assert_array_equal(scattered(scatter_update, np.float64, x), [(1 + 2**-20) ** 2, 1 + 2**-20, 1])


@KERNELS
def test_nan_comes_out_as_nan(kernel, dtype, tolerance):
    x = draw(3, 4)
    x[1, 2] = np.nan
    assert np.isnan(scattered(kernel, dtype, x)).any()
