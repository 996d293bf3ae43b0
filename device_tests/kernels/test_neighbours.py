from __future__ import annotations

import numpy as np
import pytest
from edgecl_kernels import nearest_rows

pytestmark = pytest.mark.usefixtures("implementation")


def nearest(held, rows, count: int, filled: int | None = None):
    memory, filled = np.ascontiguousarray(held.T), len(held) if filled is None else filled
    out = np.full((len(rows), count), 99, np.int32)
    nearest_rows(memory, filled, rows, np.zeros(max(len(held), 1), np.int32), out)
    return out


def draw(n: int, columns: int, seed: int):
    return np.random.default_rng(seed).integers(-127, 128, (n, columns)).astype(np.int8)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("held", "rows", "columns", "count"), [(1, 1, 1, 1), (40, 5, 3, 5), (65, 7, 17, 9)])
def test_the_nearest_are_those_of_a_sort(held, rows, columns, count, seed):
    kept, asked = draw(held, columns, seed), draw(rows, columns, seed + 10)
    distances = ((kept[None].astype(int) - asked[:, None]) ** 2).sum(axis=2)
    expected = np.argsort(distances, axis=1, kind="stable")[:, :count]
    np.testing.assert_array_equal(nearest(kept, asked, count), expected)


def test_the_farthest_apart_that_int8_allows_does_not_overflow():
    kept = np.array([[127] * 384, [126] * 384], np.int8)
    np.testing.assert_array_equal(nearest(kept, -kept[:1], 2), [[1, 0]])


def test_where_fewer_are_kept_the_rest_is_none():
    kept = draw(4, 3, 0)
    np.testing.assert_array_equal(nearest(kept, kept[1:2], 3, filled=2)[0, [0, 2]], [1, -1])
    np.testing.assert_array_equal(nearest(kept, kept[:1], 2, filled=0), [[-1, -1]])
    assert nearest(kept, kept[:0], 2).shape == (0, 2)
