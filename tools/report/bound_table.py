"""The table of tools/bound_table, from the figures of tools/measure/bound_table.py; standard library only."""

from __future__ import annotations

from statistics import mean
from typing import Any


def as_markdown(figures: dict[str, Any]) -> str:
    """Return what is mistaken for a word, by how far a threshold is above the score of the kept rows."""
    cases: list[dict[str, Any]] = figures["cases"]
    hours = " and ".join(f"{one:.1f} h of {name} sound" for name, one in figures["hours"].items())
    about = f"{hours}, {figures['rows']} kept rows. Means over lessons, each by two or five people."
    lines = [f"{', '.join(figures['words'])}; {about}"]
    for stage in dict.fromkeys(one["stage"] for one in cases):
        own = [one for one in cases if one["stage"] == stage]
        lessons = len(own) // len({one["at"] for one in own})
        lines += [
            "",
            f"## {stage}, {lessons} lessons",
            "",
            "| above it, a column | false accepts an hour, own sound | other sound | above 1/h, % | heard, % | 20 dB |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for at in dict.fromkeys(one["at"] for one in own):
            some = [one for one in own if one["at"] == at]
            name = f"{at} ({mean(one['above'] for one in some):.2f})" if at == "rule alone" else at
            cells = [f"{mean(one[f'{sound}_per_hour'] for one in some):.2f}" for sound in figures["hours"]]
            above = [one["other_per_hour"] > 1 for one in some]
            cells += [f"{100 * mean(map(float, above)):.0f}"]
            cells += [f"{100 * mean(one[f'heard_{level}'] for one in some):.0f}" for level in (45, 20)]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
