"""Condensed statistics: what a share keeps of a class says the same as its whole triangle."""

from __future__ import annotations

import numpy as np
import pytest

from edgecl.model.condensed import (
    Condensed,
    arrays_of,
    as_single,
    condensed,
    rows_of,
    statistics_from,
)
from edgecl.model.statistics import ClassStatistics, packed_length

D = 24


def statistics_of(count: int, *, dimension: int = D, seed: int = 0) -> ClassStatistics:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)) * np.linspace(0.1, 3, dimension)
    mean = rows.mean(axis=0)
    scatter = (rows - mean).T @ (rows - mean)
    return ClassStatistics(count, mean, scatter[np.tril_indices(dimension)].astype(np.float32))


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_rows_of_a_class_of_few_samples_are_its_scatter(count: int) -> None:
    one = statistics_of(count)
    rows = rows_of(one)
    assert rows is not None
    assert len(rows) <= count - 1
    np.testing.assert_allclose((rows.T @ rows)[np.tril_indices(D)], one.scatter, atol=1e-5 * max(one.trace, 1e-30))


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("count", [5, 40])
def test_a_condensed_class_says_what_its_triangle_says(count: int, half: bool) -> None:
    one = statistics_of(count)
    made = condensed(one, as_rows=True, half=half)
    assert made.is_rows == (count == 5)
    near = (4e-3 if half else 1e-5) * one.trace
    np.testing.assert_allclose(made.scatter, one.scatter, atol=near)
    np.testing.assert_allclose(made.trace, one.trace, rtol=4e-3)
    np.testing.assert_allclose(made.decayed(2).scatter, one.decayed(2).scatter, atol=near)
    for row in (0, 7, D - 1):
        np.testing.assert_allclose(made.scatter_row(row), one.scatter_row(row), atol=near)


def test_a_class_that_was_weighed_down_stays_a_triangle() -> None:
    light = statistics_of(20).decayed(5)
    assert rows_of(light) is None
    assert np.array_equal(condensed(light, as_rows=True).scatter, light.scatter)


def test_kept_arrays_are_read_back_without_a_copy() -> None:
    held = {"few": condensed(statistics_of(5), as_rows=True), "many": condensed(statistics_of(40, seed=1))}
    arrays = arrays_of([held[label] for label in sorted(held)])
    again = statistics_from(sorted(held), arrays, dimension=D)
    for label, one in held.items():
        assert np.array_equal(again[label].scatter, one.scatter)
    assert isinstance(again["few"], Condensed)
    assert np.shares_memory(again["few"].values, arrays["values"])
    assert np.shares_memory(again["many"].scatter, arrays["values"])


def test_fifty_windows_of_the_shipped_movement_extractor_take_a_ninth() -> None:
    made = condensed(statistics_of(50, dimension=936), as_rows=True)
    assert made.values.nbytes < packed_length(936) * 4 / 9


def test_a_workspace_becomes_single_in_its_own_memory() -> None:
    packed = np.random.default_rng(2).standard_normal(5000)
    wanted = packed.astype(np.float32)
    single = as_single(packed)
    assert np.array_equal(single, wanted)
    assert np.shares_memory(single, packed)
