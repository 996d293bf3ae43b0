"""The tables of tools/drift_table, from the figures that tools/measure/drift_table.py writes; standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from report import stream_peers
from report.tables import markdown


def as_markdown(figures: Mapping[str, Any]) -> str:
    """Return all tables for the results file."""
    parts = [detectors(figures)]
    if figures["streams"]:
        parts += ["## Answered right before the label was seen, in one run", _streams(figures["streams"])]
    if figures.get("peers"):
        parts.append(stream_peers.as_markdown(figures["peers"]))
    return "\n\n".join(parts)


def detectors(figures: Mapping[str, Any]) -> str:
    """Return the tables of the detectors."""
    kinds = ("abrupt", "gradual", "recurring")
    about = (
        f"{figures['seeds']} streams of {figures['length']} each; errors {figures['low']:.0%} and {figures['high']:.0%}"
    )
    rows = [
        [
            row["detector"],
            *(f"{row[f'{kind} false']:.1f}" for kind in ("steady", *kinds)),
            *(_delay(row, kind) for kind in kinds),
            f"{row['us']:.2f}",
        ]
        for row in figures["detectors"]
    ]
    header = [
        "detector",
        *(f"{kind}: false" for kind in ("steady", *kinds)),
        *(f"{kind}: delay" for kind in kinds),
        "µs",
    ]
    parts = [
        f"## False alarms per 10,000 samples, and samples to detection (median; missed)\n\n{about}",
        markdown([header, *rows]),
        "## ADWIN's alarms and River's on the same streams",
        markdown([list(figures["adwin"][0]), *([str(one) for one in row.values()] for row in figures["adwin"])]),
    ]
    return "\n\n".join(parts)


def _streams(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [["set", "learner", "accuracy", "µs a row", "memory", "confirmed drifts"]]
    for row in rows:
        if row["learner"] == "edgecl":
            lines.append([row["set"], "same label again", f"{row['same label again']:.1%}", "", "", ""])
        size = f"{row['bytes'] / 1024:.0f} KiB"
        lines.append(
            [row["set"], row["learner"], f"{row['accuracy']:.1%}", f"{row['us']:.0f}", size, f"{row.get('drifts', '')}"]
        )
    return markdown(lines)


def _delay(row: Mapping[str, Any], kind: str) -> str:
    delay, missed = row[f"{kind} delay"], row[f"{kind} missed"]
    return "none" if delay is None else f"{delay:.0f}" + (f" ({missed:.0%} missed)" if missed else "")
