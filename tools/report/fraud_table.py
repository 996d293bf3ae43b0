"""The table of `measure.fraud_table`; standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Any

from report.tables import markdown

MEANS = ("average precision", "recall", "classic at the end", "new patterns", "us")


def as_markdown(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return a row for each way of learning: means over its streams."""
    lines = [
        ["way", "average precision", "recall", "classic, last fifth", "new patterns", "found after labels", "µs a row"]
    ]
    for name, rows in figures.items():
        precision, *shares, us = (mean(row[one] for row in rows) for one in MEANS)
        lines.append([name, f"{precision:.3f}", *(f"{one:.1%}" for one in shares), _after(rows), f"{us:.0f}"])
    return markdown(lines)


def _after(rows: Sequence[Mapping[str, Any]]) -> str:
    found = [one for row in rows for one in row["found after"].values()]
    after = [one for one in found if one is not None]
    text = f"{median(after):.0f}" if after else "never"
    return f"{text} ({len(found) - len(after)} of {len(found)} never)"
