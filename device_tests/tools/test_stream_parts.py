"""Tables of the parts of `tools/drift_table`."""

from __future__ import annotations

import pytest

from ..support.tools import tool


def test_the_time_of_a_row_is_a_line_for_each_way(monkeypatch: pytest.MonkeyPatch) -> None:
    report = tool("report.stream_parts", monkeypatch)
    ways = [{"way": "in blocks", "us": 21.4, "accuracy": 0.9486, "rows": 10_000}]
    table = report.rows({"set": "elec2", "ways": ways})
    assert "| in blocks | 21 | 94.9% |" in table
    assert "of its first 10,000 rows" in table
