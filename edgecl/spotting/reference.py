"""References: what a word sounds like to the network of the second stage, as a store keeps it.

With v the vector of a window, x̄ the mean vector of the factory's sound and P its principal directions, half whitened,

    e = unit(P (v - x̄))
    u = unit(mean of e over the versions of a clip in noise)
    r = unit(mean of u over the clips)

A store keeps the mean of u and the number of clips, so that clips add up from lesson to lesson. How alike the clips are
follows from both: the mean of n vectors of length 1 has the squared length (1 + (n - 1) c) / n, where c is the mean
cosine of two of them, and the cosine of one with the direction of all others is about c √(n - 1) / √(1 + (n - 2) c).
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.extractors.base import fit
from edgecl.model.exemplars import dequantise
from edgecl.store.arrays import unpack
from edgecl.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgecl.extractors.contract import Contract

    Hears = Callable[[NDArray[np.float32]], NDArray[np.float32]]

WINDOW_SAMPLES = 24_000  # 1.5 s at 16 kHz: what the network of the second stage is given at a time
# the versions of a clip: 1/f^slope of the noise, decibels of the word above it, decibels of its peak below full scale
VERSIONS = ((0.0, 15.0, 6.0), (1.0, 20.0, 14.0), (2.0, 8.0, 22.0))
PIECE = 320  # samples of 20 ms, of which the loudest tenth are the word
MOST_CLIPS = 1024  # that weigh: float16 holds the number exactly
ALONE = 0.5  # the cosine that is expected of a word of one clip


@dataclass(frozen=True)
class Reference:
    """What the clips of a word sound like together."""

    mean: NDArray[np.float32]
    """(K,)."""
    clips: int

    @staticmethod
    def of(vectors: Sequence[NDArray[np.float32]], before: Reference | None = None) -> Reference:
        """Return the reference of clips (n of (K,)), added to one of before."""
        total, count = np.sum(vectors, axis=0), len(vectors)
        if before is not None:
            total, count = total + before.mean * np.float32(before.clips), count + before.clips
        return Reference((total / np.float32(count)).astype(np.float32), min(count, MOST_CLIPS))

    @staticmethod
    def from_array(stored: NDArray[np.float16]) -> Reference:
        """Rebuild from the array of a store."""
        return Reference(stored[:-1].astype(np.float32), max(int(stored[-1]), 1))

    def array(self) -> NDArray[np.float16]:
        """Return what a store keeps: (K + 1,), the number of clips last."""
        return np.append(self.mean, np.float32(self.clips)).astype(np.float16)

    @property
    def direction(self) -> NDArray[np.float32]:
        """Return r (K,)."""
        return unit(self.mean)

    @property
    def left_out(self) -> float:
        """Return the cosine that is expected of one of its clips with the direction of all others."""
        if self.clips < 2:
            return ALONE
        between = (self.clips * float(self.mean @ self.mean) - 1) / (self.clips - 1)
        between = min(max(between, 0.0), 1.0)
        return between * math.sqrt((self.clips - 1) / (1 + (self.clips - 2) * between))


@dataclass(frozen=True)
class Directions:
    """The factory's sound to the network of the second stage."""

    mean: NDArray[np.float32]
    """(2048,) x̄."""
    matrix: NDArray[np.float32]
    """(2048, K) Pᵀ."""
    rows: NDArray[np.float32]
    """(n, K) of some rows of the background."""
    of: NDArray[np.intp]
    """(n,) which rows of the background these are."""
    share: float
    """Share of the background's hours that they are of."""

    def __call__(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return e (K,) of a vector (2048,)."""
        return unit((vector - self.mean) @ self.matrix)


@cache
def factory_directions() -> Directions:
    """Return what ships with the voice extractor."""
    arrays = unpack((Path(__file__).parents[1] / "data" / "verifier_voice.npz").read_bytes())
    return directions_of(arrays)


def directions_of(arrays: dict[str, NDArray[np.generic]]) -> Directions:
    """Rebuild what `tools/make_verifier` writes."""
    matrix = dequantise(np.asarray(arrays["directions"], np.int8), np.asarray(arrays["direction_scales"], np.float32))
    rows = dequantise(np.asarray(arrays["rows"], np.int8), np.asarray(arrays["row_scales"], np.float32))
    mean, of, share = np.asarray(arrays["mean"], np.float32), arrays["of"].astype(np.intp), float(arrays["share"][0])
    return Directions(mean, np.ascontiguousarray(matrix.T), rows, of, share)


def about(signal: NDArray[np.float32], middle: int) -> NDArray[np.float32]:
    """Return the window (24000,) about a sample of a signal (n,), with zeros beyond its ends."""
    first = middle - WINDOW_SAMPLES // 2
    window = np.zeros(WINDOW_SAMPLES, np.float32)
    part = signal[max(first, 0) : max(first + WINDOW_SAMPLES, 0)]
    window[max(-first, 0) :][: len(part)] = part
    return window


def clip_vector(signal: NDArray[np.float32], contract: Contract, hears: Hears) -> NDArray[np.float32]:
    """Return u (K,) of a clip (samples, 1): the mean of its versions in noise.

    Parameters
    ----------
    hears
        Returns e (K,) of a window (24000,).
    """
    clip = about(fit(signal, contract)[:, 0], contract.clip_samples // 2)
    return unit(np.mean([hears(one) for one in versions(clip)], axis=0))


def versions(clip: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return a clip (24000,) in the same noises every time, as loud as it may be heard."""
    return [version(clip, number) for number in range(len(VERSIONS))]


def version(clip: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    """Return one of `versions` of a clip (24000,)."""
    _, snr_db, peak_db = VERSIONS[number]
    pieces = np.sort(np.square(clip[: len(clip) // PIECE * PIECE].reshape(-1, PIECE)).mean(axis=1))
    loudness = np.sqrt(pieces[-len(pieces) // 10 :].mean())
    peak = max(float(np.abs(clip).max()), 1e-9)
    loud = np.float32(loudness * 10 ** (-snr_db / 20))
    return (clip + loud * _noise(number)) * np.float32(10 ** (-peak_db / 20) / peak)


@cache
def _noise(number: int) -> NDArray[np.float32]:
    """Return the noise (24000,) of a version, of unit power: flat below 50 Hz, 1/f^slope of the amplitude above."""
    slope, _, _ = VERSIONS[number]
    spectrum = np.fft.rfft(_normal(number, WINDOW_SAMPLES))
    if slope:  # of the flat one there is nothing to divide
        frequency = np.maximum(np.fft.rfftfreq(WINDOW_SAMPLES, 1 / 16_000), 50)
        spectrum /= frequency ** (slope / 2)
    noise = np.fft.irfft(spectrum, WINDOW_SAMPLES)
    scaled: NDArray[np.float32] = (noise / noise.std()).astype(np.float32)
    return scaled


def _normal(seed: int, count: int) -> NDArray[np.float32]:
    """Return normal numbers (count,), an even count: `numpy.random` would be loaded for nothing else in a lesson.

    Bits by SplitMix64 (Steele, Lea and Flood 2014) of a counter, pairs by Box and Muller 1958.
    """
    bits = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(seed << 32)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    even = ((bits ^ (bits >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2.0**53
    radius, angle = np.sqrt(-2 * np.log1p(-even[::2])), 2 * np.pi * even[1::2]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)]).astype(np.float32)


def unit(vector: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return a vector (K,) at length 1; one of nothing stays."""
    return (vector / max(float(np.linalg.norm(vector)), 1e-9)).astype(np.float32)
