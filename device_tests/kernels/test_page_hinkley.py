from __future__ import annotations

import numpy as np
import pytest
from edgecl_kernels import page_hinkley_update

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")


def fresh(*, delta: float = 0.005, threshold: float = 5.0, alpha: float = 0.9999, grace: int = 30):
    state = np.zeros(12)
    state[8:] = delta, threshold, alpha, grace
    return state


def changes(values, state) -> list[int]:
    out = np.full(len(values), 99, np.int32)
    page_hinkley_update(state, np.array(values, np.float64), out)
    return out.tolist()


def errors(seed: int, *shares: float, length: int = 200):
    generator = np.random.default_rng(seed)
    return np.concatenate([generator.random(length) < share for share in shares]).astype(np.float64)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("settings", [{}, {"alpha": 1.0, "delta": 0.1}, {"threshold": 1.0, "grace": 1}])
def test_changes_are_those_of_the_sums_written_out(seed, settings):
    values = errors(seed, 0.2, 0.7, 0.1)
    expected = naive.page_hinkley(values, **{"threshold": 5.0, **settings})
    assert changes(values, fresh(**settings)) == expected
    assert any(change > 0 for change in expected)
    assert any(change < 0 for change in expected)


def test_the_number_says_when_the_mean_rose():
    told = changes(errors(3, 0.05, 0.95), fresh(delta=0.2))
    at = next(at for at, change in enumerate(told) if change)
    assert abs(at + 1 - told[at] - 200) <= 10


def test_in_pieces_is_as_at_once():
    values = errors(1, 0.2, 0.7, 0.3)
    pieces, state = [], fresh()
    for first in range(0, len(values), 17):
        pieces += changes(values[first : first + 17], state)
    assert pieces == changes(values, fresh())


def test_after_a_change_only_the_settings_are_left():
    state = fresh(threshold=1.0, grace=1)
    assert changes([0.0] * 20 + [1.0] * 2, state)[-1] > 0
    np.testing.assert_array_equal(state, fresh(threshold=1.0, grace=1))


def test_a_steady_value_is_no_change():
    assert not any(changes([0.3] * 1000, fresh()))
    assert changes([], fresh()) == []
