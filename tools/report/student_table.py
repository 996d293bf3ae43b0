"""The tables of tools/student_table, from the figures of tools/measure/student_table.py; standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

T_95 = {1: 12.71, 4: 2.78, 9: 2.26}  # two-sided, by the number of words less one


def as_markdown(figures: dict[str, Any]) -> str:
    """What students learn, and misses with and without them."""
    rates = [f"{rate:g}/h" for rate in figures["rates"]]
    lines = [
        "## The students",
        "",
        "| windows that teach | cosine: kept back | kept out | KB in float16 | µs a hop that is asked |",
        "|---|---|---|---|---|",
        *map(_student, figures["students"]),
        "",
        f"## Misses, %, in {figures['cases'][0]['hours']:.1f} h",
        "",
        f"| words | beta | reference | mean of the word | {' | '.join(rates)} | hops asked at 1/h |",
        "|---|---|---|---|" + "---|" * (len(rates) + 1),
    ]
    for is_pair in (False, True):
        for level in (20, 10):
            lines += _block(figures, level, is_pair=is_pair)
    return "\n".join([*lines, *_looked_at(figures)])


def _looked_at(figures: dict[str, Any]) -> list[str]:
    """Return what was looked at once, with the chosen beta."""
    if not figures["stream"]:
        return []
    rates = [f"{rate:g}/h" for rate in figures["rates"]]
    lines = [
        "",
        f"## Looked at once: words of the stream, misses, %, in {figures['stream'][0]['hours']:.1f} h",
        "",
        f"| words | beta | {' | '.join(rates)} | hops asked at 1/h |",
        "|---|---|" + "---|" * (len(rates) + 1),
    ]
    for is_short in (False, True):
        for level in (20, 10):
            some = [one for one in figures["stream"] if one["snr_db"] == level and one["is_short"] == is_short]
            name = f"{'ten short words' if is_short else 'two or more syllables'}, {level} dB"
            choices = sorted({(one["beta"], one["reference"], one["mean"]) for one in some})
            before = _by_word(some, choices[0])
            for choice in choices:
                cells = [_cell(one, other) for one, other in zip(before, _by_word(some, choice), strict=True)]
                asked = mean(one["asked"][0] for one in some if one["beta"] == choice[0])
                lines.append(f"| {name} | {choice[0]} | {' | '.join(cells)} | {f'{asked:.1%}' if choice[0] else ''} |")
    return lines


def _student(one: dict[str, Any]) -> str:
    cosines = f"{one['kept_back']:.2f} | {one['unheard']:.2f}"
    return f"| {one['windows']:,} | {cosines} | {one['bytes'] / 1e3:.0f} | {one['hop_us']:.0f} |"


def _block(figures: dict[str, Any], level: int, *, is_pair: bool) -> list[str]:
    name = f"{'two words as one' if is_pair else 'one word'}, {level} dB"
    some = [one for one in figures["cases"] if one["snr_db"] == level and ("-" in one["word"]) == is_pair]
    before = _by_word(some, (0, "clips", "clips"))
    lines = []
    for taught in ("clips", "in noise"):
        for beta in (0, *figures["betas"]):
            for reference in ("clips", "in noise") if beta else ("clips",):
                now = _by_word(some, (beta, reference, taught))
                cells = [_cell(one, other) for one, other in zip(before, now, strict=True)]
                shares = [one["asked"][0] for one in some if one["beta"] == beta]
                asked = f"{mean(shares):.1%}" if beta else ""
                what = f"{name} | {beta} | {reference if beta else ''} | {taught}"
                lines.append(f"| {what} | {' | '.join(cells)} | {asked} |")
    return lines


def _by_word(cases: Sequence[dict[str, Any]], wanted: tuple[Any, ...]) -> list[list[float]]:
    """Return for each rate the misses in per cent of each word, the mean over its draws."""
    own = [one for one in cases if (one["beta"], one["reference"], one["mean"]) == wanted]
    words = sorted({one["word"] for one in own})
    of_words = [[one["misses"] for one in own if one["word"] == word] for word in words]
    return [[100 * mean(draw[at] for draw in draws) for draws in of_words] for at in range(len(own[0]["misses"]))]


def _cell(before: Sequence[float], now: Sequence[float]) -> str:
    """Return the mean, and what is gained on `before` with its paired interval."""
    gains = [one - other for one, other in zip(before, now, strict=True)]
    if not any(gains):
        return f"{mean(now):.1f}"
    half = T_95[len(gains) - 1] * stdev(gains) / math.sqrt(len(gains))
    return f"{mean(now):.1f} ({mean(gains):+.1f} ± {half:.1f})"
