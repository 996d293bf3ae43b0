"""Tables of `measure.stream_peers`: accuracy by set, time and memory; standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from report.tables import markdown


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table for each delay: mean accuracy of each learner on each set, their mean, µs a row and memory."""
    parts = []
    for delay in dict.fromkeys(row["delay"] for row in rows):
        here = [row for row in rows if row["delay"] == delay]
        parts += [f"## Right before the label, which comes {delay} rows later: mean over seeds in %", _table(here)]
    return "\n\n".join(parts)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    sets = list(dict.fromkeys(row["set"] for row in rows))
    lines = [["learner", *sets, "mean", "µs a row", "memory"]]
    for learner in dict.fromkeys(row["learner"] for row in rows):
        own = [row for row in rows if row["learner"] == learner]
        means = [mean([row["accuracy"] for row in own if row["set"] == one]) for one in sets]
        us, held = mean([row["us"] for row in own]), max(row["bytes"] for row in own)
        cells = [f"{100 * one:.1f}" for one in (*means, mean(means))]
        lines.append([learner, *cells, f"{us:.0f}" if us else "", f"{held / 1024:,.0f} KiB" if held else ""])
    return markdown(lines)
