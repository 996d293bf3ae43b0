"""Long calls that are watched: reports, stages, and what is said of one that is dropped."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Generator

import pytest

from edgecl.progress import Run, watched


@watched
def counted(most: int) -> Generator[int, None, str]:
    yield from range(most)
    return f"{most} done"


def test_its_stages_come_one_by_one_and_its_report_at_the_end() -> None:
    run = counted(2)
    assert next(run) == 0
    with pytest.raises(RuntimeError, match="has not ended"):
        _ = run.report
    assert list(run) == [1]
    assert run.report == "2 done"
    assert list(run) == []
    assert run.report == "2 done"


def test_a_loop_that_was_left_goes_on_where_it_stopped() -> None:
    run = counted(3)
    for _ in run:
        break
    assert run.finish() == "3 done"


def test_it_runs_to_its_end_and_shows_each_stage() -> None:
    seen: list[int] = []
    assert counted(3).finish(seen.append) == "3 done"
    assert seen == [0, 1, 2]


def test_one_within_another_hands_its_report_over() -> None:
    @watched
    def outer() -> Generator[int, None, str]:
        inner = yield from counted(2)
        return inner.upper()

    run = outer()
    assert list(run) == [0, 1]
    assert run.report == "2 DONE"


@pytest.mark.parametrize("taken", [0, 1])
def test_one_that_is_dropped_before_its_end_warns(taken: int) -> None:
    run = counted(2)
    for _ in range(taken):
        next(run)
    with pytest.warns(ResourceWarning, match="dropped before its end"):
        del run


def test_one_that_ended_failed_or_was_closed_is_silent() -> None:
    def failing() -> Generator[int, None, None]:
        yield 0
        raise ValueError("no")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counted(2).finish()
        counted(2).close()
        run = Run(failing())
        with pytest.raises(ValueError, match="no"):
            run.finish()
        with pytest.raises(RuntimeError, match="ended without a report"):
            _ = run.report
        del run
        gc.collect()


def test_closing_it_closes_what_it_has_open() -> None:
    closed = []

    def holding() -> Generator[int, None, None]:
        try:
            yield 0
        finally:
            closed.append(True)

    run = Run(holding())
    next(run)
    run.close()
    assert closed == [True]
    assert list(run) == []
