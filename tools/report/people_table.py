"""Tables of tools/people_table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

MULTI = ("zero", "seven")
ROUNDING = 1e-6
INSIDE = "In the range: a person's ten clips of a word are heard as often as `status` promises of nine people in ten."
Row = dict[str, Any]


def as_markdown(figures: dict[str, Any]) -> str:
    """Return what people who did not teach get, beside what is promised."""
    rows: list[Row] = figures["rows"]
    digits = [one for one in rows if one["data"] == "fsdd"]
    others = [one for one in rows if one["data"] != "fsdd"]
    parts = [
        f"Shares in %, false accepts an hour a word in {figures['hours']:.1f} h. Quiet: noise 45 dB below the word.",
        INSIDE,
        "### fsdd: each of six speakers left out in turn, the others teach",
        _table(digits, "words", lambda one: "zero and seven" if one["word"] in MULTI else "digits of one syllable"),
        _table(digits, "left out", lambda one: one["left_out"]),
        "### speech_commands: a word alone, all others are played",
        _table(others, "taught by", lambda one: f"{one['people']}, {one['clips']} clips"),
        _table(others, "word", lambda one: one["word"]),
    ]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Row], name: str, kind: Callable[[Row], str]) -> str:
    header = (name, "promised", "heard", "promised at 20 dB", "heard at 20 dB", "in the range", "false accepts")
    found = [(one, *_cells([row for row in rows if kind(row) == one])) for one in dict.fromkeys(map(kind, rows))]
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, *found, ("all", *_cells(rows)))]
    return "\n".join((lines[0], "|---|" + "---:|" * (len(header) - 1), *lines[1:]))


def _cells(rows: Sequence[Row]) -> list[str]:
    shares = ("promised", "heard", "promised_in_noise", "heard_in_noise")
    accepts = [one["false_accepts_per_hour"] for one in rows if one["false_accepts_per_hour"] is not None]
    inside = [
        one["promised_least"] - ROUNDING <= one["heard"] <= one["promised_most"] + ROUNDING
        for one in rows
        if one["data"] == "fsdd"
    ]
    cells = [f"{100 * np.mean([one[share] for one in rows]):.0f}" for share in shares]
    return [*cells, f"{100 * np.mean(inside):.0f}" if inside else "-", f"{np.mean(accepts):.2f}" if accepts else "-"]
