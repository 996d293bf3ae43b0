"""The tables of tools/spoken_table, from the figures of tools/measure/spoken_table.py; standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

T_95 = {  # two-sided, by the number of words or of voices
    2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26, 11: 2.23, 12: 2.20
}  # fmt: skip
CONDITIONS = ("alone, 20 dB", "alone, 10 dB", "in running speech, 20 dB")


def as_markdown(figures: dict[str, Any]) -> str:
    """Return misses by syllables and surroundings, with intervals over words and over voices."""
    points = [*(f"{rate:g}" for rate in figures["rates"]), "automatic"]
    kinds = {"two": "two syllables", "three": "three syllables"}
    words = {kind: [word for word, own in figures["words"].items() if own == kind] for kind in kinds}
    about = (
        f"{figures['hours']:.1f} h of the stream; five people teach, the other {figures['people'] - 5} play. "
        f"Left out, since the stream has a word that sounds alike: {', '.join(figures['left_out']) or 'none'}."
    )
    lines = [
        about,
        "",
        "## Misses, %: mean ± over the words, ± over the voices",
        "",
        f"| words | heard | {' | '.join(_title(point) for point in points)} |",
        "|---|---|" + "---|" * len(points),
    ]
    for kind, title in kinds.items():
        for condition in CONDITIONS:
            own = [one for one in figures["played"] if one["word"] in words[kind] and one["condition"] == condition]
            cells = [_cell(own, point) for point in points]
            lines.append(f"| {title} ({len(words[kind])}) | {condition} | {' | '.join(cells)} |")
    control = [one for one in figures["played"] if one["condition"] == "the same sentences without the word"]
    shares = [f"{100 - 100 * mean(one['missed'][point] for one in control):.1f}" for point in points]
    lines += [f"| all | sentences without the word that are taken for it | {' | '.join(shares)} |", ""]
    lines += [
        "## By engine of the voice that plays: alone, 20 dB, 1 an hour, % missed",
        "",
        "| engine | missed |",
        "|---|---|",
    ]
    alone = [one for one in figures["played"] if one["condition"] == CONDITIONS[0]]
    for engine in dict.fromkeys(one["engine"] for one in alone):
        own = [100 * one["missed"]["1"] for one in alone if one["engine"] == engine]
        lines.append(f"| {engine} | {mean(own):.1f} |")
    return "\n".join([*lines, "", *_by_word(figures)])


def _by_word(figures: dict[str, Any]) -> list[str]:
    lines = [
        "## By word: 1 an hour, % missed",
        "",
        f"| word | {' | '.join(CONDITIONS)} | false accepts an hour, automatic |",
        "|---|" + "---|" * (len(CONDITIONS) + 1),
    ]
    for word in figures["words"]:
        own = [one for one in figures["played"] if one["word"] == word]
        cells = [100 * mean(one["missed"]["1"] for one in own if one["condition"] == name) for name in CONDITIONS]
        false = mean(one["false"] for one in figures["cases"] if one["word"] == word) / figures["hours"]
        lines.append(f"| {word} | {' | '.join(f'{cell:.1f}' for cell in cells)} | {false:.2f} |")
    return [*lines, ""]


def _title(point: str) -> str:
    return point if point == "automatic" else f"{point}/h"


def _cell(played: Sequence[dict[str, Any]], point: str) -> str:
    over = []
    for name in ("word", "person"):
        groups: dict[str, list[float]] = {}
        for one in played:
            groups.setdefault(one[name], []).append(100 * one["missed"][point])
        means = [mean(own) for own in groups.values()]
        over.append(T_95[len(means)] * stdev(means) / math.sqrt(len(means)))
    return f"{mean(100 * one['missed'][point] for one in played):.1f} ± {over[0]:.1f}, ± {over[1]:.1f}"
