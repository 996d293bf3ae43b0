"""The table of tools/replay_table."""

from __future__ import annotations

from typing import Any

import pytest

from edgecl.model.model import Model

from ..support.learning import Words, as_lesson, settings
from ..support.tools import tool


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Any:
    return tool("measure.replay_table", monkeypatch)


def test_a_row_has_each_way_and_its_paired_differences(table: Any) -> None:
    accuracy = {"closed form": [0.9, 0.8], "replay": [0.8, 0.7], "gaussian-replay": [0.85, 0.77]}
    row = {"set": "made", "classes": 3, "budget": "64KiB", "steps": 0, "room": 1024, "columns": 64}
    refused = {"set": "made", "classes": 3, "budget": "32KiB"}
    lines = table.as_markdown([refused, {**row, "form": "diagonal", "accuracy": accuracy}]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "too small for a store" in lines[2]
    assert lines[3].endswith("| 85.0 | 75.0 | 81.0 | +6.0 ± 1.0 | -4.0 ± 1.0 |")


def test_every_way_learns_two_lessons(table: Any) -> None:
    words, made = Words(4), settings()
    lessons = [as_lesson(Model(made), words.lesson(12, words.labels[first : first + 2])) for first in (0, 2)]
    for way in table.WAYS:
        model = table.played(way, made, lessons, 4096)
        assert model.labels == tuple(words.labels)
        assert sum(one.nbytes for one in model.exemplars.values()) <= 4096


def test_steps_are_granted_and_the_features_stay(table: Any) -> None:
    small = settings(memory_bytes=40 << 10)
    more = table.roomy(small, 1000, 8)
    assert more.memory_bytes > small.memory_bytes
    assert more.features.dimension == small.features.dimension
