"""Measure the second stage against the first; `tools/verify_table` runs this where efficientword-net is installed.

Every fifth minute of the background of tools/listen_table, and its words, each taught alone from five clips by as many
people and played by others: those of two or more syllables (TAUGHT), DRAWS times, and ten short ones, once. The stream
holds recordings of the short ones: hops with the very word are left out for it. Both stages are those that ship, on the
same peaks. A word that is played is detected where a candidate near its middle reaches the threshold of both; every
candidate of the stream that does is a false accept, but for those in the pause after one.

Digits of fsdd of one syllable are taught by a clip of each of five speakers and played by the sixth, each left out in
turn. Other ways to listen (measure/verify_peers.py) hear the words of the first draw at 20 dB, on the same stream.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.sounds import DIGITS, SHORT, TAUGHT, Clip, digit_clips, recorded
from common.splits import data_root
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.spotting.background import factory_background
from edgecl.spotting.reference import WINDOW_SAMPLES
from edgecl.spotting.spotters import REFRACTORY_HOPS
from measure.listen_table import events, threshold_for
from measure.people_table import EACH, HEARD_EACH
from measure.verify_bench import Bench, Ears, candidates, made
from measure.verify_peers import Peers

ONE_SYLLABLE = tuple(one for one in DIGITS if one not in TAUGHT)
EVERY, SHOTS, DRAWS, TAKES, LEVELS_DB = 5, 5, 3, 2, (20, 10)
RATES = (0.5, 1.0, 2.0, 5.0)


def accepted(hops: NDArray[np.intp], scores: NDArray[np.float32], threshold: float) -> int:
    """Return how many candidates reach a threshold, without those in the pause after one."""
    count, deaf_until = 0, -1
    for hop in hops[scores >= threshold].tolist():
        if hop >= deaf_until:
            count, deaf_until = count + 1, hop + REFRACTORY_HOPS
    return count


def threshold_of_both(hops: NDArray[np.intp], scores: NDArray[np.float32], most: float) -> float:
    """Return the lowest threshold with at most `most` false accepts."""
    lowest = float(np.nextafter(scores.max(initial=-np.inf), np.float32(np.inf)))
    for threshold in np.sort(scores)[::-1]:
        if accepted(hops, scores, threshold) > most:
            break
        lowest = float(threshold)
    return lowest


def cases(clips: list[Clip]) -> Iterator[tuple[str, int, NDArray[np.intp], NDArray[np.intp]]]:
    """Yield word, draw, the clips that teach, and the clips by other people that are played."""
    words, speakers = np.array([one.word for one in clips]), np.array([one.speaker for one in clips])
    for word in (*TAUGHT, *SHORT):
        rows = np.flatnonzero(words == word)
        for draw in range(DRAWS if word in TAUGHT else 1):
            order = np.random.default_rng(draw).permutation(rows)
            _, first = np.unique(speakers[order], return_index=True)
            taught = order[np.sort(first)[:SHOTS]]
            yield word, draw, taught, rows[~np.isin(speakers[rows], speakers[taught])]


def left_out(clips: list[Clip]) -> Iterator[tuple[str, str, NDArray[np.intp], NDArray[np.intp]]]:
    """Yield digit, the speaker who is left out, a clip of each of the others, and the clips that are played."""
    words, speakers = np.array([one.word for one in clips]), np.array([one.speaker for one in clips])
    for speaker in np.unique(speakers):
        for word in ONE_SYLLABLE:
            rows = np.flatnonzero(words == word)
            others = rows[speakers[rows] != speaker]
            _, first = np.unique(speakers[others], return_index=True)
            yield word, str(speaker), others[first], rows[speakers[rows] == speaker][:HEARD_EACH]


def measured(
    bench: Bench,
    word: str,
    taught: NDArray[np.intp],
    heard: NDArray[np.intp],
    scratch: Path,
    *,
    levels_db: Sequence[int] = LEVELS_DB,
    takes: int = TAKES,
    **case: Any,
) -> list[dict[str, Any]]:
    """Return the figures of one case: each stage, level and threshold."""
    scorer, second = bench.stages(word, taught, scratch)
    scores = bench.scores(word, scorer)
    hours = bench.stream.hours * float(np.mean(np.isfinite(scores)))
    hops = candidates(scores, second.candidate)
    both, at_hops = bench.both(hops, scores, second), np.array(hops, np.intp)
    thresholds = [
        {f"{rate:g}": threshold_for(scores, rate * hours) for rate in RATES}
        | {"automatic": float(scorer.thresholds[0])},
        {f"{rate:g}": threshold_of_both(at_hops, both, rate * hours) for rate in RATES}
        | {"automatic": second.threshold},
    ]
    found = []
    for level in levels_db:
        best = np.array(
            [bench.peaks(scorer, second, int(clip), level, take) for clip in heard for take in range(takes)]
        )
        about = {**case, "word": word, "snr_db": level, "hours": hours, "candidates_per_hour": len(hops) / hours}
        for stages, chosen in enumerate(thresholds, start=1):
            for at, threshold in chosen.items():
                false = len(events(scores, threshold)) if stages == 1 else accepted(at_hops, both, threshold)
                misses = float(np.mean(best[:, stages - 1] < threshold))
                unasked = float(np.mean(np.isinf(best[:, 1])))
                figures = {"stages": stages, "at": at, "misses": misses, "unasked": unasked, "false_accepts": false}
                found.append({**about, **figures})
    return found


def measure(folder: Path, scratch: Path, every: int) -> dict[str, Any]:
    """Every case with both stages."""
    extractor = open_extractor(builtin_extractor("voice"))
    assert isinstance(extractor, FileExtractor)
    contract = extractor.contract
    background = factory_background(source=contract.source, dimension=contract.dimension)
    assert background is not None
    ears, stream = Ears(extractor), made(folder, extractor, every)
    clips = [one for one in recorded(data_root()) if one.word in (*TAUGHT, *SHORT)]
    bench, found, others, digits = Bench(ears, extractor, background, stream, clips), [], [], []
    peers = Peers(bench)
    for word, draw, taught, heard in cases(clips):
        started = time.perf_counter()
        found += measured(bench, word, taught, heard, scratch, draw=draw)
        others += peers.figures(word, taught, heard, RATES) if draw == 0 else []
        print(f"{word}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    bench = Bench(ears, extractor, background, stream, digit_clips(data_root(), EACH + HEARD_EACH))
    for word, speaker, taught, heard in left_out(bench.clips):
        digits += measured(bench, word, taught, heard, scratch, levels_db=(20,), takes=1, left_out=speaker)
        print(f"{word} of {speaker}", file=sys.stderr, flush=True)
    return {
        "hours": stream.hours, "rates": list(RATES), "draws": DRAWS, "takes": TAKES, "cases": found,
        "peers": others, "fsdd": digits,
        "window_ms": ears.hears.window_ms(WINDOW_SAMPLES, times=20), "words": list(TAUGHT), "short": list(SHORT),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", type=Path, required=True, help="folder where the stream is kept")
    parser.add_argument("--every", type=int, default=EVERY)
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgecl-verify-") as scratch:
        chosen.json.write_text(json.dumps(measure(chosen.stream, Path(scratch), chosen.every), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
