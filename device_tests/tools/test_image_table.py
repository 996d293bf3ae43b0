"""The tables of tools/image_table, and the pictures that it measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ..support.tools import tool


def order(first: float, last: float, every: float) -> dict[str, Any]:
    named = {"clear first": first, "clear last": last, "all first": 50.0, "all last": every, "forgetting": 0.5}
    return {**named, "refused": 0, "matrix": [[0.9, 0.5], [0.8, 0.75]]}


def figures(*, last: float = 90.0, spent_ms: float = 4.0) -> dict[str, Any]:
    one = {
        "strategies": {"edgecl auto": [order(90.0, last, 88.0), order(92.0, last + 2, 90.0)]},
        "joint": {"clear last": 93.0, "all last": 91.0},
        "by domain": {"a head each, found": {"clear last": 80.0, "all last": 70.0, "weather found": 66.0}},
        "clear": {"384": {"closed form": 90.0, "joint": 92.0, "five shots": 60.0}},
    }
    timings = [{"size": 128, "extract_ms": spent_ms, "decode_ms": 1.0, "bytes": 1 << 20}]
    return {"sets": {"signs": one}, "orders": [["clear", "night"]], "timings": timings, "seconds": 1.0}


def test_targets_are_met_or_missed_by_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    report = tool("report.image_table", monkeypatch)
    met = {row[0]: row[2] for row in report.target_rows(figures())[1:]}
    assert set(met.values()) == {"yes"}
    missed = {row[0]: row[2] for row in report.target_rows(figures(last=80.0, spent_ms=5.1))[1:]}
    assert missed["at most 5 ms a picture at 128 pixels"] == "NO"
    assert missed["signs: at most 1 point lost on clear"] == "NO"


def test_every_table_is_in_the_text_with_ranges_over_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    text = tool("report.image_table", monkeypatch).as_markdown(figures())
    assert "91.0 (90.0 to 92.0)" in text
    assert "| night | 80 | 75 |" in text
    assert "66.0 %" in text


def test_what_is_asked_is_never_taught_and_weather_changes_a_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    sets = tool("measure.image_sets", monkeypatch)
    draw = sets.digits()
    assert len(sets.DOMAINS) * sets.TAUGHT + sets.ASKED <= 170  # digits of the rarest class, 174
    clear, night = draw(3, 0, "clear"), draw(3, 0, "night")
    assert clear.shape == (128, 128, 3)
    assert night.mean() < clear.mean() / 2
    assert np.array_equal(clear, draw(3, 0, "clear"))
