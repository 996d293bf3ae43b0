"""Intervals over seeds, and where incremental lessons break even."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edgecl.compare.results import Estimate, Pair, break_even

from ..support.comparing import row

pytestmark = pytest.mark.native("plays every strategy several times")


def test_the_interval_is_students() -> None:
    one = Estimate.of(np.array([1.0, 2.0, 2.0, 3.0]))
    assert one.mean == 2
    assert one.interval == pytest.approx(3.182 * np.sqrt(2 / 3) / 2)


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_a_few_seeds_have_no_interval(seeds: int) -> None:
    assert Estimate.of(np.arange(seeds, dtype=float)).interval is None


def test_a_pair_is_compared_stream_by_stream() -> None:
    pair = Pair.of(row("replay", [0.9, 0.5, 0.7, 0.8]), row("auto", [0.8, 0.6, 0.6, 0.8]))
    assert (pair.better, pair.worse, pair.difference.mean) == (2, 1, pytest.approx(0.025))
    assert pair.difference.interval is not None


def test_the_interval_of_many_seeds_comes_near_that_of_a_normal_one() -> None:
    values = np.tile([0.0, 1.0], 50)
    assert Estimate.of(values).interval == pytest.approx(1.9842 * values.std(ddof=1) / 10, rel=1e-3)


@pytest.mark.parametrize(
    ("lessons", "retrained", "since"),
    [
        ((1, 1, 1), (2, 3, 4), 1),
        ((3, 3, 3), (1, 3, 9), 3),
        ((3, 3, 3), (4, 1, 9), 3),  # cheaper at first, then not, then for good
        ((3, 3, 3), (1, 1, 1), None),
    ],
)
def test_the_break_even_is_where_the_sum_stays_below(
    lessons: Sequence[float], retrained: Sequence[float], since: int | None
) -> None:
    assert break_even(row("auto", [0.9, 0.9], ms=lessons), row("joint", [0.9, 0.9], ms=retrained)) == since
