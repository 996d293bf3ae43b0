"""Words and events matched, and the threshold to choose."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from edgecl.live.events import Event
from edgecl.live.spotted import StreamEvaluation, Word, matched, most_expected


def event(label: str, middle: float) -> Event:
    return Event(middle + 0.7, label, 0.9, 0.1, (middle - 0.7, middle + 0.7))


def evaluation(*rows: tuple[float, int, int], hours: float = 1.0, wished: float = 1.0) -> StreamEvaluation:
    """Of (threshold, false accepts, missed of ten words); without words where missed is below zero."""
    thresholds, false, missed = zip(*rows, strict=True)
    is_heard = np.array([[word >= count for count in missed] for word in range(10)])
    words = [Word("yes", 10.0 * at, 10.0 * at + 1, heard) for at, heard in enumerate(is_heard)]
    return StreamEvaluation(
        "a.wav", 3600 * hours, 2, thresholds, {} if missed[0] < 0 else {"recorded": words},
        [[event("no", float(at)) for at in range(count)] for count in false], wished, (), {}, {},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("events", "heard", "false"),
    [
        ([("yes", 2.3)], [True, False], 0),
        ([("yes", 1.6), ("yes", 6.9)], [True, True], 0),
        ([("yes", 1.4)], [False, False], 1),
        ([("yes", 3.1)], [False, False], 1),
        ([("no", 2.3)], [False, False], 1),
        ([("yes", 2.2), ("yes", 2.9)], [True, False], 1),
        ([], [False, False], 0),
    ],
)
def test_a_word_is_heard_by_one_event_of_its_label_near_it_and_every_other_is_false(
    events: list[tuple[str, float]], heard: list[bool], false: int
) -> None:
    found, rest = matched([event(*one) for one in events], [("yes", 2.0, 2.5), ("yes", 6.0, 6.5)])
    assert (found.tolist(), len(rest)) == (heard, false)


@pytest.mark.parametrize(
    ("rows", "most_missed", "is_met"),
    [
        ([(0.1, 30, 0), (0.5, 24, 1), (0.9, 0, 5)], 0.16, True),
        ([(0.1, 30, 0), (0.5, 24, 2), (0.9, 0, 5)], 0.16, False),
        ([(0.1, 30, 0), (0.5, 25, 1), (0.9, 25, 5)], 0.16, False),  # no threshold keeps the false accepts
        ([(0.1, 0, -1), (0.5, 0, -1), (0.9, 0, -1)], 0.16, None),
        ([(0.1, 30, 0), (0.5, 24, 1), (0.9, 0, 5)], None, None),
    ],
)
def test_a_benchmark_is_met_by_a_threshold_that_keeps_both_bounds(
    rows: list[tuple[float, int, int]], most_missed: float | None, is_met: bool | None
) -> None:
    found = replace(evaluation(*rows, wished=24.0), most_missed=most_missed)
    assert found.is_met is is_met
    assert (found.as_dict()["missed_at_most"], found.as_dict()["is_met"]) == (most_missed, is_met)


@pytest.mark.parametrize(
    ("rows", "threshold"),
    [
        ([(0.1, 9, 0), (0.5, 1, 2), (0.9, 0, 5)], 0.5),
        ([(0.1, 1, 0), (0.5, 2, 1), (0.9, 0, 5)], 0.9),  # a higher threshold makes too many
        ([(0.1, 1, 3), (0.5, 1, 3), (0.9, 1, 3)], 0.5),
        ([(0.1, 1, 3), (0.5, 1, 3), (0.9, 0, 3)], 0.9),
        ([(0.1, 0, -1), (0.5, 0, -1), (0.9, 0, -1)], 0.5),
        ([(0.1, 9, -1), (0.5, 8, -1), (0.9, 1, -1)], 0.9),
        ([(0.1, 9, 0), (0.5, 8, 2), (0.9, 2, 5)], None),
    ],
)
def test_the_threshold_with_fewest_misses_is_chosen_among_those_that_keep_the_wished_rate(
    rows: list[tuple[float, int, int]], threshold: float | None
) -> None:
    chosen = evaluation(*rows).chosen()
    assert (chosen.threshold if chosen else None) == threshold


def test_a_stream_too_short_to_show_the_wished_rate_chooses_no_threshold_below_the_default() -> None:
    rows = (0.1, 0, 0), (0.5, 0, 2), (0.6, 0, 1), (0.9, 0, 5)
    for hours, threshold in ((1.0, 0.1), (0.9, 0.6)):
        chosen = evaluation(*rows, hours=hours).chosen()
        assert chosen is not None
        assert chosen.threshold == threshold


def test_a_rate_that_no_threshold_keeps_is_reported_as_such() -> None:
    told = evaluation((0.5, 8, 2), (0.9, 2, 5)).as_dict()
    assert told["chosen"] is None
    assert told["places"][0]["heard"] is None
    assert told["now"] == {"threshold": 0.5, "false": 8, "false_per_hour": 8.0, "missed": {"recorded": 0.2}}


def test_the_curve_is_written_as_csv_and_drawn_with_and_without_words() -> None:
    found = evaluation((0.5, 3, 2), (0.9, 1, 5), hours=2.0)
    assert found.as_csv().splitlines() == [
        'threshold,false,false_per_hour,"missed, recorded"', "0.5,3,1.5000,0.2000", "0.9,1,0.5000,0.5000",
    ]  # fmt: skip
    for one in (found, evaluation((0.5, 3, -1), (0.9, 1, -1))):
        assert ET.fromstring(one.as_svg()).tag.endswith("svg")


def test_the_bound_of_a_rate_is_that_of_the_poisson_distribution() -> None:
    for count in (0, 1, 5, 40):
        mean = most_expected(count)
        draws = np.random.default_rng(0).poisson(mean, 200_000)
        assert np.mean(draws <= count) == pytest.approx(0.05, abs=0.002)
