from __future__ import annotations

import numpy as np
import pytest
from edgecl_kernels import herding_order

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")


def herd(x, target, count: int) -> list[int]:
    order = np.full(count, -1, np.int32)
    herding_order(x, target, np.full((3, len(x)), np.nan, np.float32), order)
    return order.tolist()


def draw(n: int, dimension: int, seed: int):
    x = np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)
    return x, x.mean(axis=0)


@pytest.mark.parametrize(("n", "dimension"), [(1, 1), (5, 3), (12, 16), (17, 33), (30, 7)])
@pytest.mark.parametrize("seed", range(3))
def test_each_pick_is_nearest_as_in_algorithm_4(n, dimension, seed):
    x, target = draw(n, dimension, seed)
    order = herd(x, target, n)
    for k, choice in enumerate(order):
        distances = naive.herding_distances(x, target, order[:k])
        assert distances[choice] <= distances.min() + 1e-5


@pytest.mark.parametrize("seed", range(5))
def test_the_order_is_that_of_algorithm_4(seed):
    x, target = draw(20, 6, seed)
    assert herd(x, target, 8) == naive.herding(x, target, 8)


def test_rows_far_from_the_origin_are_told_apart():
    x, _ = draw(15, 8, 3)
    x += np.float32(200)
    target = x.mean(axis=0)
    assert herd(x, target, 5) == naive.herding(x, target, 5)


def test_every_row_is_picked_once():
    x, target = draw(19, 5, 0)
    assert sorted(herd(x, target, 19)) == list(range(19))


def test_a_shorter_order_is_a_prefix():
    x, target = draw(19, 5, 1)
    assert herd(x, target, 6) == herd(x, target, 19)[:6]


def test_the_lowest_index_wins_a_tie():
    x = np.ones((4, 3), np.float32)
    assert herd(x, x[0].copy(), 4) == [0, 1, 2, 3]
    x = np.array([[2, 0], [0, 1], [0, 1], [0, -1]], np.float32)
    assert herd(x, np.zeros(2, np.float32), 2) == [1, 3]


def test_no_picks_and_no_rows_are_allowed():
    x, target = draw(3, 4, 0)
    assert herd(x, target, 0) == []
    assert herd(x[:0], target, 0) == []


def test_nan_gives_rows_that_exist_and_none_twice():
    x, target = draw(6, 4, 0)
    x[2] = np.nan
    with np.errstate(all="ignore"):
        assert sorted(herd(x, target, 6)) == list(range(6))
