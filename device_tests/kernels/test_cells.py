from __future__ import annotations

import numpy as np
import pytest
from edgecl_kernels import cell_steps

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")


def draw_tests(tables: int, each: int, columns: int, seed: int):
    r = np.random.default_rng(seed)
    tested = r.integers(-1, columns, (tables, each)).astype(np.int32)
    return tested, r.normal(size=(tables, each)).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("n", "columns", "classes"), [(0, 2, 2), (1, 1, 1), (60, 3, 3)])
def test_steps_are_those_of_adagrad_on_the_cells_a_row_falls_into(n, columns, classes, seed):
    r = np.random.default_rng(seed)
    x, labels = r.normal(size=(n, columns)).astype(np.float32), r.integers(classes, size=n).astype(np.int32)
    tested, thresholds = draw_tests(5, 3, columns, seed)
    parameters, out = np.zeros((2, classes, 5 * 8), np.float32), np.empty((n, classes), np.float32)
    cell_steps(x, labels, np.float32(0.1), tested, thresholds, np.zeros(5, np.int32), parameters, out)
    expected, answers = naive.cells(x, labels, classes, tested, thresholds, rate=0.1)
    np.testing.assert_allclose(out, answers, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(parameters[0], expected, rtol=2e-3, atol=2e-3)


def test_a_rule_of_two_thresholds_is_learnt():
    r = np.random.default_rng(0)
    x = r.uniform(-1, 1, (1500, 2)).astype(np.float32)
    labels = ((x[:, 0] > 0) & (x[:, 1] > 0)).astype(np.int32)
    tested, thresholds = np.array([[0, 1], [1, -1]], np.int32), np.zeros((2, 2), np.float32)
    parameters, out = np.zeros((2, 2, 8), np.float32), np.empty((1500, 2), np.float32)
    cell_steps(x, labels, np.float32(0.1), tested, thresholds, np.zeros(2, np.int32), parameters, out)
    assert (out[500:].argmax(axis=1) == labels[500:]).mean() > 0.99
