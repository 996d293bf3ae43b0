"""The tables of tools/federated_table, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from report.tables import of_records

TITLES = {
    "merged": "Merged, central, alone (balanced accuracy on people of no device, mean of the splits)",
    "size": "Bytes of a device's file, and which of its classes show single samples",
    "stragglers": "Rounds with stragglers: ten devices, each learns a fifth before each of the first five",
    "secure": "Secure sums: vectors quantised as SecAgg+ does, against the plain sum",
    "irreversible": "One matrix for all classes, in two rounds (`--irreversible`), against plain files and central",
    "gate": "What the gate of a device says to one, two and nine others, and what they do (before to after)",
    "privacy": "Noise: speech_commands, 10 devices",
    "poison": "Hostile devices: speech_commands, 10 devices",
    "averaging": "Averaged heads on the same latents: speech_commands",
}


def tables_of(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return every table under its title."""
    shown = [name for name in TITLES if name in figures]
    return "\n\n".join(f"### {TITLES[name]}\n\n{of_records(figures[name])}" for name in shown)
