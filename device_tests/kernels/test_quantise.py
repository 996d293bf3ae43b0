from __future__ import annotations

import numpy as np
import pytest
from edgecl_kernels import dequantise_rows, gather_rows, quantise_rows

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")


def quantised(x):
    rows, scales = np.empty(x.shape, np.int8), np.empty(len(x), np.float32)
    quantise_rows(x, rows, scales)
    return rows, scales


def restored(rows, scales):
    out = np.empty(rows.shape, np.float32)
    dequantise_rows(rows, scales, out)
    return out


def draw(n: int, dimension: int, seed: int = 0):
    return np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)


@pytest.mark.parametrize(("n", "dimension"), [(0, 4), (1, 1), (3, 7), (4, 16), (2, 33)])
@pytest.mark.parametrize("seed", range(3))
def test_rows_and_scales_are_the_naive_ones(n, dimension, seed):
    x = draw(n, dimension, seed)
    rows, scales = quantised(x)
    expected_rows, expected_scales = naive.quantise(x)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_allclose(scales, expected_scales, rtol=1e-6)


def test_the_error_is_at_most_half_a_level():
    x = draw(4, 50)
    rows, scales = quantised(x)
    assert (np.abs(restored(rows, scales) - x) <= 0.5001 * scales[:, None]).all()


def test_halves_are_rounded_away_from_zero():
    x = np.array([[127, 0.5, 1.5, -0.5, -2.5]], np.float32)
    assert quantised(x)[0].tolist() == [[127, 1, 2, -1, -3]]


def test_quantising_what_was_quantised_changes_nothing():
    rows, scales = quantised(draw(5, 40))
    again, again_scales = quantised(restored(rows, scales))
    np.testing.assert_array_equal(again, rows)
    np.testing.assert_allclose(again_scales, scales, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-38, -1e-31])
def test_a_row_of_next_to_nothing_is_zero_with_scale_zero(value):
    rows, scales = quantised(np.full((1, 5), value, np.float32))
    assert not rows.any()
    assert scales[0] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_does_not_crash(value):
    x = draw(3, 9)
    x[1, 4] = value
    with np.errstate(all="ignore"):
        rows, _ = quantised(x)
    np.testing.assert_array_equal(rows[[0, 2]], naive.quantise(x[[0, 2]])[0])


def gather_case(dimension: int, width: int, columns: int, seed: int = 0):
    r = np.random.default_rng(seed)
    rows = r.integers(-127, 128, (6, dimension)).astype(np.int8)
    scales = r.uniform(0.001, 0.02, 6).astype(np.float32)
    offset = r.normal(size=width + dimension).astype(np.float32)
    return rows, scales, offset, np.full((4, columns), np.nan, np.float32)


@pytest.mark.parametrize(
    ("dimension", "width", "columns"),
    [(1, 0, 16), (15, 0, 16), (16, 0, 32), (9, 20, 48), (5, 64, 80), (7, 65, 96)],
)
def test_gathered_rows_are_lifted_centred_and_given_a_bias(dimension, width, columns):
    rows, scales, offset, out = gather_case(dimension, width, columns)
    indices = np.array([5, 0, 0, 3], np.int32)
    gather_rows(rows, scales, indices, offset, 0.7, width, 9, out)
    expected = naive.gather(rows, scales, indices, offset, 0.7, width, 9, columns)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("width", [0, 70])
def test_an_empty_slot_is_a_row_of_zeros(width):
    rows, scales, offset, out = gather_case(9, width, 96)
    gather_rows(rows, scales, np.array([2, -1, 1, -1], np.int32), offset, 1.0, width, 9, out)
    assert not out[[1, 3]].any()
    assert out[[0, 2]].any(axis=1).all()


def test_an_empty_slot_is_zero_whatever_the_rows_hold():
    rows, scales, offset, out = gather_case(9, 0, 16)
    scales[:] = np.nan
    gather_rows(rows, scales, np.full(4, -1, np.int32), offset, 1.0, 0, 9, out)
    assert not out.any()


def test_gathering_nothing_is_allowed():
    rows, scales, offset, out = gather_case(9, 0, 16)
    gather_rows(rows, scales, np.empty(0, np.int32), offset, 1.0, 0, 9, out[:0])
