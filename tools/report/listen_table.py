"""The tables of tools/listen_table, from the figures of tools/measure/listen_table.py; standard library only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from statistics import mean, stdev
from typing import Any

LEARNERS = ("edgecl", "first stage", "logistic regression", "nearest prototype")
AUTOMATIC = ("edgecl", "first stage")
T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57}  # two-sided, by the number of words


def as_markdown(figures: dict[str, Any]) -> str:
    """Misses by learner, and what the automatic threshold does."""
    parts = [_misses(figures, level) for level in _distinct(figures, "snr_db")]
    return "\n".join([*parts, _whole(figures), _by_word(figures), _automatic(figures)])


def _misses(figures: dict[str, Any], level: int) -> str:
    rates = [f"{rate:g}" for rate in figures["rates"]]
    lines = [
        f"## Misses at {level} dB, %",
        "",
        f"| learner | clips | {' | '.join(f'{rate}/h' for rate in rates)} |",
        "|---|---|" + "---|" * len(rates),
    ]
    for shots in _distinct(figures, "shots"):
        for learner in LEARNERS:
            cells = [_interval(figures, learner=learner, shots=shots, snr_db=level, at=rate) for rate in rates]
            lines.append(f"| {learner} | {shots} | {' | '.join(cells)} |")
    counts = [round(rate * figures["hours"]) for rate in figures["rates"]]
    bands = [f"{low / figures['hours']:.2f} to {high / figures['hours']:.2f}" for low, high in map(poisson_95, counts)]
    lines += [f"| 95 % of that rate | | {' | '.join(bands)} |", ""]
    return "\n".join(lines)


def _whole(figures: dict[str, Any]) -> str:
    """Return misses of clips that are not cut off, and how few clips the misses are of."""
    rates = [f"{rate:g}" for rate in figures["rates"]]
    lines = [
        f"## Without the {figures['cut']} of {figures['clips']} clips that are cut off: edgecl, 5 clips, %",
        "",
        f"| level | {' | '.join(f'{rate}/h' for rate in rates)} |",
        "|---|" + "---|" * len(rates),
    ]
    for level in _distinct(figures, "snr_db"):
        of = {"learner": "edgecl", "shots": 5, "snr_db": level}
        cells = [_interval(figures, value="misses_whole", at=rate, **of) for rate in rates]
        lines.append(f"| {level} dB | {' | '.join(cells)} |")
    shares: dict[str, list[float]] = {}
    for one in _chosen(figures, "by_clip", learner="edgecl", shots=5, snr_db=20, at="1"):
        for clip, share in one.items():
            shares.setdefault(clip, []).append(share)
    means = [mean(one) for one in shares.values()]
    often = sum(one >= 0.9 for one in means)
    never = sum(one == 0 for one in means)
    often_missed = f"{often} of {len(means)} clips are missed in nine takes of ten or more, {never} in none"
    about = f"At 20 dB and 1 an hour {often_missed}."
    return "\n".join([*lines, "", about, ""])


def _by_word(figures: dict[str, Any]) -> str:
    lines = [
        "## The same by word: 20 dB, 5 clips, 1 an hour, %",
        "",
        f"| word | {' | '.join(LEARNERS)} |",
        "|---|" + "---|" * len(LEARNERS),
    ]
    for word in _distinct(figures, "word"):
        cells = [
            100 * mean(_chosen(figures, "misses", word=word, learner=learner, shots=5, snr_db=20, at="1"))
            for learner in LEARNERS
        ]
        lines.append(f"| {word} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")
    return "\n".join([*lines, ""])


def _automatic(figures: dict[str, Any]) -> str:
    lines = [
        "## The automatic threshold of edgecl",
        "",
        "| learner | clips | misses at 20 dB, % | misses at 10 dB, % | false accepts an hour: all words | each word |",
        "|---|---|---|---|---|---|",
    ]
    for learner, shots in itertools.product(AUTOMATIC, _distinct(figures, "shots")):
        of = {"learner": learner, "shots": shots, "at": "automatic"}
        counts = _chosen(figures, "false_accepts", snr_db=20, **of)
        low, high = poisson_95(round(sum(counts)))
        total = figures["hours"] * len(counts)
        words = [
            f"{word} {mean(_chosen(figures, 'false_accepts', snr_db=20, word=word, **of)) / figures['hours']:.2f}"
            for word in _distinct(figures, "word")
        ]
        lines.append(
            f"| {learner} | {shots} | {_interval(figures, snr_db=20, **of)} | {_interval(figures, snr_db=10, **of)} "
            f"| {sum(counts) / total:.2f} ({low / total:.2f} to {high / total:.2f}) | {', '.join(words)} |"
        )
    return "\n".join([*lines, ""])


def _interval(figures: dict[str, Any], *, value: str = "misses", **which: Any) -> str:
    """Mean over the words with its 95 % t-interval, in per cent."""
    words = [100 * mean(_chosen(figures, value, word=word, **which)) for word in _distinct(figures, "word")]
    half = T_95[len(words)] * stdev(words) / math.sqrt(len(words))
    return f"{mean(words):.1f} ± {half:.1f}"


def _chosen(figures: dict[str, Any], value: str, **which: Any) -> list[Any]:
    return [one[value] for one in figures["cases"] if all(one[name] == wanted for name, wanted in which.items())]


def _distinct(figures: dict[str, Any], name: str) -> list[Any]:
    return list(dict.fromkeys(one[name] for one in figures["cases"]))


def poisson_95(count: int) -> tuple[float, float]:
    """The exact 95 % interval of a Poisson mean of which `count` was seen (Garwood 1936)."""
    low = 0.0 if count == 0 else _solve(lambda mu: 1 - _at_most(count - 1, mu), 0.025, high=count)
    return low, _solve(lambda mu: 1 - _at_most(count, mu), 0.975, high=3 * count + 20)


def _at_most(count: int, mu: float) -> float:
    """P(N <= count) for a Poisson mean mu."""
    logs = [
        k * math.log(mu) - mu - math.lgamma(k + 1) if mu > 0 else (0.0 if k == 0 else -math.inf) for k in _upto(count)
    ]
    return min(sum(map(math.exp, logs)), 1.0)


def _upto(count: int) -> Iterable[int]:
    return range(count + 1)


def _solve(rising: Any, wanted: float, *, high: float) -> float:
    low = 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2
