from __future__ import annotations

import numpy as np
import pytest
from edgecl_kernels import least_squares_steps

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")

START = 10.0


def case(n: int, columns: int, classes: int, seed: int = 0):
    r = np.random.default_rng(seed)
    return r.normal(size=(n, columns)).astype(np.float32), r.integers(classes, size=n).astype(np.int32)


def run(x, labels, classes: int, *, forgetting: float, state=None):
    d = x.shape[1]
    settings, weights, packed = state or (
        np.array([forgetting, START, 0, 0]),
        np.zeros((classes, d)),
        naive.pack(START * np.eye(d), np.float64),
    )
    out = np.empty((len(x), classes))
    least_squares_steps(x, labels, settings, weights, packed, np.zeros((2, d)), out)
    return settings, weights, packed, out


@pytest.mark.parametrize("forgetting", [1.0, 0.99, 0.9])
@pytest.mark.parametrize(("n", "columns", "classes"), [(0, 3, 2), (1, 1, 1), (50, 4, 3), (90, 11, 2)])
def test_steps_are_those_of_the_formula(n, columns, classes, forgetting):
    x, labels = case(n, columns, classes)
    _, weights, packed, out = run(x, labels, classes, forgetting=forgetting)
    answers, expected, inverse = naive.least_squares(x, labels, classes, forgetting=forgetting, start=START)
    np.testing.assert_allclose(out, answers, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(weights, expected, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(packed, naive.pack(inverse, np.float64), rtol=1e-7, atol=1e-9)


def test_without_forgetting_the_weights_are_ridge_regression():
    x, labels = case(200, 6, 3)
    weights = run(x, labels, 3, forgetting=1.0)[1]
    inverse = np.linalg.inv(x.T.astype(float) @ x + np.eye(6) / START)
    np.testing.assert_allclose(weights, (inverse @ x.T @ np.eye(3)[labels]).T, rtol=1e-6, atol=1e-8)


def test_a_direction_that_is_never_excited_stays_bounded():
    x, labels = case(20_000 if not naive.PLAIN else 2000, 4, 2)
    x[:, 3] = x[:, 2]  # their difference is always zero
    _, weights, packed, _ = run(x, labels, 2, forgetting=0.99)
    assert np.abs(packed).max() < 20 * START
    assert np.isfinite(weights).all()


def test_a_spoiled_inverse_starts_again_and_the_weights_stay():
    x, labels = case(1, 3, 2)
    weights = np.ones((2, 3))
    state = (np.array([1.0, START, 0, 0]), weights.copy(), naive.pack(-np.eye(3), np.float64))
    _, after, packed, _ = run(x, labels, 2, forgetting=1.0, state=state)
    np.testing.assert_array_equal(after, weights)
    np.testing.assert_array_equal(packed, naive.pack(START * np.eye(3), np.float64))


def test_in_pieces_is_as_at_once():
    x, labels = case(40, 5, 2)
    whole = run(x, labels, 2, forgetting=0.98)
    state, pieces = None, []
    for first in range(0, 40, 9):
        *state, out = run(
            x[first : first + 9].copy(), labels[first : first + 9].copy(), 2, forgetting=0.98, state=state
        )
        pieces.append(out)
    np.testing.assert_array_equal(np.concatenate(pieces), whole[3])
    np.testing.assert_array_equal(state[2], whole[2])
