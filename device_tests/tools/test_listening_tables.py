"""What tools/listen_table, tools/spoken_table and tools/tried_table compute beside the scores of edgecl."""

from __future__ import annotations

import numpy as np
import pytest

from ..support.tools import tool


def test_a_clip_that_stops_at_full_loudness_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soxr")
    table = tool("measure.listen_table", monkeypatch)
    word = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    pause = np.zeros(2000, np.float32)
    assert not table.is_cut(np.concatenate([pause, word, pause]))
    assert table.is_cut(np.concatenate([pause, word]))
    assert table.is_cut(np.concatenate([word, pause]))
    quiet = np.concatenate([0.1 * word[:2000], word, 0.1 * word[:2000]])  # 20 dB below
    assert not table.is_cut(quiet)


def test_misses_of_a_clip_are_the_share_of_its_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soxr")
    table = tool("measure.listen_table", monkeypatch)
    missed = np.array([[True, True, False, False], [False] * 4])
    assert table.by_clip(np.array([7, 3]), missed) == {7: 0.5, 3: 0.0}


def test_a_word_that_is_one_phoneme_off_is_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soxr")
    table = tool("common.phonemes", monkeypatch)
    for first, second, is_alike in (
        ("tango", "mango", True), ("mango", "mangos", True), ("mango", "mang", True), ("mango", "mango", True),
        ("mango", "tangos", False), ("mango", "man", False), ("abc", "acb", False), ("", "a", True),
    ):  # fmt: skip
        assert table.within_one(first, second) is table.within_one(second, first) is is_alike


def test_the_lowest_threshold_with_so_many_events(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soxr")
    table, rng = tool("measure.listen_table", monkeypatch), np.random.default_rng(4)
    scores = rng.standard_normal(5000).astype(np.float32)
    hidden = np.where(rng.random(5000) < 0.5, -np.inf, scores).astype(np.float32)
    for of_stream in (scores, hidden):
        for most in (0.5, 3.0, 40.0):
            threshold = table.threshold_for(of_stream, most)
            assert len(table.events(of_stream, threshold)) <= most
            assert len(table.events(of_stream, np.sort(of_stream[of_stream < threshold])[-1])) > most


def test_figures_stand_beside_their_targets_and_short_words_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    report = tool("report.listen_table", monkeypatch)
    words = {"long": "abcde", "short": "fghij", "short, unlike": "f", "fsdd": "klmno"}
    cases = [
        {"words": kind, "word": word, "learner": learner, "shots": shots, "snr_db": level, "at": at, "clips": 3,
         "misses": share, "misses_whole": share, "by_clip": {"1": share}, "false_accepts": 6, "hours": 2.0}
        for (kind, names), share in zip(words.items(), (0.1, 0.2, 0.15, 0.4), strict=True)
        for word in names
        for learner in (report.LEARNERS if kind == "long" else report.AUTOMATIC)
        for shots in ((5, 10) if kind == "long" else (5,))
        for level in (20, 10)
        for at in ("0.5", "1", "2", *(("automatic",) if learner in report.AUTOMATIC else ()))
    ]  # fmt: skip
    table = report.as_markdown(
        {"hours": 2.0, "rates": [0.5, 1.0, 2.0], "clips": 3, "cut": 1, "alike": {"f": ["g"]}, "cases": cases}
    )
    assert "| two or more syllables | 20 dB | 1 | 8 | 10.0 ± 0.0 | 10.0 ± 0.0 |" in table
    assert "| ten short words | 20 dB | 2 | 23 | 20.0 ± 0.0 |" in table
    assert "| automatic threshold | 1 | 3.00 on average, 3.00 at most | 3.00 on average, 3.00 at most |" in table
    assert "| f, and no word one phoneme off | 15.0 |" in table
    assert "| ten short words, and no recorded word one phoneme off | 20 dB | edgecl | 19.0 ± 2.8 |" in table
    assert "one phoneme off: f: g." in table


def test_an_alignment_within_a_window_is_the_cheapest_path(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soxr")
    bench, rng = tool("measure.tried_bench", monkeypatch), np.random.default_rng(1)
    windows, reference = rng.standard_normal((3, 6, 2)), rng.standard_normal((4, 2))
    for window, found in zip(windows, bench.within(windows, reference), strict=True):
        costs = np.square(window[:, None] - reference).sum(axis=-1)
        assert found == pytest.approx(min(_paths(costs, row) for row in range(6)))


def _paths(costs: np.ndarray, row: int, column: int = 0) -> float:
    """The cheapest path from a cell to the last column, which may end in any row."""
    if column == costs.shape[1] - 1:
        return float(costs[row, column])
    after = [(row, column + 1), (row + 1, column + 1), (row + 1, column)]
    return float(costs[row, column]) + min(_paths(costs, *one) for one in after if one[0] < costs.shape[0])


def test_a_phrase_needs_its_words_in_order_and_near_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soxr")
    table = tool("measure.tried_table", monkeypatch)
    first, last = np.full(60, -9, np.float32), np.full(60, -9, np.float32)
    first[[5, 40]], last[[12, 30]] = 3, 2
    found = table.following(first, last)
    assert found[12] == 2
    assert found[30] == found[40] == -9  # 25 hops after the first word; before it


def test_a_setting_is_chosen_on_the_other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soxr")
    table = tool("measure.tried_table", monkeypatch)
    good, bad = (dict.fromkeys(table.RATES, share) for share in (0.1, 0.4))
    words = [{0.0: bad, 1.0: good}, {0.0: good, 1.0: bad}] * 2
    assert table.crossed(words, 0.0) == [bad, bad, bad, bad]  # each half is served by what suits the other
    assert table.crossed([{0.0: bad, 1.0: bad}] * 2, 0.0) == [bad, bad]


def test_the_table_of_what_was_tried_has_paired_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    report = tool("report.tried_table", monkeypatch)
    rows = [
        {"tried": "a way", "words": "commands", "word": word, "at": "2", "now": 0.5, "then": 0.4} for word in range(10)
    ]
    assert "| a way | commands | 50.0 | 40.0 | +10.0 ± 0.0 |" in report.as_markdown(
        {"hours": 1.2, "rates": [2.0], "rows": rows}
    )


def test_misses_of_spoken_words_have_intervals_over_words_and_over_voices(monkeypatch: pytest.MonkeyPatch) -> None:
    report = tool("report.spoken_table", monkeypatch)
    conditions = (*report.CONDITIONS, "the same sentences without the word")
    played = [
        {"word": word, "person": person, "engine": "flite", "condition": condition,
         "missed": {"1": float(word[0] in "mg" or condition == conditions[3]), "automatic": 0.0}}
        for word in ("mango", "tango", "gazebo", "volcano")
        for person in ("kal", "slt", "awb")
        for condition in conditions
    ]  # fmt: skip
    figures = {
        "hours": 2.0, "rates": [1.0], "people": 12, "left_out": ["robot"], "played": played,
        "words": {"mango": "two", "tango": "two", "gazebo": "three", "volcano": "three"},
        "cases": [{"word": word, "false": 3} for word in ("mango", "tango", "gazebo", "volcano")],
    }  # fmt: skip
    table = report.as_markdown(figures)
    assert "| two syllables (2) | alone, 20 dB | 50.0 ± 635.5, ± 0.0 | 0.0 ± 0.0, ± 0.0 |" in table
    assert "| all | sentences without the word that are taken for it | 0.0 | 100.0 |" in table
    assert "| mango | 100.0 | 100.0 | 100.0 | 1.50 |" in table
