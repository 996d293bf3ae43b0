"""The tables of `tools/drift_table detectors`, from the figures of `measure.detectors`; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from report.tables import markdown


def as_markdown(figures: Mapping[str, Any]) -> str:
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


def _delay(row: Mapping[str, Any], kind: str) -> str:
    delay, missed = row[f"{kind} delay"], row[f"{kind} missed"]
    return "none" if delay is None else f"{delay:.0f}" + (f" ({missed:.0%} missed)" if missed else "")
