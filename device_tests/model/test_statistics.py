"""Statistics are additive and do not depend on the order in which samples come."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.model.statistics import ClassStatistics, accumulate, packed_length, pooled_scatter


def take_in(
    blocks: list[NDArray[np.float32]], start: ClassStatistics | None = None, precision: str = "float64"
) -> ClassStatistics:
    scatter = np.empty(packed_length(blocks[0].shape[1]), precision)
    count, mean = accumulate(start, blocks, scatter)
    return ClassStatistics(count, mean, scatter.astype(np.float32))


def naive_scatter(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """The packed lower triangle of Σ (x - mean)(x - mean)ᵀ as the definition has it."""
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    return (centred.T @ centred)[np.tril_indices(rows.shape[1])]


@pytest.fixture
def rows(rng: np.random.Generator) -> NDArray[np.float32]:
    return (rng.standard_normal((50, 20)) + 3).astype(np.float32)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_scatter_equals_its_definition(rows: NDArray[np.float32], precision: str) -> None:
    one = take_in([rows], precision=precision)
    assert one.count == 50
    np.testing.assert_allclose(one.mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(one.scatter, naive_scatter(rows), rtol=1e-4, atol=1e-4)


def test_adding_one_by_one_equals_adding_at_once(rows: NDArray[np.float32]) -> None:
    at_once, one_by_one = take_in([rows]), take_in([row[None] for row in rows])
    assert one_by_one.count == at_once.count
    np.testing.assert_allclose(one_by_one.mean, at_once.mean, rtol=1e-12)
    np.testing.assert_allclose(one_by_one.scatter, at_once.scatter, rtol=1e-5, atol=1e-5)


def test_adding_in_lessons_equals_adding_at_once_in_any_order(rows: NDArray[np.float32]) -> None:
    at_once = take_in([rows])
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
        parts = [np.array_split(rows, 5)[index] for index in order]
        grown: ClassStatistics | None = None
        for part in parts:
            grown = take_in([part], grown)
        assert grown is not None
        np.testing.assert_allclose(grown.scatter, at_once.scatter, rtol=1e-5, atol=1e-5)


def test_one_sample_has_no_scatter(rows: NDArray[np.float32]) -> None:
    one = take_in([rows[:1]])
    assert one.count == 1
    assert not one.scatter.any()


def test_no_sample_gives_a_count_of_zero() -> None:
    count, mean = accumulate(None, [np.zeros((0, 4), np.float32)], np.empty(packed_length(4)))
    assert count == 0
    assert mean.size == 0


def test_pooled_scatter_is_the_mean_of_the_classes_own_covariances(rows: NDArray[np.float32]) -> None:
    first, second = take_in([rows[:20]]), take_in([rows[20:]])
    out = np.empty(packed_length(20))
    freedom = pooled_scatter([first, second], out)
    assert freedom == 48
    expected = (naive_scatter(rows[:20]) / 20 + naive_scatter(rows[20:]) / 30) / 2
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)


def test_pooled_scatter_of_single_samples_is_zero(rows: NDArray[np.float32]) -> None:
    out = np.ones(packed_length(20))
    assert pooled_scatter([take_in([rows[:1]]), take_in([rows[1:2]])], out) == 0
    assert not out.any()


def test_stored_arrays_give_the_same_statistics_back(rows: NDArray[np.float32]) -> None:
    one = take_in([rows])
    back = ClassStatistics.from_arrays(one.arrays())
    assert back.count == one.count
    assert np.array_equal(back.mean, one.mean)
    assert np.array_equal(back.scatter, one.scatter)


@pytest.mark.parametrize("lost", ["count", "mean", "scatter"])
def test_stored_arrays_without_a_part_are_damage(rows: NDArray[np.float32], lost: str) -> None:
    arrays = take_in([rows]).arrays()
    del arrays[lost]
    with pytest.raises(ValueError, match=lost):
        ClassStatistics.from_arrays(arrays)


def test_a_scatter_of_another_size_is_damage(rows: NDArray[np.float32]) -> None:
    arrays = {**take_in([rows]).arrays(), "scatter": np.zeros(7, np.float32)}
    with pytest.raises(ValueError, match="do not fit together"):
        ClassStatistics.from_arrays(arrays)


def test_decayed_statistics_weigh_less_and_say_the_same(rng) -> None:
    x = rng.normal(size=(200, 5)).astype(np.float32)
    scatter = np.empty(15)
    count, mean = accumulate(None, [x], scatter)
    one = ClassStatistics(count, mean, scatter.astype(np.float32))
    half = one.decayed(100)
    assert half.count == 100
    np.testing.assert_array_equal(half.mean, one.mean)
    np.testing.assert_allclose(half.scatter / half.count, one.scatter / one.count, rtol=1e-6)
    assert one.decayed(200) is one
    assert one.decayed(10**6) is one
    with pytest.raises(ValueError, match="0 samples"):
        one.decayed(0)
