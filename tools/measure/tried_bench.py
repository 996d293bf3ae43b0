"""Minutes of FACTORY, and the scores of words that some of its people teach: what tools/tried_table tries things on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.sounds import COMMANDS, RATE_HZ, Clip, Logged, resampled, say, to_peak, word_in_noise, worlds
from common.splits import data_root
from edgecl.extractors.base import FileExtractor, fit
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.spotting.background import VOICE_SOURCE, factory_background
from edgecl.spotting.densities import inverse_factor, log_density
from measure.listen_table import in_blocks
from measure.people import without_word

SHARES = {"noise": 3, "babble": 2, "words": 6, "speech": 7}  # of 18
SHOTS, SNR_DB, SEED = 5, 20, 31
NEAR, WARPED = 9, 13
FORGETS, QUIET, PAST = 0.02, 2.0, 60  # of the room's mean; power above the least of so many frames

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Sound:
    """Frames (n, D) of a stretch of sound, and the mean of the room's frames up to each."""

    frames: Array
    room: Array

    def hops(self, pool: Callable[[Array], Array], *, share: float = 0.0, noise: Array | None = None) -> Array:
        """Return latents (hops, D), less a share of what the room's frames differ from the noise by."""
        frames = self.frames if noise is None else self.frames - np.float32(share) * (self.room - noise)
        windows = np.lib.stride_tricks.sliding_window_view(frames, 9, axis=0)
        return pool(windows.transpose(0, 2, 1))


class Bench:
    """Minutes of background, and what is taught and played."""

    def __init__(self, *, minutes: int, draws: int, heard: int) -> None:
        self._draws, self._heard = draws, heard
        extractor = open_extractor(builtin_extractor("voice"))
        assert isinstance(extractor, FileExtractor)
        background = factory_background(source=VOICE_SOURCE, dimension=extractor.contract.dimension)
        assert background is not None
        self.extractor, self.background = extractor, background
        world = worlds(data_root())[0]
        free = [one for one in world.sentences if not set(one.split()) & set(COMMANDS)]
        self.world = Logged(world.voices, free, world.clips, world.noises)
        self.noise_frame = self._noise_frame()
        self.stream, self.log = [], []
        for kind, share in SHARES.items():
            for index in range(round(minutes * share / sum(SHARES.values()))):
                self.world.log.clear()
                self.stream.append(self.sound(self.world.chunk(kind, np.random.default_rng([SEED, len(kind), index]))))
                self.log.append(list(self.world.log))
        self.length = len(self.stream[0].frames) - 8
        self.hours = len(self.stream) * self.length * 0.08 / 3600
        self._latents: dict[float, NDArray[np.float16]] = {}
        self._played: dict[tuple[Any, ...], Sound] = {}
        self.whiten_frames = inverse_factor(self._frame_covariance()).T

    def latents(self, share: float = 0.0) -> NDArray[np.float16]:
        """Return those of the stream (hops, D), less a share of the room's mean."""
        if share not in self._latents:
            hops = [one.hops(self.pool, share=share, noise=self.noise_frame) for one in self.stream]
            self._latents[share] = np.concatenate(hops).astype(np.float16)
        return self._latents[share]

    def sound(self, signal: Array) -> Sound:
        """Return the frames of a signal, and the running mean of those in which nobody speaks."""
        frames, contract = self.extractor.frames(signal[:, None]), self.extractor.contract
        hop = contract.hop_samples
        power = np.square(signal[: len(signal) // hop * hop].reshape(-1, hop)).mean(axis=1)
        reach = contract.window_samples // hop + 1
        loudest = np.array([power[at : at + reach].max() for at in range(len(frames))])
        room, mean = np.empty_like(frames), self.noise_frame.copy()
        for at, frame in enumerate(frames):
            if loudest[at] <= QUIET * loudest[max(at - PAST, 0) : at + 1].min():
                mean += np.float32(FORGETS) * (frame - mean)
            room[at] = mean
        return Sound(frames, room)

    def taught(self, clip: Clip, speed: float = 1.0) -> tuple[Array, Array]:
        """Return the latent (D,) and the frames (9, D) of a clip as it is taught."""
        signal = clip.signal if speed == 1 else resampled(clip.signal, RATE_HZ * speed, RATE_HZ)
        frames = self.extractor.frames(fit(signal[:, None], self.extractor.contract))
        return self.extractor.pool(frames[None])[0], frames

    def played(self, clip: Clip, seed: tuple[int, ...], *, in_speech: bool = False) -> Sound:
        """Return a clip after five seconds of its room, or in the middle of another voice's sentences."""
        key = (clip.word, clip.speaker, *seed, in_speech)
        if key not in self._played:
            rng = np.random.default_rng([SEED, *seed])
            signal = self._in_speech(clip.signal, rng) if in_speech else clip.signal
            sound = word_in_noise(signal, self.world, rng, snr_db=SNR_DB, length=10 * RATE_HZ)
            self._played[key] = self.sound(sound)
        return self._played[key]

    def _in_speech(self, signal: Array, rng: np.random.Generator) -> Array:
        """Return a clip between two seconds of a voice before and after it, without a pause."""
        voice, level = f"en-us+{rng.choice(self.world.voices)}", np.float32(0.7)
        before, after = (say(voice, " ".join(rng.choice(self.world.sentences, 2)), rng) for _ in range(2))
        two = 2 * RATE_HZ
        before = np.pad(level * before[-two:], (max(two - len(before), 0), 0))
        after = np.pad(level * after[:two], (0, max(two - len(after), 0)))
        return np.concatenate([before, to_peak(spoken(signal)), after])

    def holds(self, word: str) -> NDArray[np.bool_]:
        """Return which hops of the stream have some of a recorded word in their window."""
        contract, mask = self.extractor.contract, np.zeros((len(self.stream), self.length), bool)
        for minute, placed in enumerate(self.log):
            for name, first, last in placed:
                if name == word:
                    begin = max((first - contract.clip_samples) // contract.hop_samples, 0)
                    mask[minute, begin : last // contract.hop_samples + 1] = True
        return mask.ravel()

    def plans(self, clips: Sequence[Clip]) -> Iterator[tuple[list[Clip], list[Clip]]]:
        """Yield clips that teach, by as many people, and clips of others."""
        for draw in range(self._draws):
            order = np.random.default_rng([SEED, draw]).permutation(len(clips))
            by_speaker: dict[str, list[Clip]] = {}
            for at in order:
                by_speaker.setdefault(clips[at].speaker, []).append(clips[at])
            people = list(by_speaker)
            teaching = [by_speaker[one][0] for one in people[:SHOTS]]
            yield teaching, [one for who in people[SHOTS:] for one in by_speaker[who]][: self._heard]

    def pool(self, windows: Array) -> Array:
        """Return latents (n, D) of frames (n, 9, D)."""
        return self.extractor.pool(windows)

    def _noise_frame(self) -> Array:
        minute = self.world.chunk("noise", np.random.default_rng([SEED, 1]))
        mean: Array = self.extractor.frames(minute[:, None]).mean(axis=0)
        return mean

    def _frame_covariance(self) -> Array:
        """Return the covariance (D, D) of frames about the mean of their word and place, a tenth of it shrunk."""
        apart = []
        for word in COMMANDS:
            frames = np.array([self.taught(one)[1] for one in self.world.clips if one.word == word][:20])
            apart.append((frames - frames.mean(axis=0)).reshape(-1, frames.shape[-1]))
        covariance = np.cov(np.concatenate(apart).T)
        scale = 0.1 * np.trace(covariance) / len(covariance)
        shrunk: Array = (0.9 * covariance + scale * np.eye(len(covariance))).astype(np.float32)
        return shrunk


def spoken(signal: Array) -> Array:
    """Return a clip without what is 30 dB below its loudest 20 ms at its ends."""
    pieces = np.square(signal[: len(signal) // 320 * 320].reshape(-1, 320)).mean(axis=1)
    loud = np.flatnonzero(pieces > 1e-3 * pieces.max())
    return signal[320 * loud[0] : 320 * (loud[-1] + 1)]


def spliced(clips: Sequence[Clip], words: Sequence[str]) -> list[Clip]:
    """Return one clip a speaker of words one after the other, of those who say them all."""
    said: dict[str, dict[str, Clip]] = {}
    for one in clips:
        said.setdefault(one.speaker, {}).setdefault(one.word, one)
    pause = np.zeros(RATE_HZ // 20, np.float32)
    found = []
    for speaker, own in sorted(said.items()):
        if set(words) <= set(own):
            parts = [part for word in words for part in (to_peak(spoken(own[word].signal)), pause)]
            found.append(Clip(" ".join(words), speaker, np.concatenate(parts)))
    return found


class Word:
    """The score of one word: of the stream, and of what is played."""

    def __init__(self, bench: Bench, teaching: Sequence[Clip], *, speeds: Sequence[float] = (1.0,)) -> None:
        self._bench = bench
        latents = np.array([bench.taught(one, speed)[0] for one in teaching for speed in speeds])
        self.frames = [bench.taught(one)[1] for one in teaching]
        background = without_word(bench.background, latents)
        self._densities, self._spread = background.densities(), np.array([1 + 1 / len(teaching)], np.float32)
        self._mean = self._densities.whiten((latents + background.offset).mean(axis=0, keepdims=True))
        self.mask = bench.holds(teaching[0].word)
        self.hours = bench.hours * float(np.mean(~self.mask))

    def of(self, latents: Array) -> Array:
        """Return scores (n,)."""
        background, whitened = self._densities(latents)
        own = log_density(whitened, self._mean, self._spread)[:, 0] - np.float32(self._densities.half_determinant)
        scores: Array = own - background
        return scores

    def stream(self, *, share: float = 0.0) -> Array:
        """Return the scores of the stream (hops,)."""
        scores = in_blocks(self.of, self._bench.latents(share))
        scores[self.mask] = -np.inf
        return scores

    def played(self, sound: Sound, *, share: float = 0.0) -> Array:
        """Return the scores of the hops near the middle."""
        hops = sound.hops(self._bench.pool, share=share, noise=self._bench.noise_frame if share else None)
        middle = len(hops) // 2
        return self.of(hops[middle - NEAR : middle + NEAR])

    def aligned(self, sound: Sound, hops: NDArray[np.intp]) -> Array:
        """Return the mean distance to the taught clips of the frames about each hop, aligned freely within them."""
        away = (WARPED - 9) // 2
        at = np.clip(hops[:, None] - away + np.arange(WARPED), 0, len(sound.frames) - 1)
        windows = sound.frames[at] @ self._bench.whiten_frames
        references = [one @ self._bench.whiten_frames for one in self.frames]
        distances: Array = np.mean([within(windows, one) for one in references], axis=0).astype(np.float32)
        return distances


def within(windows: Array, reference: Array) -> Array:
    """Return the cheapest alignment (n,) of a whole reference (M, D) with a part of windows (n, T, D)."""
    costs = np.square(windows[:, :, None] - reference).sum(axis=-1)  # (n, T, M)
    total = costs[:, :, 0]
    for column in range(1, costs.shape[2]):
        now = np.empty_like(total)
        now[:, 0] = total[:, 0] + costs[:, 0, column]
        for row in range(1, costs.shape[1]):
            before = np.minimum(np.minimum(total[:, row - 1], total[:, row]), now[:, row - 1])
            now[:, row] = before + costs[:, row, column]
        total = now
    best: Array = total.min(axis=1)
    return best
