"""The candidates that tools/verify_table counts are those that a spotter asks about."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.spotting.second_stage import SecondStage
from edgecl.spotting.spotters import Detection, WordSpotter

from ..spotting.test_spotters import Told
from ..support.tools import tool


class Refusing(SecondStage):
    """Refuses every candidate, and notes it."""

    def __init__(self) -> None:
        self.words, self.asked = {}, []  # type: ignore[var-annotated]

    def confirmed(self, found: Detection, vector: object) -> Detection | None:
        self.asked.append(found.last)
        return None


def _scores(seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(400) < 0.4, rng.random(400), 0).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_candidates_are_the_peaks_that_a_spotter_asks_about(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soxr")
    table, scores = tool("measure.verify_table", monkeypatch), _scores(seed)
    spotter, second = WordSpotter(Told("a")), Refusing()
    spotter.second = second
    for hop in range(len(scores)):
        spotter.push(scores[hop : hop + 1, None])
    spotter.end()
    assert len(table.candidates(scores, 0.5)) == len(second.asked) > 20


def test_the_threshold_of_both_keeps_the_wished_number(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soxr")
    table, rng = tool("measure.verify_table", monkeypatch), np.random.default_rng(3)
    hops, scores = np.arange(0, 900, 3), rng.random(300).astype(np.float32)
    for most in (0, 1, 7):
        threshold = table.threshold_of_both(hops, scores, most)
        assert table.accepted(hops, scores, threshold) <= most
        assert table.accepted(hops, scores, np.sort(scores[scores < threshold])[-1]) > most
