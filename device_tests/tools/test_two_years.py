"""The simulation of two years: weeks are the same for every way, and what gives way is what each says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ..support.tools import tool

pytestmark = pytest.mark.native("teaches many stores")


@pytest.fixture
def years(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = tool("measure.two_years", monkeypatch)
    monkeypatch.setattr(module, "CLASSES", 12)
    monkeypatch.setattr(module, "WEEKS", 8)
    monkeypatch.setattr(module, "ROOM", 4)
    monkeypatch.setattr(module, "DIMENSION", 12)
    return module


def test_a_short_run_gives_a_table_in_which_ways_without_room_teach_less(years: Any) -> None:
    found = years.measured(1)
    assert list(found) == list(years.WAYS)
    assert all(0 <= one["accuracy"] <= 1 for rows in found.values() for one in rows)
    closed, by_use = found[years.WAYS[-1]][0], found[years.WAYS[0]][0]
    assert closed["gave way"] == 0 < by_use["gave way"]
    assert closed["lessons"] == 4 < by_use["lessons"]
    assert len(years.as_markdown(found).splitlines()) == 2 + len(years.WAYS)


def test_what_is_oldest_or_least_used_gives_way(years: Any) -> None:
    for way, gone in (("FIFO", "000"), (years.WAYS[0], "001")):
        device = years.Device(way, np.random.default_rng(0))
        for at in range(5):
            rows = np.random.default_rng(at).normal(size=(6, 12)).astype(np.float32) + 3 * np.eye(12)[at]
            events = {"000": 50, "002": 50, "003": 50} if at == 4 else {}
            assert device.teach(f"{at:03d}", rows.astype(np.float32), events)
        assert gone not in device.model.labels
        assert len(device.model.labels) == 4
