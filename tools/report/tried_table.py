"""The table of tools/tried_table, from the figures of tools/measure/tried_table.py; standard library only."""

from __future__ import annotations

import math
from statistics import mean, stdev
from typing import Any

T_95 = {8: 2.36, 10: 2.26}  # two-sided, by the number of words


def as_markdown(figures: dict[str, Any]) -> str:
    """What each way misses in place of what is missed now, and what it gains in pairs over the words."""
    rates = [f"{rate:g}" for rate in figures["rates"]]
    about = (
        f"Misses in %, 20 dB, five clips by five people, heard from others; {figures['hours']:.1f} h of background. "
        "Gains are points with a paired 95 % t-interval over the words."
    )
    lines = [
        about,
        "",
        f"| tried | words | {' | '.join(f'{rate}/h now | tried | gain' for rate in rates)} |",
        "|---|---|" + "---:|---:|---:|" * len(rates),
    ]
    for name, words in dict.fromkeys((one["tried"], one["words"]) for one in figures["rows"]):
        cells = []
        for rate in rates:
            pairs = [
                (100 * one["now"], 100 * one["then"])
                for one in figures["rows"]
                if (one["tried"], one["words"], one["at"]) == (name, words, rate)
            ]
            gains = [now - then for now, then in pairs]
            half = T_95[len(gains)] * stdev(gains) / math.sqrt(len(gains))
            cells += [f"{mean(now for now, _ in pairs):.1f}", f"{mean(then for _, then in pairs):.1f}"]
            cells.append(f"{mean(gains):+.1f} ± {half:.1f}")
        lines.append(f"| {name} | {words} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
