"""Four ways to score a word in a stream, against the score that ships; `tools/tried_table` runs this.

All is FACTORY's (tools/common/sounds.py): the ten commands by its speakers, its voices, texts and noise, minutes of
seeds that nothing else uses. Words are the commands, each alone; spliced words of two and three syllables are two and
three commands of one speaker, one after the other. Five clips by five people teach a word, once or twice, and up to
twelve clips of others are played, with five seconds of the room before them. From the background that ships what stands
for a word is left out for it, and hops of the minutes made here with the very word in their window are left out too. A
weight is chosen on every other word and used for the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np

from common.sounds import COMMANDS, Clip
from measure.listen_table import events, threshold_for
from measure.tried_bench import NEAR, Array, Bench, Sound, Word, spliced

TRIPLES = (
    ("go", "left", "stop"), ("stop", "no", "up"), ("yes", "down", "off"), ("right", "on", "go"),
    ("up", "stop", "left"), ("no", "yes", "right"), ("off", "go", "down"), ("on", "right", "yes"),
)  # fmt: skip
RATES = (2.0, 5.0, 10.0)
CANDIDATES_PER_HOUR = 60.0
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2)  # of an aligned distance
SHARES_OF_ROOM = (0.0, 0.5, 1.0)  # of the room's mean that is subtracted
SPEEDS = (0.9, 1.0, 1.1)
LAGS = range(3, 15)  # hops between the two words of a phrase


def misses(stream: Array, best: Sequence[float], hours: float) -> dict[float, float]:
    """Return the share that is missed at each rate of false accepts."""
    return {rate: float(np.mean(np.array(best) < threshold_for(stream, rate * hours))) for rate in RATES}


def crossed(by_word: list[dict[float, dict[float, float]]], none: float) -> list[dict[float, float]]:
    """Return the misses of each word by the setting that suits the words of the other half best."""
    found = []
    for at in range(len(by_word)):
        others = [one for other, one in enumerate(by_word) if other % 2 != at % 2]
        sums = {setting: sum(sum(one[setting].values()) for one in others) for setting in by_word[at]}
        found.append(by_word[at][min(sums, key=lambda setting: (sums[setting], setting != none))])
    return found


def average(parts: Sequence[dict[float, float]]) -> dict[float, float]:
    return {rate: float(np.mean([one[rate] for one in parts])) for rate in RATES}


def alignment(bench: Bench, sets: dict[str, list[list[Clip]]]) -> Iterator[dict[str, Any]]:
    """Candidates judged by the score less a weighted distance of aligned frames; also in running speech."""
    for name, words in sets.items():
        for in_speech in (False, True):
            by_word = []
            for number, clips in enumerate(words):
                parts: dict[float, list[dict[float, float]]] = {weight: [] for weight in WEIGHTS}
                for draw, (teaching, others) in enumerate(bench.plans(clips)):
                    heard = [
                        bench.played(one, (number, draw, at), in_speech=in_speech) for at, one in enumerate(others)
                    ]
                    for weight, one in realigned(bench, Word(bench, teaching), heard).items():
                        parts[weight].append(one)
                by_word.append({weight: average(one) for weight, one in parts.items()})
            title = f"{name}, in running speech" if in_speech else name
            yield from rows("frames aligned (DTW), candidates only", title, by_word, none=0.0)


def realigned(bench: Bench, word: Word, heard: Sequence[Sound]) -> dict[float, dict[float, float]]:
    """Return the misses by weight."""
    scores = word.stream()
    lowest = threshold_for(scores, CANDIDATES_PER_HOUR * word.hours)
    hops = np.array(events(scores, lowest), np.intp)
    places = [divmod(int(one), bench.length) for one in hops]
    costs = np.array([word.aligned(bench.stream[minute], np.array([hop]))[0] for minute, hop in places])
    middle = (len(heard[0].frames) - 8) // 2
    near = [(word.played(one), word.aligned(one, np.arange(middle - NEAR, middle + NEAR))) for one in heard]
    found = {}
    for weight in WEIGHTS:
        both = np.full_like(scores, -np.inf)
        both[hops] = scores[hops] - weight * costs
        best = [float(np.where(own >= lowest, own - weight * away, -np.inf).max()) for own, away in near]
        found[weight] = misses(both, best, word.hours)
    return found


def rooms(bench: Bench, sets: dict[str, list[list[Clip]]]) -> Iterator[dict[str, Any]]:
    """A share of the room's mean frame subtracted."""
    for name, words in sets.items():
        by_word = []
        for number, clips in enumerate(words):
            parts: dict[float, list[dict[float, float]]] = {share: [] for share in SHARES_OF_ROOM}
            for draw, (teaching, others) in enumerate(bench.plans(clips)):
                word = Word(bench, teaching)
                heard = [bench.played(one, (number, draw, at)) for at, one in enumerate(others)]
                for share in SHARES_OF_ROOM:
                    best = [float(word.played(one, share=share).max()) for one in heard]
                    parts[share].append(misses(word.stream(share=share), best, word.hours))
            by_word.append({share: average(one) for share, one in parts.items()})
        yield from rows("the room's mean frame subtracted", name, by_word, none=0.0)


def speeds(bench: Bench, sets: dict[str, list[list[Clip]]]) -> Iterator[dict[str, Any]]:
    """Clips taught at three speeds."""
    for name, words in sets.items():
        by_word = []
        for number, clips in enumerate(words):
            parts: dict[float, list[dict[float, float]]] = {0.0: [], 1.0: []}
            for draw, (teaching, others) in enumerate(bench.plans(clips)):
                heard = [bench.played(one, (number, draw, at)) for at, one in enumerate(others)]
                for setting, at_speeds in ((0.0, (1.0,)), (1.0, SPEEDS)):
                    word = Word(bench, teaching, speeds=at_speeds)
                    best = [float(word.played(one).max()) for one in heard]
                    parts[setting].append(misses(word.stream(), best, word.hours))
            by_word.append({setting: average(one) for setting, one in parts.items()})
        yield from rows("enrolment at 0.9, 1 and 1.1 of the speed", name, by_word, none=0.0, only=1.0)


def phrases(bench: Bench, name: str, splits: Sequence[tuple[Sequence[str], Sequence[str]]]) -> Iterator[dict[str, Any]]:
    """A phrase as one word, against two words taught apart that follow each other."""
    by_word = []
    for number, (before, after) in enumerate(splits):
        whole = spliced(bench.world.clips, (*before, *after))
        parts: dict[float, list[dict[float, float]]] = {0.0: [], 1.0: []}
        for draw, (teaching, others) in enumerate(bench.plans(whole)):
            names = {one.speaker for one in teaching}
            first, last = (
                [one for one in spliced(bench.world.clips, words) if one.speaker in names] for words in (before, after)
            )
            heard = [bench.played(one, (number, draw, at)) for at, one in enumerate(others)]
            one_word = Word(bench, teaching)
            best = [float(one_word.played(one).max()) for one in heard]
            parts[0.0].append(misses(one_word.stream(), best, bench.hours))
            two = [Word(bench, first), Word(bench, last)]
            for one in two:
                one.mask = np.zeros_like(one.mask)  # one of the words alone is no false accept of the phrase
            streams = [one.stream() for one in two]
            level = [threshold_for(one, 10 * bench.hours) for one in streams]
            together = following(*(s - np.float32(t) for s, t in zip(streams, level, strict=True)))
            best = []
            for hops in (one.hops(bench.pool) for one in heard):
                margins = (one.of(hops) - np.float32(least) for one, least in zip(two, level, strict=True))
                middle = len(hops) // 2
                best.append(float(following(*margins)[middle - NEAR : middle + 2 * NEAR].max()))
            parts[1.0].append(misses(together, best, bench.hours))
        by_word.append({setting: average(one) for setting, one in parts.items()})
    yield from rows("two taught words that follow each other", name, by_word, none=0.0, only=1.0)


def following(first: Array, last: Array) -> Array:
    """Return for each hop the lesser of the last word's margin and the best of the first word's some hops before."""
    before = np.full_like(first, -np.inf)
    for lag in LAGS:
        before[lag:] = np.maximum(before[lag:], first[:-lag])
    return np.minimum(before, last)


def rows(
    tried: str, words: str, by_word: list[dict[float, dict[float, float]]], *, none: float, only: float | None = None
) -> Iterator[dict[str, Any]]:
    """Yield what each word misses now, and by the setting that is tried."""
    then = crossed(by_word, none) if only is None else [one[only] for one in by_word]
    for at, one in enumerate(by_word):
        for rate in RATES:
            about = {"tried": tried, "words": words, "word": at, "at": f"{rate:g}"}
            yield {**about, "now": one[none][rate], "then": then[at][rate]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args()
    bench = Bench(minutes=24, draws=1, heard=6) if chosen.quick else Bench(minutes=72, draws=2, heard=12)
    clips = bench.world.clips
    sets = {
        "commands": [[one for one in clips if one.word == word] for word in COMMANDS],
        "spliced words of two": [spliced(clips, triple[:2]) for triple in TRIPLES],
    }
    found: list[dict[str, Any]] = []
    of_two = [((first,), (second,)) for first, second, _ in TRIPLES]
    of_three = [((first, second), (third,)) for first, second, third in TRIPLES]
    parts = (
        speeds(bench, sets),
        rooms(bench, sets),
        phrases(bench, "spliced phrases of two", of_two),
        phrases(bench, "spliced phrases of three", of_three),
        alignment(bench, sets),
    )
    for part in parts:
        found += part
        print(f"{found[-1]['tried']}: measured", file=sys.stderr, flush=True)
        chosen.json.write_text(json.dumps({"hours": bench.hours, "rates": list(RATES), "rows": found}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
