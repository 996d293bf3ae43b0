from __future__ import annotations

import math

import numpy as np
import pytest
from edgecl_kernels import adwin_update
from edgecl_kernels.adwin import natural_log

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")

BUCKETS = 5


def fresh(*, rows: int = 20, delta: float = 0.002, clock: int = 32, shortest: int = 5, grace: int = 10):
    state = np.zeros((1 + rows, 1 + 2 * (BUCKETS + 1)))
    state[0, 4:8] = delta, clock, shortest, grace
    return state


def changes(values, state) -> list[int]:
    out = np.full(len(values), 99, np.int32)
    adwin_update(state, np.array(values, np.float64), out)
    return out.tolist()


def errors(seed: int, *shares: float, length: int = 400):
    generator = np.random.default_rng(seed)
    return np.concatenate([generator.random(length) < share for share in shares]).astype(np.float64)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "settings", [{}, {"clock": 1, "delta": 0.1}, {"shortest": 1, "grace": 3, "clock": 7}, {"delta": 0.9}]
)
def test_changes_are_those_of_a_window_that_keeps_every_value(seed, settings):
    length = 60 if settings.get("clock") == 1 else 150  # each value of which is looked at by the naive one
    values = errors(seed, 0.2, 0.6, 0.1, length=length)
    assert changes(values, fresh(**settings)) == naive.adwin(values, **settings)


@pytest.mark.parametrize("seed", range(3))
def test_values_need_not_be_errors(seed):
    generator = np.random.default_rng(seed)
    values = np.concatenate([generator.normal(0, 0.2, 200), generator.normal(0.7, 0.1, 200)])
    expected = naive.adwin(values)
    assert changes(values, fresh()) == expected
    assert any(expected)


def test_the_sign_says_whether_the_mean_rose_and_the_number_when():
    values = errors(0, 0.1, 0.9)
    told = {at: change for at, change in enumerate(changes(values, fresh())) if change}
    (at, change), *more = told.items()
    assert not more
    assert abs(at + 1 - change - 400) <= 40
    assert -max(changes(values[::-1], fresh()), key=abs) > 0


def test_in_pieces_is_as_at_once():
    values = errors(1, 0.2, 0.7, 0.3)
    pieces, state = [], fresh()
    for first in range(0, len(values), 17):
        pieces += changes(values[first : first + 17], state)
    assert pieces == changes(values, fresh())


def test_the_window_keeps_the_mean_and_the_squared_deviations():
    values = np.random.default_rng(0).normal(3, 1, 500)
    state = fresh(clock=10**6)
    changes(values, state)
    np.testing.assert_allclose(state[0, :3], [500, values.sum(), 500 * values.var()], rtol=1e-10)
    sizes = 2.0 ** np.arange(20)
    assert state[1:, 0] @ sizes == 500


def test_a_window_that_is_full_drops_its_oldest():
    values = np.concatenate([np.full(500, 8.0), np.zeros(100)])
    state = fresh(rows=4, clock=10**6)
    changes(values, state)
    assert BUCKETS * 2**3 <= state[0, 0] <= BUCKETS * 2**4
    np.testing.assert_allclose(state[0, 1:3], 0, atol=1e-9)


def test_after_a_change_the_window_begins_anew():
    values = errors(0, 0.0, 1.0)
    last = next(at for at, change in enumerate(changes(values, fresh())) if change)
    changes(values[: last + 1], state := fresh())
    np.testing.assert_array_equal(state, fresh())


def test_no_values_change_nothing():
    state = fresh()
    assert changes([], state) == []
    np.testing.assert_array_equal(state, fresh())


@pytest.mark.parametrize("x", [1.0, 1.0000001, 1.5, 2.0, math.e, 3.0, 1000.0, 4321.5, 1e12])
def test_the_logarithm_is_right_to_the_last_bits(x):
    assert natural_log(x) == pytest.approx(math.log(x), rel=4e-16, abs=1e-16)
