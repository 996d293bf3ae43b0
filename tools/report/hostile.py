"""The figures of tools/hostile as a table; standard library only."""

from __future__ import annotations

from typing import Any

from report.tables import markdown

MOST_SECONDS, MOST_MIB = 1.0, 64.0


def is_within(one: dict[str, Any]) -> bool:
    """Test whether an input was refused within the bounds."""
    is_refused = str(one["ended"]).startswith("refused")
    return is_refused and float(one["seconds"]) <= MOST_SECONDS and float(one["mib"]) <= MOST_MIB


def as_markdown(figures: dict[str, Any]) -> str:
    """Return a row for each input, and sentences about the clients and about odd places, values and surroundings."""
    rows = [["input", "ended", "processor time, s", "memory, MiB", f"within {MOST_SECONDS:g} s and {MOST_MIB:g} MiB"]]
    for one in figures["inputs"]:
        within = "yes" if is_within(one) else "NO"
        rows.append([one["input"], one["ended"], f"{one['seconds']:.3f}", f"{one['mib']:.1f}", within])
    told, clients, places = sum(map(is_within, figures["inputs"])), figures["clients"], figures["places"]
    options = figures.get("options")  # figures of earlier runs have none
    odd = "" if options is None else f" Of {options['tried']:,} with an odd value in one of their options,"
    odd += "" if options is None else f" {options['survived']:,} ended as documented."
    if around := figures.get("surroundings"):
        odd += f" Of {around['tried']:,} on a full or read-only disk, with little memory, few descriptors, "
        odd += f"short files, odd umasks or closed streams, {around['survived']:,} did, with intact stores and nothing "
        odd += "half written."
    return (
        f"{markdown(rows)}\n\n{told} of {len(figures['inputs'])} within the bounds. After {clients['tried']:,} hostile "
        f"clients of a control socket an honest one was answered {clients['survived']:,} times, at the latest after "
        f"{clients['slowest_s']:g} s. Of {places['tried']:,} commands with an odd place as one of their files, "
        f"{places['survived']:,} ended as documented, and left what stood there.{odd}"
    )
