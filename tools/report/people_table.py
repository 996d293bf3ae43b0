"""Tables of tools/people_table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

MULTI = ("zero", "seven")
ROUNDING = 1e-6
SPEAKERS, T_OF_SIX = 6, 2.571  # of fsdd, and the 97.5 % quantile of t with five degrees of freedom
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
        _over_speakers(digits),
        "### speech_commands: a word alone, all others are played",
        _table(others, "taught by", lambda one: _plan(others, one)),
        _table(others, "word", lambda one: one["word"]),
    ]
    return "\n\n".join(parts) + "\n"


def _over_speakers(rows: Sequence[Row]) -> str:
    """Return the means over the six speakers who were left out, with 95 % t-intervals."""
    speakers = sorted({one["left_out"] for one in rows})
    assert len(speakers) == SPEAKERS
    groups = [[one for one in rows if one["left_out"] == speaker] for speaker in speakers]
    inside = np.array([np.mean([_is_inside(one) for one in group]) for group in groups])
    apart = np.array([np.mean([one["heard"] - one["promised"] for one in group]) for group in groups])
    (share, off), (mean, reach) = (
        (100 * one.mean(), 100 * T_OF_SIX * one.std(ddof=1) / SPEAKERS**0.5) for one in (inside, apart)
    )
    below = 100 * np.mean([one["heard"] < one["promised_least"] - ROUNDING for one in rows])
    return (
        f"Over the six speakers, with 95 % t-intervals: {share:.0f} ± {off:.0f} % are in the range ({below:.0f} % are "
        f"heard less), and {mean:+.0f} ± {reach:.0f} points more is heard in quiet than promised."
    )


def _plan(rows: Sequence[Row], one: Row) -> str:
    """Return who taught a word, and how many such lessons there were of how many words."""
    alike = [
        other["word"] for other in rows if (other["taught_by"], other["clips"]) == (one["taught_by"], one["clips"])
    ]
    lessons = f"{len(alike)} lessons of {len(set(alike))} words" if len(alike) > 1 else f"one lesson of {alike[0]}"
    return f"{one['taught_by']} people, {one['clips']} clips ({lessons})"


def _is_inside(one: Row) -> bool:
    return bool(one["promised_least"] - ROUNDING <= one["heard"] <= one["promised_most"] + ROUNDING)


def _table(rows: Sequence[Row], name: str, kind: Callable[[Row], str]) -> str:
    header = (name, "promised", "heard", "promised at 20 dB", "heard at 20 dB", "in the range", "false accepts")
    found = [(one, *_cells([row for row in rows if kind(row) == one])) for one in dict.fromkeys(map(kind, rows))]
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, *found, ("all", *_cells(rows)))]
    return "\n".join((lines[0], "|---|" + "---:|" * (len(header) - 1), *lines[1:]))


def _cells(rows: Sequence[Row]) -> list[str]:
    shares = ("promised", "heard", "promised_in_noise", "heard_in_noise")
    accepts = [one["false_accepts_per_hour"] for one in rows if one["false_accepts_per_hour"] is not None]
    inside = [_is_inside(one) for one in rows if one["data"] == "fsdd"]
    cells = [f"{100 * np.mean([one[share] for one in rows]):.0f}" for share in shares]
    return [*cells, f"{100 * np.mean(inside):.0f}" if inside else "-", f"{np.mean(accepts):.2f}" if accepts else "-"]
