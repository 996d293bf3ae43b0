"""The tables of tools/verify_table, from the figures of tools/measure/verify_table.py; standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

T_95 = {5: 2.78, 6: 2.57, 10: 2.26}  # two-sided, by the number of words


def as_markdown(figures: dict[str, Any]) -> str:
    """Misses of one stage and of both on the same stream, what is gained in pairs, and the automatic thresholds."""
    rates = [f"{rate:g}" for rate in figures["rates"] if rate * figures["hours"] >= 1]  # others cannot be shown
    if not rates:
        note = f"none of these rates shows in {figures['hours']:.1f} h: hear more of the stream\n"
        return "\n".join([note, *_automatic(figures), *_cost(figures)])
    lines = [
        "## Misses, %",
        "",
        f"| words | stages | {' | '.join(f'{rate}/h' for rate in rates)} | never asked |",
        "|---|---|" + "---|" * (len(rates) + 1),
    ]
    for kind in ("words", "short"):
        for level in (20, 10):
            lines += [_misses(figures, kind, level, stages, rates) for stages in (1, 2)]
            lines.append(_gained(figures, kind, level, rates))
    beside = [*_beside(figures, rates), *_digits(figures, rates)]
    return "\n".join([*lines, "", *beside, *_by_word(figures, rates), *_automatic(figures), *_cost(figures)])


def _name(kind: str, level: int) -> str:
    return f"{'two or more syllables' if kind == 'words' else 'short'}, {level} dB"


def _misses(figures: dict[str, Any], kind: str, level: int, stages: int, rates: Sequence[str]) -> str:
    cells = [f"{mean(_by(figures, kind, level, stages, rate, 'misses')):.1f}" for rate in rates]
    unasked = f"{mean(_by(figures, kind, level, stages, rates[0], 'unasked')):.1f}" if stages == 2 else ""
    return f"| {_name(kind, level)} | {'both' if stages == 2 else 'first'} | {' | '.join(cells)} | {unasked} |"


def _gained(figures: dict[str, Any], kind: str, level: int, rates: Sequence[str]) -> str:
    cells = []
    for rate in rates:
        pairs = zip(*(_by(figures, kind, level, stages, rate, "misses") for stages in (1, 2)), strict=True)
        gains = [first - both for first, both in pairs]
        half = T_95[len(gains)] * stdev(gains) / math.sqrt(len(gains))
        cells.append(f"{mean(gains):+.1f} ± {half:.1f}")
    return f"| {_name(kind, level)} | gained | {' | '.join(cells)} | |"


def _by(figures: dict[str, Any], kind: str, level: int, stages: int, at: str, what: str) -> list[float]:
    """Return a share in per cent for each word of a kind, the mean over its draws."""
    return [
        100
        * mean(
            one[what]
            for one in figures["cases"]
            if (one["word"], one["snr_db"], one["stages"], one["at"]) == (word, level, stages, at)
        )
        for word in figures[kind]
    ]


def _beside(figures: dict[str, Any], rates: Sequence[str]) -> list[str]:
    """Both stages and other ways to listen, on the words of the first draw."""
    first = {**figures, "cases": [one for one in figures["cases"] if one["draw"] == 0]}
    lines = [
        "## Other ways to listen, 20 dB, the first draw of each word, %",
        "",
        f"| words | learner | {' | '.join(f'{rate}/h' for rate in rates)} |",
        "|---|---|" + "---|" * len(rates),
    ]
    for kind in ("words", "short"):
        rows = {
            f"edgecl, {name}": [_by(first, kind, 20, stages, rate, "misses") for rate in rates]
            for stages, name in ((1, "first stage"), (2, "both stages"))
        }
        for learner in dict.fromkeys(one["learner"] for one in figures["peers"]):
            of = {
                (one["word"], one["at"]): 100 * one["misses"] for one in figures["peers"] if one["learner"] == learner
            }
            rows[learner] = [[of[word, rate] for word in figures[kind]] for rate in rates]
        title = _name(kind, 20).partition(",")[0]
        lines += [f"| {title} | {name} | {' | '.join(map(_interval, cells))} |" for name, cells in rows.items()]
    return [*lines, ""]


def _digits(figures: dict[str, Any], rates: Sequence[str]) -> list[str]:
    """Digits of fsdd by the speaker who did not teach, over the six who were left out."""
    lines = [
        "## fsdd: digits of one syllable by the sixth speaker, 20 dB, %",
        "",
        f"| stages | {' | '.join(f'{rate}/h' for rate in rates)} |",
        "|---|" + "---|" * len(rates),
    ]
    speakers = list(dict.fromkeys(one["left_out"] for one in figures["fsdd"]))
    for stages, name in ((1, "first"), (2, "both")):
        cells = []
        for rate in rates:
            own = [one for one in figures["fsdd"] if (one["stages"], one["at"]) == (stages, rate)]
            cells.append([100 * mean(one["misses"] for one in own if one["left_out"] == who) for who in speakers])
        lines.append(f"| {name} | {' | '.join(map(_interval, cells))} |")
    return [*lines, ""]


def _interval(values: Sequence[float]) -> str:
    return f"{mean(values):.1f} ± {T_95[len(values)] * stdev(values) / math.sqrt(len(values)):.1f}"


def _by_word(figures: dict[str, Any], rates: Sequence[str]) -> list[str]:
    """At one an hour, or the lowest rate above it that the stream can show."""
    rate = min((one for one in rates if float(one) >= 1), key=float, default=rates[-1])
    lines = [f"## By word: 20 dB, {rate} an hour, % missed", "", "| word | first | both |", "|---|---|---|"]
    for kind in ("words", "short"):
        one, both = (_by(figures, kind, 20, stages, rate, "misses") for stages in (1, 2))
        lines += [f"| {word} | {a:.1f} | {b:.1f} |" for word, a, b in zip(figures[kind], one, both, strict=True)]
    return [*lines, ""]


def _automatic(figures: dict[str, Any]) -> list[str]:
    lines = [
        "## The automatic thresholds",
        "",
        "| words | stages | misses at 20 dB, % | misses at 10 dB, % | false accepts an hour and word | worst word |",
        "|---|---|---|---|---|---|",
    ]
    for kind in ("words", "short"):
        for stages in (1, 2):
            rates = {
                word: mean(
                    one["false_accepts"] / one["hours"]
                    for one in figures["cases"]
                    if (one["word"], one["snr_db"], one["stages"], one["at"]) == (word, 20, stages, "automatic")
                )
                for word in figures[kind]
            }
            worst = max(rates, key=lambda word: rates[word])
            misses = [f"{mean(_by(figures, kind, level, stages, 'automatic', 'misses')):.1f}" for level in (20, 10)]
            lines.append(
                f"| {_name(kind, 20).partition(',')[0]} | {'both' if stages == 2 else 'first'} | {' | '.join(misses)} "
                f"| {mean(rates.values()):.2f} | {worst} {rates[worst]:.2f} |"
            )
    return [*lines, ""]


def _cost(figures: dict[str, Any]) -> list[str]:
    asked = {
        kind: mean(one["candidates_per_hour"] for one in figures["cases"] if one["word"] in figures[kind])
        for kind in ("words", "short")
    }
    return [
        "## What it costs",
        "",
        "| hours of stream | candidates an hour, longer words | short words | ms a window |",
        "|---|---|---|---|",
        f"| {figures['hours']:.2f} | {asked['words']:.0f} | {asked['short']:.0f} | {figures['window_ms']:.1f} |",
    ]
