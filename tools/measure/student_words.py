"""Words and background that a student of the second stage's network is compared on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.sounds import RATE_HZ, Clip, World, word_in_noise
from common.windows import windowed
from edgecl.extractors.base import FileExtractor
from edgecl.spotting.background import Background
from edgecl.spotting.densities import log_density
from edgecl.spotting.student import Net, clip_frames, thirds, units
from measure.listen_table import NEAR_HOPS, threshold_for
from measure.student_sound import keep

LEVELS_DB, TAKES, SEED = (20, 10), 2, 777
RATES = (1.0, 2.0, 5.0)
BLOCK = 1 << 13

Rows = NDArray[np.float32]
Choice = tuple[str, str, int]  # what the mean and the reference are of, and beta


class Played(NamedTuple):
    """Words, n of them."""

    words: NDArray[np.str_]
    speakers: NDArray[np.str_]
    clean: Rows
    """(n, 9, D) frames of the clips."""
    noisy: Rows
    """(n, V, 9, D) of their versions in noise."""
    heard: dict[int, Rows]
    """By level: frames (n, takes, hops + 8, D) about the middle."""


def played(file: Path, clips: Sequence[Clip], world: World, extractor: FileExtractor) -> Played:
    """Return clips, and how they sound in noise of a world; made once and kept."""
    if not file.exists():
        heard = {
            f"heard_{level}": [_heard(*one, world, extractor, level) for one in enumerate(clips)] for level in LEVELS_DB
        }
        own = np.array([clip_frames(one.signal[:, None], extractor) for one in clips], np.float16)
        keep(
            file, words=[one.word for one in clips], speakers=[one.speaker for one in clips],
            clean=own[:, 0], noisy=own[:, 1:],
            **{name: np.array(rows, np.float16) for name, rows in heard.items()},
        )  # fmt: skip
    with np.load(file) as kept:
        frames = {level: kept[f"heard_{level}"].astype(np.float32) for level in LEVELS_DB}
        clean, noisy = kept["clean"].astype(np.float32), kept["noisy"].astype(np.float32)
        return Played(kept["words"], kept["speakers"], clean, noisy, frames)


def _heard(index: int, clip: Clip, world: World, extractor: FileExtractor, level: int) -> list[Rows]:
    found, pool = [], extractor.contract.pool_frames
    for take in range(TAKES):
        rng = np.random.default_rng([SEED, level, index, take])
        frames = extractor.frames(word_in_noise(clip.signal, world, rng, snr_db=level, length=4 * RATE_HZ))
        middle = (len(frames) - pool + 1) // 2
        found.append(frames[middle - NEAR_HOPS : middle + NEAR_HOPS + pool - 1])
    return found


class Ground:
    """Minutes of background, in windows of frames, under the first stage.

    Parameters
    ----------
    frames
        (m, T + 8, D).
    placed
        The recorded words of each minute, with their first and last samples.
    """

    def __init__(
        self,
        frames: NDArray[np.float16],
        placed: list[list[tuple[str, int, int]]],
        background: Background,
        extractor: FileExtractor,
    ) -> None:
        self._extractor, self._contract, self._placed = extractor, extractor.contract, placed
        self.offset, self.densities = background.offset, background.densities()
        self.windows = self.windowed(frames)
        self.rivals, self.whitened = self.scored(self.latents(self.windows))

    def windowed(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return windows (..., T, 9, D) of frames (..., T + 8, D), as a view."""
        return windowed(frames, self._contract.pool_frames)

    def latents(self, windows: NDArray[np.floating]) -> Rows:
        """Return latents (..., D) of windows (..., 9, D)."""
        flat = np.ascontiguousarray(windows, np.float32).reshape(-1, *windows.shape[-2:])
        return self._extractor.pool(flat).reshape(*windows.shape[:-2], -1)

    def scored(self, latents: Rows) -> tuple[Rows, Rows]:
        """Return log densities (n,) of the background, and whitened rows (n, D), of latents (..., D)."""
        flat = latents.reshape(-1, latents.shape[-1])
        blocks = [self.densities(flat[first : first + BLOCK]) for first in range(0, len(flat), BLOCK)]
        rivals, whitened = zip(*blocks, strict=True)
        return np.concatenate(rivals), np.concatenate(whitened)

    def answers(self, student: Net, windows: NDArray[np.floating]) -> Rows:
        """Return e (..., K) of windows (..., 9, D)."""
        flat, mean = windows.reshape(-1, *windows.shape[-2:]), np.asarray(self._contract.mean, np.float32)
        found = [student(thirds(flat[first : first + BLOCK], mean)) for first in range(0, len(flat), BLOCK)]
        return np.concatenate(found).reshape(*windows.shape[:-2], -1)

    def holds(self, words: set[str]) -> NDArray[np.bool_]:
        """Return which hops (m * T,) have some of these words in their window."""
        mask = np.zeros(self.windows.shape[:2], bool)
        for minute, placed in enumerate(self._placed):
            for name, first, last in placed:
                if name in words:
                    begin = max((first - self._contract.clip_samples) // self._contract.hop_samples, 0)
                    mask[minute, begin : last // self._contract.hop_samples + 1] = True
        return mask.ravel()

    def word_score(self, mean: Rows, clips: int) -> Callable[[Rows, Rows], Rows]:
        """Return the first stage's score of a word of so many clips, of log densities (n,) and whitened rows (n, D)."""
        whitened, spread = self.densities.whiten(mean[None]), np.array([1 + 1 / clips], np.float32)
        half = self.densities.half_determinant
        return lambda rivals, rows: log_density(rows, whitened, spread)[:, 0] - half - rivals


def compared(
    ground: Ground,
    student: Net,
    of_ground: Rows,
    hidden: NDArray[np.bool_],
    words: Played,
    taught: NDArray[np.intp],
    heard: NDArray[np.intp],
    choices: Sequence[Choice],
) -> Iterator[dict[str, Any]]:
    """Yield the misses of a word, at each level and choice, at each rate of false accepts.

    Parameters
    ----------
    of_ground
        (n, K) answers to the hops of the ground.
    hidden
        (n,) hops that do not count.
    taught, heard
        Which of the words teach, and which are played.
    """
    hours = float((~hidden).sum()) * 0.08 / 3600
    clean, noisy = (ground.answers(student, some[taught]) for some in (words.clean, words.noisy))
    own, shaken = (ground.latents(some[taught]) for some in (words.clean, words.noisy))
    means = {"clips": (own + ground.offset).mean(axis=0)}
    means["in noise"] = (means["clips"] + shaken.mean(axis=(0, 1))) / 2
    references = {"clips": clean.mean(axis=0), "in noise": units(clean + noisy.sum(axis=1)).mean(axis=0)}
    near = {level: ground.windowed(frames[heard]) for level, frames in words.heard.items()}
    scored = {level: ground.scored(ground.latents(windows)) for level, windows in near.items()}
    answers = {level: ground.answers(student, windows) for level, windows in near.items()}
    for mean_of, reference_of, beta in choices:
        score, r = ground.word_score(means[mean_of], len(taught)), units(references[reference_of][None])[0]
        first_stage = score(ground.rivals, ground.whitened)
        both = np.where(hidden, -np.inf, first_stage + beta * (of_ground @ r)).astype(np.float32)
        limits = [threshold_for(both, rate * hours) for rate in RATES]
        asked = [float(np.mean(first_stage[~hidden] >= limit - beta)) for limit in limits]
        for level in LEVELS_DB:
            scores = score(*scored[level]).reshape(near[level].shape[:3]) + beta * (answers[level] @ r)
            best = scores.max(axis=2)
            yield {
                "snr_db": level, "mean": mean_of, "reference": reference_of, "beta": beta, "hours": hours,
                "asked": asked, "misses": [float(np.mean(best < limit)) for limit in limits],
            }  # fmt: skip


def hop_us(student: Net, window: Rows, mean: Rows, times: int = 300) -> float:
    """Return the microseconds of a window (9, D): the shortest of some."""
    spent = []
    for _ in range(times):
        started = time.perf_counter()
        student(thirds(window[None], mean))
        spent.append(1e6 * (time.perf_counter() - started))
    return min(spent)


def minutes(file: Path, world: Any, plan: dict[str, int], extractor: FileExtractor) -> tuple[NDArray[np.float16], Any]:
    """Return frames (m, T + 8, D) of minutes of a world that logs its words, and the words; made once and kept."""
    if not file.exists():
        frames, log = [], []
        for index, kind in enumerate(kind for kind, count in plan.items() for _ in range(count)):
            world.log.clear()
            frames.append(extractor.frames(world.chunk(kind, np.random.default_rng([SEED, index]))))
            log.append(list(world.log))
        keep(file, frames=np.array(frames, np.float16), log=json.dumps(log))
    with np.load(file) as kept:
        return kept["frames"], [[tuple(one) for one in log] for log in json.loads(str(kept["log"]))]
