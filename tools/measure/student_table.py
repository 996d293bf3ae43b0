"""Measure what a student of the second stage's network would gain; `tools/student_table` runs this.

All of it is FACTORY's sound (tools/common/sounds.py). The ten commands are in two halves. For each half a student is
taught without those words, without every other person and without every other voice; then each word of the half, and
words made of two of them by one person, is taught alone by five people, and played by people whom the student has not
heard. False accepts are counted in minutes by the voices that it has not heard. score + beta e.r is compared with
score, hop by hop: e is the student's answer to the hop, r the mean of its answers to the clips that teach, clean or in
the noises of `edgecl.spotting.reference` too. The word's mean is that of its clips, or half that of clips in noise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.sounds import COMMANDS, RATE_HZ, Clip, World, to_peak, word_in_noise, worlds
from common.splits import data_root
from edgecl.extractors.base import FileExtractor, fit
from edgecl.extractors.opening import builtin_extractor, open_extractor, verifier_file
from edgecl.extractors.verifier import WINDOW_SAMPLES, Verifier, about
from edgecl.spotting.background import Background, factory_background
from edgecl.spotting.densities import Densities, log_density
from edgecl.spotting.reference import factory_directions, versions
from edgecl.values import replace
from measure.listen_table import NEAR_HOPS, threshold_for
from measure.student import Student, of_length_1, taught, thirds
from measure.student_sound import Pupil, sounding, windows
from measure.verify_table import Logged

PART, SEED = 2500, 11  # windows that are kept in one file, and the seed of the first
MINUTES, MINUTES_SEED = {"words": 36, "speech": 30, "babble": 6, "noise": 12}, 777
HALVES = (("down", "left", "no", "off", "stop"), ("go", "on", "right", "up", "yes"))
PAIRS = (
    ("stop", "no"), ("no", "left"), ("left", "off"), ("down", "stop"), ("off", "down"),
    ("up", "yes"), ("right", "go"), ("go", "on"), ("yes", "right"), ("on", "up"),
)  # fmt: skip
LEVELS_DB, TAKES, SHOTS, DRAWS = (20, 10), 2, 5, 3
RATES, BETAS = (1.0, 2.0, 5.0), (25, 50, 100)
LONGEST_PAIR = 17_000  # samples
KEPT_BACK = 0.08
BLOCK = 1 << 13

Rows = NDArray[np.float32]


class Played(NamedTuple):
    """Words, n of them: their windows (n, ..., 9, D)."""

    words: NDArray[np.str_]
    speakers: NDArray[np.str_]
    clean: Rows
    """(n, 9, D)."""
    noisy: Rows
    """(n, V, 9, D)."""
    heard: dict[int, Rows]
    """By level: frames (n, takes, hops + 8, D) about the middle."""


class Minutes(NamedTuple):
    """Background: frames (m, T, D), and the words in each."""

    frames: NDArray[np.float16]
    words: list[list[tuple[str, int, int]]]


class Bench:
    """What every student is compared on."""

    def __init__(self, folder: Path, *, parts: int) -> None:
        extractor = open_extractor(builtin_extractor("voice"))
        assert isinstance(extractor, FileExtractor)
        self.extractor, self.contract = extractor, extractor.contract
        background = factory_background(source=self.contract.source, dimension=self.contract.dimension)
        assert background is not None
        of_others = background.distractors[: -len(COMMANDS)]  # the last ones are the commands, which no user taught
        self.background: Background = replace(background, distractors=of_others)
        self.densities = Densities(self.background)
        self.world, _ = worlds(data_root())
        folder.mkdir(parents=True, exist_ok=True)
        self.pupils = [self._pupil(folder / f"windows-{SEED + part}.npz", SEED + part) for part in range(parts)]
        self.played, self.minutes = self._played(folder / "words.npz"), self._minutes(folder / "minutes.npz")
        pool = self.contract.pool_frames
        self.stream = np.lib.stride_tricks.sliding_window_view(self.minutes.frames, pool, axis=1).swapaxes(-1, -2)
        latents = self.latents(self.stream).reshape(-1, self.contract.dimension)
        self.rivals, self.whitened = self.scored(latents)
        self.unheard = set(sorted({one.speaker for one in self.world.clips})[::2])
        self.voices = set(self.world.voices[1::2])

    def _pupil(self, file: Path, seed: int) -> Pupil:
        if not file.exists():
            network = verifier_file()
            if network is None:
                sys.exit("student_table needs efficientword-net 1.0.5: pip install 'edgecl[verify]'")
            found = windows(self.world, self.extractor, Verifier(network), count=PART, seed=seed)
            keep(file, frames=found.frames, vectors=found.vectors, said=found.said)
        with np.load(file) as kept:
            return Pupil(kept["frames"], kept["vectors"], kept["said"])

    def _minutes(self, file: Path) -> Minutes:
        if not file.exists():
            plan = [kind for kind, count in MINUTES.items() for _ in range(count)]
            base, frames, log = self.world, [], []
            world = Logged(base.voices[1::2], base.sentences, base.clips, base.noises)
            for index, kind in enumerate(plan):
                world.log.clear()
                frames.append(self.extractor.frames(world.chunk(kind, np.random.default_rng([MINUTES_SEED, index]))))
                log.append(list(world.log))
            keep(file, frames=np.array(frames, np.float16), log=json.dumps(log))
        with np.load(file) as kept:
            return Minutes(kept["frames"], [[tuple(one) for one in log] for log in json.loads(str(kept["log"]))])

    def _played(self, file: Path) -> Played:
        if not file.exists():
            clips = [*self.world.clips, *pairs(self.world)]
            heard = {f"heard_{level}": [self._heard(*one, level) for one in enumerate(clips)] for level in LEVELS_DB}
            clean, noisy = zip(*(self._clean(one) for one in clips), strict=True)
            keep(
                file, words=[one.word for one in clips], speakers=[one.speaker for one in clips],
                clean=np.array(clean, np.float16), noisy=np.array(noisy, np.float16),
                **{name: np.array(rows, np.float16) for name, rows in heard.items()},
            )  # fmt: skip
        with np.load(file) as kept:
            clean, noisy = kept["clean"].astype(np.float32), kept["noisy"].astype(np.float32)
            played = {level: kept[f"heard_{level}"].astype(np.float32) for level in LEVELS_DB}
            return Played(kept["words"], kept["speakers"], clean, noisy, played)

    def _clean(self, clip: Clip) -> tuple[Rows, list[Rows]]:
        """Return the frames of a clip, and of its versions in noise."""
        signal = fit(clip.signal[:, None], self.contract)
        length = self.contract.clip_samples
        start = (WINDOW_SAMPLES - length) // 2
        inside = [one[start : start + length, None] for one in versions(about(signal[:, 0], length // 2))]
        return self.extractor.frames(signal), [self.extractor.frames(one) for one in inside]

    def _heard(self, index: int, clip: Clip, level: int) -> list[Rows]:
        found = []
        for take in range(TAKES):
            rng = np.random.default_rng([MINUTES_SEED, level, index, take])
            sound = word_in_noise(clip.signal, self.world, rng, snr_db=level, length=4 * RATE_HZ)
            frames = self.extractor.frames(sound)
            middle = (len(frames) - self.contract.pool_frames + 1) // 2
            found.append(frames[middle - NEAR_HOPS : middle + NEAR_HOPS + self.contract.pool_frames - 1])
        return found

    def latents(self, frames: NDArray[np.floating]) -> Rows:
        """Return latents (..., D) of windows (..., 9, D)."""
        flat = np.ascontiguousarray(frames, np.float32).reshape(-1, *frames.shape[-2:])
        return self.extractor.pool(flat).reshape(*frames.shape[:-2], -1)

    def scored(self, latents: Rows) -> tuple[Rows, Rows]:
        """Return log densities (n,) of the background, and whitened rows, of latents (n, D)."""
        blocks = [self.densities(latents[first : first + BLOCK]) for first in range(0, len(latents), BLOCK)]
        rivals, whitened = zip(*blocks, strict=True)
        return np.concatenate(rivals), np.concatenate(whitened)

    def answers(self, student: Student, frames: NDArray[np.floating]) -> Rows:
        """Return e (..., K) of windows (..., 9, D)."""
        flat = frames.reshape(-1, *frames.shape[-2:])
        mean = np.asarray(self.contract.mean, np.float32)
        found = [student(thirds(flat[first : first + BLOCK], mean)) for first in range(0, len(flat), BLOCK)]
        return np.concatenate(found).reshape(*frames.shape[:-2], -1)

    def holds(self, words: set[str]) -> NDArray[np.bool_]:
        """Return which hops of the minutes (m * T,) have some of these words in their window."""
        mask = np.zeros(self.stream.shape[:2], bool)
        for minute, placed in enumerate(self.minutes.words):
            for name, first, last in placed:
                if name in words:
                    begin = max((first - self.contract.clip_samples) // self.contract.hop_samples, 0)
                    mask[minute, begin : last // self.contract.hop_samples + 1] = True
        return mask.ravel()


def keep(file: Path, **arrays: Any) -> None:
    """Write arrays to a file, all or nothing."""
    part = file.with_name(f"part-{file.name}")
    np.savez(part, **arrays)
    part.replace(file)


def pairs(world: World) -> list[Clip]:
    """Return words of two commands by one person, one after the other: up to two of each pair and person."""
    rng, found = np.random.default_rng(MINUTES_SEED), []
    for one, other in PAIRS:
        for speaker in sorted({clip.speaker for clip in world.clips}):
            first, second = ([c for c in world.clips if (c.speaker, c.word) == (speaker, w)] for w in (one, other))
            for _ in range(min(2, len(first) * len(second))):
                parts = [some[int(rng.integers(len(some)))].signal for some in (first, second)]
                whole = np.concatenate([to_peak(sounding(part)) for part in parts])[:LONGEST_PAIR]
                found.append(Clip(f"{one}-{other}", speaker, whole))
    return found


def wanted(vectors: NDArray[np.floating]) -> Rows:
    """Return what a student is to answer: vectors (n, 2048) in the directions of the second stage (n, K)."""
    directions = factory_directions()
    return of_length_1((np.asarray(vectors, np.float32) - directions.mean) @ directions.matrix)


def measured(bench: Bench, pupil: Pupil, half: int) -> Iterator[dict[str, Any]]:
    """Yield the figures of a student of some windows, and those of the words of a half with it."""
    words, kinds, mean = set(HALVES[half]), pupil.said, np.asarray(bench.contract.mean, np.float32)
    known = np.array([
        who not in bench.unheard | bench.voices and not words & set(said.split("-")) for _, who, said in kinds
    ])  # fmt: skip
    back = known & (np.random.default_rng(half).random(len(known)) < KEPT_BACK)
    z, targets = thirds(pupil.frames, mean), wanted(pupil.vectors)
    student = taught(z[known & ~back], targets[known & ~back])
    cosines = {
        name: float((student(z[rows]) * targets[rows]).sum(axis=1).mean())
        for name, rows in (("kept_back", back), ("unheard", ~known))
    }
    cost = {
        "hop_us": hop_us(student, pupil.frames[0].astype(np.float32), mean),
        "bytes": 2 * sum(map(np.size, student)),
    }
    yield {"half": half, "windows": int((known & ~back).sum()), **cosines, **cost}
    stream = bench.answers(student, bench.stream).reshape(-1, targets.shape[1])
    of_pairs = {"-".join(pair) for pair in PAIRS if set(pair) <= words}
    for word in sorted(words | of_pairs):
        yield from of_word(bench, student, word, stream)


def hop_us(student: Student, window: Rows, mean: Rows, times: int = 300) -> float:
    """Return the microseconds of a window (9, D): the shortest of some."""
    spent = []
    for _ in range(times):
        started = time.perf_counter()
        student(thirds(window[None], mean))
        spent.append(1e6 * (time.perf_counter() - started))
    return min(spent)


def of_word(bench: Bench, student: Student, word: str, stream: Rows) -> Iterator[dict[str, Any]]:
    """Yield the misses of a word by people whom the student has not heard, at each rate of false accepts."""
    parts, played = set(word.split("-")), bench.played
    hidden = bench.holds(parts)
    hours = float((~hidden).sum()) * 0.08 / 3600
    rows = np.flatnonzero(played.words == word)
    pool = bench.contract.pool_frames
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(rows)
        order = order[np.argsort(np.isin(played.speakers[order], list(bench.unheard)), kind="stable")]
        _, first = np.unique(played.speakers[order], return_index=True)
        teach = order[np.sort(first)[:SHOTS]]
        is_other = np.isin(played.speakers[rows], list(bench.unheard - set(played.speakers[teach])))
        heard = rows[is_other]
        clean, noisy = (bench.answers(student, some[teach]) for some in (played.clean, played.noisy))
        own, shaken = (bench.latents(some[teach]) for some in (played.clean, played.noisy))
        means = {"clips": (own + bench.background.offset).mean(axis=0)}
        means["in noise"] = (means["clips"] + shaken.mean(axis=(0, 1))) / 2
        references = {"clips": clean.mean(axis=0), "in noise": of_length_1(clean + noisy.sum(axis=1)).mean(axis=0)}
        near = {
            level: np.lib.stride_tricks.sliding_window_view(some[heard], pool, axis=2).swapaxes(-1, -2)
            for level, some in played.heard.items()
        }
        at_peaks = {level: bench.scored(bench.latents(some).reshape(-1, own.shape[1])) for level, some in near.items()}
        near_answers = {level: bench.answers(student, some) for level, some in near.items()}
        for mean_of, mean in means.items():
            score = _score(bench.densities, mean)
            first_stage = score(bench.whitened, bench.rivals)
            of_played = {
                level: score(points, rival).reshape(near[level].shape[:3])
                for level, (rival, points) in at_peaks.items()
            }
            for reference_of, reference in references.items():
                r = of_length_1(reference[None])[0]
                for beta in BETAS if reference_of == "in noise" else (0, *BETAS):
                    both = np.where(hidden, -np.inf, first_stage + beta * (stream @ r)).astype(np.float32)
                    limits = [threshold_for(both, rate * hours) for rate in RATES]
                    asked = [float(np.mean(first_stage[~hidden] >= limit - beta)) for limit in limits]
                    for level in LEVELS_DB:
                        best = (of_played[level] + beta * (near_answers[level] @ r)).max(axis=2)
                        yield {
                            "word": word, "draw": draw, "snr_db": level, "mean": mean_of, "reference": reference_of,
                            "beta": beta, "hours": hours, "asked": asked,
                            "misses": [float(np.mean(best < one)) for one in limits],
                        }  # fmt: skip


def _score(densities: Densities, mean: Rows) -> Any:
    whitened_mean = densities.whiten(mean[None])
    spread = np.array([1 + 1 / SHOTS], np.float32)
    return lambda points, rival: log_density(points, whitened_mean, spread)[:, 0] - densities.half_determinant - rival


def measure(folder: Path, *, parts: int) -> dict[str, Any]:
    """A student of all windows and, for the curve, of fewer."""
    bench = Bench(folder, parts=parts)
    students, cases = [], []
    for count in sorted({1, parts}):
        some = bench.pupils[:count]
        pupil = Pupil(*(np.concatenate([getattr(one, name) for one in some]) for name in ("frames", "vectors", "said")))
        for half in range(len(HALVES)):
            found = measured(bench, pupil, half)
            students.append(next(found))
            print(students[-1], file=sys.stderr, flush=True)
            if count == parts:
                cases += list(found)
    return {"rates": list(RATES), "betas": list(BETAS), "students": students, "cases": cases}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kept", type=Path, required=True, help="folder where sound is kept")
    parser.add_argument("--parts", type=int, required=True, help=f"parts of {PART} windows")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args()
    chosen.json.write_text(json.dumps(measure(chosen.kept, parts=chosen.parts), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
