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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.sounds import DIGITS, RATE_HZ, SHORT, TAUGHT, Clip, Logged, digit_clips, recorded, word_in_noise, worlds
from common.splits import data_root
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.model.model import Model
from edgecl.spotting.background import Background, BackgroundScorer, factory_background
from edgecl.spotting.densities import Densities, log_density
from edgecl.spotting.reference import WINDOW_SAMPLES, Reference, about, clip_vector, factory_directions
from edgecl.spotting.second_stage import WEIGHT, Second, SecondStage, hearing
from edgecl.spotting.spotters import REFRACTORY_HOPS, WAIT_HOPS
from edgecl.values import replace
from measure.listen_table import NEAR_HOPS, events, in_blocks, taught_model, threshold_for
from measure.people_table import EACH, HEARD_EACH
from measure.verify_peers import Peers

ONE_SYLLABLE = tuple(one for one in DIGITS if one not in TAUGHT)
SHARES, SEED = {"noise": 360, "babble": 240, "words": 420, "speech": 420}, 2  # of tools/make_stream
EVERY, SHOTS, DRAWS, TAKES, LEVELS_DB = 5, 5, 3, 2, (20, 10)
RATES = (0.5, 1.0, 2.0, 5.0)

Latents = NDArray[np.float32]


@dataclass(frozen=True)
class Stream:
    """Minutes of background: sound (M, n) int16, latents (M, T, D), and the words in each."""

    sound: NDArray[np.int16]
    latents: NDArray[np.float16]
    words: list[list[tuple[str, int, int]]]

    @property
    def hours(self) -> float:
        return float(self.latents.shape[0] * self.latents.shape[1] * 0.08 / 3600)

    def holds(self, word: str, contract: Any) -> NDArray[np.bool_]:
        """Return which hops (M * T,) have some of a recorded word in their window."""
        mask = np.zeros(self.latents.shape[:2], bool)
        for minute, placed in enumerate(self.words):
            for name, first, last in placed:
                if name == word:
                    begin = max((first - contract.clip_samples) // contract.hop_samples, 0)
                    mask[minute, begin : last // contract.hop_samples + 1] = True
        return mask.ravel()


def made(folder: Path, extractor: FileExtractor, every: int) -> Stream:
    """Return the stream, made once and kept."""
    file = folder / f"verify-{every}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        base = worlds(data_root())[1]
        world = Logged(base.voices, base.sentences, base.clips, base.noises)
        plan = [kind for kind, count in SHARES.items() for _ in range(count)]
        sound, latents, log = [], [], []
        for index in range(0, len(plan), every):
            world.log.clear()
            minute = world.chunk(plan[index], np.random.default_rng([SEED, index]))
            sound.append((32767 * minute).astype(np.int16))
            latents.append(extractor.hop_latents(minute).astype(np.float16))
            log.append(list(world.log))
            if index % 60 == 0:
                print(f"minute {index} of {len(plan)}", file=sys.stderr, flush=True)
        np.savez(folder / "part.npz", sound=np.array(sound), latents=np.array(latents), log=json.dumps(log))
        (folder / "part.npz").replace(file)
    with np.load(file) as kept:
        words = [
            [(str(name), int(first), int(last)) for name, first, last in one] for one in json.loads(str(kept["log"]))
        ]
        return Stream(kept["sound"], kept["latents"], words)


class Ears:
    """Vectors of windows, each computed once."""

    def __init__(self, extractor: FileExtractor) -> None:
        hears = hearing()
        if hears is None:
            sys.exit("verify_table needs efficientword-net 1.0.5, and a machine that runs it within 160 ms")
        self.hears, self.contract = hears, extractor.contract
        self._directions, self._held = factory_directions(), {}  # type: ignore[var-annotated]

    def of_hop(self, key: tuple[Any, ...], sound: NDArray[Any], hop: int) -> Latents:
        if (*key, hop) not in self._held:
            middle = hop * self.contract.hop_samples + self.contract.clip_samples // 2
            whole = sound if sound.dtype == np.float32 else sound.astype(np.float32) / np.float32(32767)
            window = about(whole, middle)
            self._held[*key, hop] = self._directions(self.hears(window))
        return self._held[*key, hop]  # type: ignore[no-any-return]

    def of_clip(self, key: tuple[Any, ...], clip: Clip) -> Latents:
        if key not in self._held:
            hears = lambda window: self._directions(self.hears(window))  # noqa: E731
            self._held[key] = clip_vector(clip.signal[:, None], self.contract, hears)
        return self._held[key]  # type: ignore[no-any-return]


def candidates(scores: NDArray[np.float32], threshold: float) -> list[int]:
    """Return the peaks that a spotter would ask about if all were refused: none is followed by a pause."""
    found: list[int] = []
    peak: int | None = None
    for hop in np.flatnonzero(scores >= threshold).tolist():
        if peak is not None and (hop - peak > WAIT_HOPS or (hop - peak == WAIT_HOPS and scores[hop] <= scores[peak])):
            closed_at, peak = peak + WAIT_HOPS, None
            found.append(closed_at - WAIT_HOPS)
            if hop <= closed_at:
                continue
        if peak is None or scores[hop] > scores[peak]:
            peak = hop
    return found if peak is None else [*found, peak]


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


def with_reference(model: Model, word: str, vectors: list[Latents]) -> Model:
    """Return the model as a lesson leaves it where the network is installed."""
    kept = replace(model.exemplars[word], reference=Reference.of(vectors).array())
    return replace(model, exemplars={word: kept})


class Bench:
    """The stream under both stages, the clips, and what was played of them."""

    def __init__(
        self, ears: Ears, extractor: FileExtractor, background: Background, stream: Stream, clips: list[Clip]
    ) -> None:
        self.extractor, self.background, self.stream = extractor, background, stream
        self.ears, self.clips = ears, clips
        flat, densities = stream.latents.reshape(-1, extractor.contract.dimension), Densities(background)
        self.of_background = in_blocks(lambda rows: densities(rows)[0], flat)
        self.whitened = in_blocks(lambda rows: densities(rows)[1], flat)
        self.clean = extractor.latents([one.signal[:, None] for one in self.clips])
        self._world = worlds(data_root())[1]
        self._played: dict[tuple[int, int, int], tuple[Latents, Latents]] = {}

    def stages(self, word: str, taught: NDArray[np.intp], scratch: Path) -> tuple[BackgroundScorer, Second]:
        """Return both stages of a word as a lesson of some clips makes them."""
        vectors = [self.ears.of_clip((self, int(at)), self.clips[at]) for at in taught]
        model = with_reference(taught_model(self.clean[taught], word, scratch), word, vectors)
        scorer = BackgroundScorer(model, self.background)
        return scorer, SecondStage(scorer, model, self.background, self.ears.hears).words[word]

    def scores(self, word: str, scorer: BackgroundScorer) -> NDArray[np.float32]:
        """Return the first stage's scores of the stream (n,), minus infinity where the word itself is heard."""
        own = scorer.word(word)
        densities = log_density(self.whitened, own.own, np.array([own.own_spread], np.float32))[:, 0]
        scores = densities - np.float32(own.half_determinant) - self.of_background
        scores[self.stream.holds(word, self.extractor.contract)] = -np.inf
        return scores

    def both(self, hops: list[int], scores: NDArray[np.float32], second: Second) -> NDArray[np.float32]:
        """Return the scores of both stages of candidates of the stream."""
        minutes = [divmod(hop, self.stream.latents.shape[1]) for hop in hops]
        vectors = [self.ears.of_hop(("stream", one), self.stream.sound[one], hop) for one, hop in minutes]
        return scores[hops] + WEIGHT * np.array([one @ second.direction for one in vectors], np.float32)

    def peaks(self, scorer: BackgroundScorer, second: Second, clip: int, level: int, take: int) -> tuple[float, float]:
        """Return the highest score of one stage and of both near the middle of a word that is played."""
        sound, latents = self.play(clip, level, take)
        scores = scorer.row_scores(latents)[:, 0]
        near = range(len(scores) // 2 - NEAR_HOPS, len(scores) // 2 + NEAR_HOPS)
        asked = [hop for hop in candidates(scores, second.candidate) if hop in near]
        vectors = [self.ears.of_hop((self, clip, level, take), sound, hop) for hop in asked]
        both = [
            float(scores[hop]) + WEIGHT * float(one @ second.direction) for hop, one in zip(asked, vectors, strict=True)
        ]
        return float(scores[near.start : near.stop].max()), max(both, default=-np.inf)

    def play(self, clip: int, level: int, take: int) -> tuple[Latents, Latents]:
        """Return a clip in noise, as sound (n,) and as latents (hops, D)."""
        if (clip, level, take) not in self._played:
            rng = np.random.default_rng([SEED, level, clip, take])
            sound = word_in_noise(self.clips[clip].signal, self._world, rng, snr_db=level, length=4 * RATE_HZ)
            self._played[clip, level, take] = sound, self.extractor.hop_latents(sound)
        return self._played[clip, level, take]


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
