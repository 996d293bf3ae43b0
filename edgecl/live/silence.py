"""Silence: sound that is withheld from the extractor until there is something to hear.

A latent is made of the sound of one clip. Where no sample of it is above -60 dBFS it is no word, since such a clip
is not taught either, and its frames need not be computed: at rest a listener then does not run the extractor at all.
When sound comes, the frames that the next latents are made of are computed after all, from the sound that is still
held. They have the bits that they would have had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.sources.samples import SILENCE
from edgecl.spotting.reference import about

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor

LOOKED_AT = 8  # samples that are looked at one by one


class WithheldFrames:
    """Frames of a stream of sound, without those of silent clips.

    Attributes
    ----------
    completed
        Frames of the stream so far, with those that were withheld.
    is_silent
        Whether the sound that was pushed last ends a silent clip: its frame was withheld.
    """

    def __init__(self, extractor: FileExtractor) -> None:
        contract = extractor.contract
        self._extractor = extractor
        self._hop, self._window = contract.hop_samples, contract.window_samples
        self._clip, self._pool = contract.clip_samples, contract.pool_frames
        self._frames = extractor.stream()
        self._held = Recent(contract.clip_samples + 2 * contract.hop_samples, len(contract.channels))
        self._end = 0  # samples so far
        self._loud = 0  # of these up to the last one that is no silence
        self._is_behind = False  # the extractor has not seen the latest ones
        self._nothing = np.empty((0, contract.dimension), np.float32)
        self.completed = 0
        self.is_silent = False

    @property
    def room(self) -> int:
        """Samples until the next frame is complete, at most a hop; not more may be pushed at a time."""
        return self._hop - (self._end - self._window) % self._hop

    def push(self, signal: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the frames (n, D) that came before and were withheld and are needed now, and those of this signal."""
        before = self.completed
        earlier = self._end
        self._end += len(signal)
        after = _quiet_at_end(signal[:, 0])
        if after < len(signal):
            self._loud = self._end - after
        over = self._end - self._window
        self.completed = over // self._hop + 1 if over >= 0 else 0
        self.is_silent = self._loud <= self._end - self._clip
        missed = self._nothing if self.is_silent or not self._is_behind else self._caught_up(before, earlier)
        self._is_behind = self.is_silent
        self._hold(signal, after)
        return missed, self._nothing if self.is_silent else self._frames.push(signal)

    def _hold(self, signal: NDArray[np.float32], after: int) -> None:
        """Hold what is silence up to its end: no silent clip has what is before."""
        if after < len(signal):
            self._held.pass_by(len(signal) - after)
        if after:
            self._held.add(signal[-after:])

    def _caught_up(self, completed: int, end: int) -> NDArray[np.float32]:
        """Let the extractor see the sound that the next latent is made of, and return its frames so far."""
        self._frames = self._extractor.stream()
        start = max(completed - self._pool + 1, 0) * self._hop
        return self._frames.push(self._held.between(start, end))


def _quiet_at_end(signal: NDArray[np.float32]) -> int:
    """Return how many samples (n,) at the end are silence; NaN is not, and is refused by the extractor."""
    for after in range(min(LOOKED_AT, len(signal))):  # sound mostly ends in sound
        if not abs(signal.item(-1 - after)) < SILENCE:
            return after
    is_sound = ~(np.abs(signal[::-1]) < SILENCE)
    return int(is_sound.argmax()) if is_sound.any() else len(signal)


class Recent:
    """The latest samples of a signal, at least `capacity` of them; allocated once."""

    def __init__(self, capacity: int, channels: int) -> None:
        self._capacity = capacity
        self._held = np.zeros((2 * capacity, channels), np.float32)
        self.clear()

    def clear(self) -> None:
        """Start again."""
        self._length = 0  # that is held
        self._end = 0  # of the signal so far

    def add(self, signal: NDArray[np.float32]) -> None:
        """Take at most `capacity` samples (n, channels)."""
        if self._length + len(signal) > len(self._held):
            self._held[: self._capacity] = self._held[self._length - self._capacity : self._length]
            self._length = self._capacity
        self._held[self._length : self._length + len(signal)] = signal
        self._length += len(signal)
        self._end += len(signal)

    def pass_by(self, samples: int) -> None:
        """Count samples that are not held."""
        self._length = 0
        self._end += samples

    def about(self, middle: int) -> NDArray[np.float32]:
        """Return the window (24000,) of the first channel about a sample by its number: zeros where it is not held."""
        held = self._end - self._length  # the number of the first that is
        return about(self.between(held, self._end)[:, 0], middle - held)

    def between(self, start: int, end: int) -> NDArray[np.float32]:
        """Samples by their numbers since the beginning, as far as they are held: a view."""
        offset = self._length - self._end
        return self._held[max(start + offset, 0) : max(end + offset, 0)]
