"""Clips mixed into a stream: where, how loud, and the excerpts of the stream that are enough to hear them.

What a listener makes of a word depends on a few seconds before it alone. So the stream is not played once more for
every level: an excerpt about each place is, from a hop's beginning on, which gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.live.inputs.chunks import Piece
from edgecl.spotting.spotters import REFRACTORY_HOPS

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.sources.samples import Sample

LEAST_PLACES = 30  # at each level: a clip is mixed in several times where there are fewer
MOST_CLIPS = 100  # of a label that are held in memory
LOUD_MS, LOUDEST = 20, 0.1  # the level of a word is that of the loudest tenth of its pieces of 20 ms


@dataclass(frozen=True)
class Place:
    """Where a clip is mixed in."""

    label: str
    source: str
    """File of the clip."""
    signal: NDArray[np.float32]
    """(n, 1) at the extractor's rate."""
    first: int
    """Sample of the stream at which it begins."""

    @property
    def last(self) -> int:
        """The sample of the stream after it."""
        return self.first + len(self.signal)


def drawn(samples: Iterable[Sample], rng: np.random.Generator) -> list[Sample]:
    """Return at most MOST_CLIPS clips of each label, each as likely as any other; never more are held."""
    held: dict[str | None, list[Sample]] = {}
    seen: dict[str | None, int] = {}
    for one in samples:
        kept, count = held.setdefault(one.label, []), seen.get(one.label, 0) + 1
        seen[one.label] = count
        if len(kept) < MOST_CLIPS:
            kept.append(one)
        elif (at := int(rng.integers(count))) < MOST_CLIPS:
            kept[at] = one
    return [one for label in sorted(held, key=str) for one in held[label]]


def placed(clips: Sequence[Sample], length: int, rng: np.random.Generator) -> list[Place]:
    """Return where clips are mixed into a stream of so many samples, in order of time, LEAST_PLACES or more.

    Each is mixed in alone, so that places may overlap. A clip that is longer than the stream is left out.
    """
    times = math.ceil(LEAST_PLACES / max(len(clips), 1))
    fitting = [one for one in clips if len(one.signal) <= length]
    places = [
        Place(str(one.label), one.source, one.signal, int(rng.integers(length - len(one.signal) + 1)))
        for one in fitting
        for _ in range(times)
    ]
    return sorted(places, key=lambda one: one.first)


def excerpts(
    pieces: Iterable[Piece], places: Sequence[Place], contract: Contract
) -> Iterator[tuple[Place, int, NDArray[np.float32]]]:
    """Yield each place with the excerpt (n, 1) of the stream about it, and the sample at which that begins.

    Excerpts begin long enough before the clip that nothing earlier changes what is made of it, and end long enough
    after it. Memory holds what the places that are open need.
    """
    hop, window = contract.hop_samples, contract.window_samples + contract.clip_samples
    lead, tail = window + 2 * REFRACTORY_HOPS * hop, window + REFRACTORY_HOPS * hop
    blocks = (piece.signal for piece in pieces)
    held, start = np.zeros((0, 1), np.float32), 0
    for place in places:
        begin, end = max(place.first - lead, 0) // hop * hop, place.last + tail
        while start + len(held) < end and (block := next(blocks, None)) is not None:
            held, start = _from(begin, np.concatenate([held, block]), start)
        held, start = _from(begin, held, start)
        yield place, start, held[: end - start]


def _from(begin: int, held: NDArray[np.float32], start: int) -> tuple[NDArray[np.float32], int]:
    """Return sound that starts at a sample without what comes before another one, and where it starts then."""
    before = min(max(begin - start, 0), len(held))
    return held[before:], start + before


def mixed(place: Place, start: int, excerpt: NDArray[np.float32], *, gain: float) -> tuple[NDArray[np.float32], bool]:
    """Return an excerpt that begins at sample `start` with the clip of a place in it, and whether that is clipped."""
    sound = excerpt.copy()
    sound[place.first - start : place.last - start] += np.float32(gain) * place.signal
    return sound.clip(-1, 1), float(np.abs(sound).max(initial=0)) > 1


def gain_of(signal: NDArray[np.float32], contract: Contract, *, stream_rms: float, level_db: float) -> float:
    """Return by what a clip is multiplied to be so many decibels above the level of a stream."""
    return stream_rms * 10 ** (level_db / 20) / max(loudness(signal, contract), 1e-9)


def loudness(signal: NDArray[np.float32], contract: Contract) -> float:
    """Return the root mean square of the loudest tenth of a clip: of the word, not of the pauses about it."""
    length = round(LOUD_MS * contract.sample_rate_hz / 1000)
    pieces = signal[: max(len(signal) // length, 1) * length].reshape(-1, min(length, len(signal)))
    power = np.sort(np.square(pieces, dtype=np.float64).mean(axis=1))
    return float(np.sqrt(power[-max(round(LOUDEST * len(power)), 1) :].mean()))
