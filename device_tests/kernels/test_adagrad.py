from __future__ import annotations

import numpy as np
import pytest
from edgecl_kernels import adagrad_steps

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")


def case(n: int, columns: int, classes: int, seed: int = 0):
    r = np.random.default_rng(seed)
    return r.normal(size=(n, columns)).astype(np.float32), r.integers(classes, size=n).astype(np.int32)


def run(x, labels, classes: int, weights=None, rate: float = 0.3):
    parameters, out = np.zeros((2, classes, x.shape[1]), np.float32), np.empty((len(x), classes), np.float32)
    weights = np.ones(len(x), np.float32) if weights is None else weights
    adagrad_steps(x, labels, weights, np.float32(rate), parameters, out)
    return parameters, out


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("n", "columns", "classes"), [(0, 3, 2), (1, 1, 1), (40, 5, 3), (60, 19, 2)])
def test_steps_are_those_of_the_paper(n, columns, classes, seed):
    x, labels = case(n, columns, classes, seed)
    weights = np.random.default_rng(seed).uniform(0.5, 2, n).astype(np.float32)
    parameters, out = run(x, labels, classes, weights)
    expected, answers = naive.adagrad(x, labels, weights, classes, rate=0.3)
    np.testing.assert_allclose(out, answers, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(parameters[0], expected, rtol=2e-3, atol=2e-3)


def test_a_row_is_answered_before_its_own_step():
    x, labels = case(1, 4, 2)
    np.testing.assert_allclose(run(x, labels, 2)[1], 0.5)


def test_in_pieces_is_as_at_once():
    x, labels = case(30, 7, 3)
    whole, out = run(x, labels, 3)
    parameters, pieces = np.zeros_like(whole), np.empty_like(out)
    for first in range(0, 30, 8):
        part = slice(first, first + 8)
        weights = np.ones(len(labels[part]), np.float32)
        adagrad_steps(x[part].copy(), labels[part].copy(), weights, np.float32(0.3), parameters, pieces[part])
    np.testing.assert_array_equal(parameters, whole)
    np.testing.assert_array_equal(pieces, out)
