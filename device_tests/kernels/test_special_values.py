"""Infinity, denormals, no rows and one class, for every kernel that takes rows of numbers, in each implementation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import edgecl_kernels as kernels
import numpy as np
import pytest
from numpy.typing import NDArray

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")

F32 = NDArray[np.float32]
COLUMNS, CLASSES = 19, 5  # no multiple of any vector or tile
DENORMAL = np.float32(1e-40)


def heads(classes: int) -> F32:
    return np.random.default_rng(5).normal(size=(classes, COLUMNS)).astype(np.float32)


def scored(x: F32, classes: int) -> F32:
    out = np.empty((len(x), classes), np.float32)
    kernels.scores(x, heads(classes), np.zeros(classes, np.float32), out)
    return out


def softened(x: F32, classes: int) -> F32:
    z = x[:, :classes].copy()
    kernels.softmax_rows(z)
    return z


def fisher(x: F32, classes: int) -> F32:
    out = np.zeros((classes, COLUMNS), np.float32)
    kernels.fisher_diagonal(x, heads(classes), np.empty((8, 16), np.float32), out)
    return out


def lifted(x: F32, classes: int) -> F32:
    out = np.empty((len(x), 70 + COLUMNS), np.float32)
    kernels.lift_rows(x, 3, out)
    return out


def scattered(x: F32, classes: int) -> NDArray[Any]:
    out = np.zeros(COLUMNS * (COLUMNS + 1) // 2)
    kernels.scatter_update(x, out)
    return out


def scattered_f32(x: F32, classes: int) -> F32:
    out = np.zeros(COLUMNS * (COLUMNS + 1) // 2, np.float32)
    kernels.scatter_update_f32(x, out)
    return out


def whitened(x: F32, classes: int) -> NDArray[Any]:
    out = x.astype(np.float64)
    kernels.forward_packed(naive.pack(np.eye(COLUMNS), np.float64), out)
    return out


def solved(x: F32, classes: int) -> F32:
    out = x.copy()
    kernels.solve_packed_f32(naive.pack(np.eye(COLUMNS), np.float32), out)
    return out


# what a kernel makes of rows, and what the formula makes of them
CASES: dict[str, tuple[Callable[[F32, int], NDArray[Any]], Callable[[F32, int], NDArray[Any]]]] = {
    "scores": (scored, lambda x, classes: x.astype(np.float64) @ heads(classes).astype(np.float64).T),
    "softmax_rows": (softened, lambda x, classes: naive.softmax(x[:, :classes])),
    "fisher_diagonal": (fisher, lambda x, classes: naive.fisher(x, heads(classes))),
    "lift_rows": (lifted, lambda x, classes: naive.lift(x, 3, 70)),
    "scatter_update": (scattered, lambda x, classes: naive.scatter(x)),
    "scatter_update_f32": (scattered_f32, lambda x, classes: naive.scatter(x)),
    "forward_packed": (whitened, lambda x, classes: x.astype(np.float64)),
    "solve_packed_f32": (solved, lambda x, classes: x.astype(np.float64)),
}
EVERY = pytest.mark.parametrize(("kernel", "formula"), CASES.values(), ids=CASES)


def rows(n: int) -> F32:
    return np.random.default_rng(4).normal(size=(n, COLUMNS)).astype(np.float32)


@EVERY
@pytest.mark.parametrize("classes", [1, CLASSES])
@pytest.mark.parametrize("n", [0, 1, 11])
def test_no_row_one_row_and_one_class_are_as_the_formula_says(kernel, formula, n, classes):
    np.testing.assert_allclose(kernel(rows(n), classes), formula(rows(n), classes), rtol=1e-4, atol=2e-5)


@EVERY
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_not_lost(kernel, formula, value):
    x = rows(6)
    x[2, :CLASSES] = value  # softmax sees the first columns only
    with np.errstate(all="ignore"):
        assert not np.isfinite(kernel(x, CLASSES)).all()


@EVERY
def test_rows_of_denormals_count_as_next_to_nothing(kernel, formula):
    x = np.full((9, COLUMNS), DENORMAL)
    np.testing.assert_allclose(kernel(x, CLASSES), formula(x, CLASSES), rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize("value", [np.inf, np.nan, DENORMAL])
def test_herding_orders_whatever_it_is_given(value):
    x = rows(7)
    x[3] = value
    order = np.empty(7, np.int32)
    with np.errstate(all="ignore"):
        kernels.herding_order(x, np.zeros(COLUMNS, np.float32), np.empty((3, 7), np.float32), order)
    assert sorted(order) == list(range(7))


@pytest.mark.parametrize("scale", [np.inf, np.nan, DENORMAL])
def test_a_scale_is_taken_as_it_is(scale):
    held, out = np.ones((2, COLUMNS), np.int8), np.empty((2, COLUMNS), np.float32)
    kernels.dequantise_rows(held, np.array([1, scale], np.float32), out)
    np.testing.assert_array_equal(out, np.array([[1], [scale]], np.float32).repeat(COLUMNS, axis=1))


def test_a_matrix_of_denormals_has_a_factor_or_names_a_pivot():
    packed = naive.pack(np.eye(COLUMNS) * DENORMAL, np.float32)
    assert kernels.cholesky_packed_f32(packed) in (-1, 0)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_matrix_that_is_not_finite_has_no_finite_factor(value):
    matrix = np.eye(COLUMNS)
    matrix[7, 3] = matrix[3, 7] = value
    packed = naive.pack(matrix, np.float64)
    with np.errstate(all="ignore"):
        assert kernels.cholesky_packed(packed) == 7 or not np.isfinite(packed).all()
