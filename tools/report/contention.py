"""The figures of tools/contention as text and table; standard library only."""

from __future__ import annotations

from typing import Any

from report.tables import markdown


def as_markdown(figures: dict[str, Any]) -> str:
    """Return the table of what each process did."""
    others = figures["others"]
    readers = sum(count for name, count in others.items() if name.startswith("reader"))
    rows = [
        ["what", "how often"],
        [f"lessons committed by {figures['writers']} writers", f"{figures['commits']:,}"],
        ["of these lost, or reported twice", f"{figures['lost']:,}"],
        [f"live models loaded by {figures['readers']} readers, each whole", f"{readers:,}"],
        ["collections of what no revision uses, with a journal line", f"{others.get('collector', 0):,}"],
        ["removals and replacements of the file `lock`", f"{others.get('vandal', 0):,}"],
        ["faults", f"{len(figures['faults']):,}"],
    ]
    return f"{markdown(rows)}\n\nIt took {figures['seconds']:,} seconds."


def as_text(figures: dict[str, Any]) -> str:
    """Return the table, and each fault on a line of its own."""
    return "\n".join([as_markdown(figures), *(f"FAULT: {one}" for one in figures["faults"])])
