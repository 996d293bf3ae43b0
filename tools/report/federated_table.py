"""The tables of tools/federated_table, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from report.tables import markdown

TITLES = {
    "merged": "Merged, central, alone (balanced accuracy on people of no device, mean of the splits)",
    "size": "Bytes of a device's file, and which of its classes show single samples",
    "privacy": "Noise: speech_commands, 10 devices",
    "poison": "Hostile devices: speech_commands, 10 devices",
    "averaging": "Averaged heads on the same latents: speech_commands",
}


def tables_of(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return every table under its title."""
    parts = []
    for name, rows in ((name, figures[name]) for name in TITLES if name in figures):
        lines = [list(rows[0]), *([str(one) for one in row.values()] for row in rows)]
        parts.append(f"### {TITLES[name]}\n\n{markdown(lines)}")
    return "\n\n".join(parts)
