"""The candidates that tools/verify_table counts are those that a spotter asks about."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.spotting.detection import Detection
from edgecl.spotting.second_stage import SecondStage
from edgecl.spotting.spotters import WordSpotter

from ..spotting.test_spotters import Told
from ..support.tools import tool


class Refusing(SecondStage):
    """Refuses every candidate, and notes it."""

    def __init__(self) -> None:
        self.words, self.asked = {"a": None}, []  # type: ignore[dict-item,var-annotated]

    def confirmed(self, found: Detection, vector: object) -> Detection | None:
        self.asked.append(found.last)
        return None


def _scores(seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(400) < 0.4, rng.random(400), 0).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_candidates_are_the_peaks_that_a_spotter_asks_about(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soxr")
    bench, scores = tool("measure.verify_bench", monkeypatch), _scores(seed)
    spotter, second = WordSpotter(Told("a")), Refusing()
    spotter.second = second
    for hop in range(len(scores)):
        spotter.push(scores[hop : hop + 1, None])
    spotter.end()
    assert len(bench.candidates(scores, 0.5)) == len(second.asked) > 20


def test_the_threshold_of_both_keeps_the_wished_number(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soxr")
    table, rng = tool("measure.verify_table", monkeypatch), np.random.default_rng(3)
    hops, scores = np.arange(0, 900, 3), rng.random(300).astype(np.float32)
    for most in (0, 1, 7):
        threshold = table.threshold_of_both(hops, scores, most)
        assert table.accepted(hops, scores, threshold) <= most
        assert table.accepted(hops, scores, np.sort(scores[scores < threshold])[-1]) > most


def test_words_are_compared_at_a_rate_that_the_stream_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    report = tool("report.verify_table", monkeypatch)
    cases = [
        {"word": word, "snr_db": level, "stages": stages, "at": at, "misses": misses, "unasked": 0.0,
         "false_accepts": 1, "hours": hours, "candidates_per_hour": 500, "draw": 0}
        for hours in (0.4,)
        for word in "abcdefghijklmno"
        for level in (20, 10)
        for stages in (1, 2)
        for at, misses in (("1", 0.9), ("2", 0.9), ("5", 0.25), ("automatic", 0.1))
    ]  # fmt: skip
    peers = [{**one, "learner": "DTW"} for one in cases if one["snr_db"] == 20]
    digits = [{**one, "left_out": who} for one in cases if one["snr_db"] == 20 for who in "uvwxyz"]
    figures = {"hours": 0.4, "rates": [1.0, 2.0, 5.0], "cases": cases, "peers": peers, "fsdd": digits,
               "words": list("abcde"), "short": list("fghijklmno"), "window_ms": 15.0}  # fmt: skip
    tables = report.as_markdown(figures)
    assert "## By word: 20 dB, 5 an hour, % missed" in tables
    assert "| a | 25.0 | 25.0 |" in tables
    assert "| short | DTW | 25.0 ± 0.0 |" in tables
    assert "| both | 25.0 ± 0.0 |" in tables
    figures["hours"] = 2.0
    assert "## By word: 20 dB, 1 an hour, % missed" in report.as_markdown(figures)
    figures["hours"] = 0.1
    assert "none of these rates shows in 0.1 h" in report.as_markdown(figures)


def test_warping_aligns_what_is_stretched_and_counts_what_is_not_the_word(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soxr")
    peers, frames = tool("measure.verify_peers", monkeypatch), np.eye(6, dtype=np.float32)
    stretched, other = np.repeat(frames[:3], 2, axis=0), np.repeat(frames[3:], 2, axis=0)
    half = np.concatenate([frames[:3], frames[3:]])
    distances = peers.warped(np.stack([stretched, other, half]), frames[:3])
    assert distances[0] == pytest.approx(0, abs=1e-6)
    assert distances[1] == pytest.approx(6 / 9)  # each of six frames has nothing in common with the three
    assert distances[2] == pytest.approx(3 / 9)
    assert _slow(half, frames[:3]) == pytest.approx(distances[2])


def _slow(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """The formula, in loops: the cheapest path from both beginnings to both ends."""

    def cost(i: int, j: int) -> float:
        here = 1 - float(first[i] @ second[j])
        before = [cost(*one) for one in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if min(one) >= 0]
        return here + min(before, default=0.0)

    return cost(len(first) - 1, len(second) - 1) / (len(first) + len(second))
