"""The tables of tools/listen_table, from the figures of tools/measure/listen_table.py; standard library only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from statistics import mean, stdev
from typing import Any

LEARNERS = ("edgecl", "first stage", "logistic regression", "nearest prototype")
AUTOMATIC = ("edgecl", "first stage")
T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 8: 2.36, 10: 2.26}  # two-sided, by the number of words
# words, level, false accepts an hour, per cent of misses from five clips that are wanted
TARGETS = (
    ("long", 20, "0.5", 10), ("long", 20, "1", 8), ("long", 10, "0.5", 21), ("long", 10, "1", 17),
    ("short", 20, "1", 30), ("short", 20, "2", 23), ("fsdd", 20, "1", 40),
)  # fmt: skip
MOST_ACCEPTS = 1  # an hour a word, at the automatic threshold
NAMES = {
    "long": "two or more syllables", "short": "ten short words",
    "short, unlike": "ten short words, and no recorded word one phoneme off",
    "fsdd": "digits of one syllable of fsdd, the sixth speaker",
}  # fmt: skip


def as_markdown(figures: dict[str, Any]) -> str:
    """Misses by learner, and what the automatic threshold does."""
    long = _only(figures, "long")
    parts = [_misses(long, level) for level in _distinct(long, "snr_db")]
    return "\n".join([_targets(figures), *parts, _whole(long), _by_word(long), _automatic(long), _others(figures)])


def _only(figures: dict[str, Any], words: str) -> dict[str, Any]:
    """Return the figures of a kind of words; those without near-homophones include words that have none."""
    kept = {words, *(("short",) if words == "short, unlike" else ())}
    alike = {word for word, some in figures["alike"].items() if some}
    cases = [
        one for one in figures["cases"] if one["words"] in kept and not (one["words"] != words and one["word"] in alike)
    ]
    return {**figures, "cases": cases}


def _targets(figures: dict[str, Any]) -> str:
    """Return what was to be reached, beside what is."""
    lines = [
        "## Targets: misses from five clips, %",
        "",
        "| words | level | false accepts an hour | target | edgecl | first stage |",
        "|---|---|---|---|---|---|",
    ]
    for words, level, rate, most in TARGETS:
        of: dict[str, Any] = {"shots": 5, "snr_db": level, "at": rate}
        cells = [_interval(_only(figures, words), learner=learner, **of) for learner in AUTOMATIC]
        lines.append(f"| {NAMES[words]} | {level} dB | {rate} | {most} | {' | '.join(cells)} |")
    cells = []
    for learner in AUTOMATIC:
        by_word = [_accepts(_only(figures, "long"), learner=learner, shots=5, word=word) for word in _words(figures)]
        cells.append(f"{mean(by_word):.2f} on average, {max(by_word):.2f} at most")
    about = "two or more syllables, false accepts an hour a word"
    lines.append(f"| {about} | | automatic threshold | {MOST_ACCEPTS} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _words(figures: dict[str, Any]) -> list[str]:
    return _distinct(_only(figures, "long"), "word")


def _accepts(figures: dict[str, Any], **which: Any) -> float:
    """Return the false accepts an hour at the automatic threshold."""
    counts = _chosen(figures, "false_accepts", snr_db=20, at="automatic", **which)
    return float(sum(counts) / sum(_chosen(figures, "hours", snr_db=20, at="automatic", **which)))


def _others(figures: dict[str, Any]) -> str:
    """Return the misses of words that the stream holds too."""
    rates = [f"{rate:g}" for rate in figures["rates"]]
    alike = "; ".join(f"{word}: {', '.join(some)}" for word, some in figures["alike"].items() if some)
    lines = [
        "## Words that the background holds too: misses from five clips, %",
        "",
        "Hops with a recording of the very word are left out; synthetic ones are not, of which no list is kept.",
        f"Recorded words one phoneme off: {alike}.",
        "",
        f"| words | level | learner | {' | '.join(f'{rate}/h' for rate in rates)} |",
        "|---|---|---|" + "---|" * len(rates),
    ]
    kinds = ("short", "short, unlike", "fsdd")
    for words, level, learner in itertools.product(kinds, _distinct(figures, "snr_db"), AUTOMATIC):
        of: dict[str, Any] = {"learner": learner, "snr_db": level}
        cells = [_interval(_only(figures, words), at=rate, **of) for rate in rates]
        lines.append(f"| {NAMES[words]} | {level} dB | {learner} | {' | '.join(cells)} |")
    lines += [
        "",
        f"| edgecl, 20 dB | {' | '.join(f'{rate}/h' for rate in rates)} | automatic | false accepts an hour |",
    ]
    lines.append("|---|" + "---|" * (len(rates) + 2))
    for words, title in (("short", ""), ("short, unlike", ", and no word one phoneme off"), ("fsdd", " of fsdd")):
        own = {**figures, "cases": [one for one in figures["cases"] if one["words"] == words]}
        for word in _distinct(own, "word"):
            of = {"learner": "edgecl", "word": word, "snr_db": 20}
            cells = [f"{100 * mean(_chosen(own, 'misses', at=at, **of)):.1f}" for at in (*rates, "automatic")]
            accepts = f"{_accepts(own, learner='edgecl', word=word):.2f}"
            lines.append(f"| {word}{title} | {' | '.join((*cells, accepts))} |")
    return "\n".join([*lines, ""])


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
    """Return the values of some cases; not those of none of a word's clips, which are not a number."""
    cases = (one for one in figures["cases"] if all(one[name] == wanted for name, wanted in which.items()))
    return [one[value] for one in cases if one[value] == one[value]]


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
