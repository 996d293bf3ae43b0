"""How novel a clip is for a word, by the background that ships: a store of one word can tell it from all others.

With d² the squared distance of a clip to the mean of its word under Σ, the covariance of words of many speakers, n the
number of clips of the word, and b what the background gives it,

    score = (ln b(x) - ln N(x; m, (1 + 1/n) Σ)) / D + WEIGHT d² / ((1 + 1/n) D)

The first term compares a clip with all other sound; the second refuses what is like neither. It is mixed with the
novelty by distances of `edgecl.model.unknown`, which knows how the store's own clips differ: together they rank better
than either. With one to fifteen words and a third of the speakers unseen 5 % of the known clips were above 0.37 to 0.48
of the mixture on fsdd, above 0.1 to 0.3 on speech_commands. With `KnownScorer` no unknown hop of a stream counts.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from edgecl.model.model import Model
from edgecl.model.unknown import EVEN, JUDGED_PER_CLASS, DistanceMeasure, Measure, limited, scaled
from edgecl.spotting.background import Background, BackgroundScorer
from edgecl.spotting.scorers import UNKNOWN, Frames, Scores

if TYPE_CHECKING:
    from edgecl.spotting.window import Window

WEIGHT = 0.3  # 0 to 1 tried
TYPICAL = 0.3
LIMIT, FEW = 1.3, 2.0  # the limit is LIMIT + FEW / n
SHARE = 0.7  # of the background in the mixture
MIXED_LIMIT, MIXED_FEW = 0.445, 0.25  # the limit of the mixture, likewise


class BackgroundMeasure:
    """Measures words against the background; its threshold is EVEN, or what left-out clips reach.

    Parameters
    ----------
    model
        With its statistics and exemplars.
    """

    def __init__(self, model: Model, background: Background) -> None:
        assert model.head is not None
        features, labels = model.settings.features, model.head.labels
        self._width = features.row_dimension
        self._distance = DistanceMeasure(model)
        background = background.projected(features)
        self._densities, self._offset = background.densities(), background.offset
        self._counts = np.array([model.statistics[label].count for label in labels], np.float32)
        self._limits = MIXED_LIMIT + MIXED_FEW / self._counts
        means = np.array([model.statistics[label].mean[-self._width :] for label in labels], np.float32)
        self._words = self._densities.whiten(means + self._offset)
        kept = [self._kept(model, label) for label in labels]
        both = zip(self._distance.left_out, enumerate(kept), strict=True)
        left_out = [_mixed(one, self._left_out(own, rows), self._limits[own]) for one, (own, rows) in both]
        self.threshold = limited(EVEN, np.concatenate(left_out))

    def novelty(self, features: NDArray[np.float32], answers: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the novelty (n,) of features (n, d) for their words (n,), as indices into the labels."""
        by_background = self._novelty(features[:, -self._width :], answers)
        return _mixed(self._distance.novelty(features, answers), by_background, self._limits[answers])

    def _kept(self, model: Model, label: str) -> NDArray[np.float32]:
        """Return kept clips of a word (n, D); none where they were damaged."""
        nothing = np.zeros((0, self._width), np.float32)
        kept = model.exemplars.get(label)
        return nothing if kept is None else next(kept.spread(JUDGED_PER_CLASS).blocks(1 << 30), nothing)

    def _left_out(self, own: int, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the novelty of clips of a word, each by the mean of all others."""
        if self._counts[own] < 2 or not len(rows):
            return np.zeros(0, np.float32)
        return self._novelty(rows, np.full(len(rows), own), left_out=1)

    def _novelty(
        self, rows: NDArray[np.float32], answers: NDArray[np.intp], *, left_out: int = 0
    ) -> NDArray[np.float32]:
        rest = self._counts[answers] - left_out
        background, whitened = self._densities(rows + self._offset)
        background = np.maximum(background, self._densities(rows)[0])  # noise fills a clip: it has no zeros around it
        away = np.square(whitened - self._words[answers]).sum(axis=1) * np.square(self._counts[answers] / rest)
        spread, dimension = 1 + 1 / rest, rows.shape[1]
        own = -(away / spread + dimension * np.log(spread)) / 2 - self._densities.half_determinant
        score = (background - own + WEIGHT * away / spread) / dimension
        return scaled(score, typical=TYPICAL, limit=LIMIT + FEW / rest)


class KnownScorer:
    """Scores as another scorer does, but for hops whose label is unknown by a measure: these reach no threshold.

    Only hops that would count are measured, which are few; where every hop is to count, none is.

    Parameters
    ----------
    scorer
        Whose labels are those of the model.
    measure
        Of the novelty of a hop for its label.
    unknown_above
        Novelty above which it is unknown.
    """

    def __init__(self, scorer: BackgroundScorer, model: Model, *, measure: Measure, unknown_above: float) -> None:
        self.all_known, self._features = scorer, model.features
        """The same scorer, to which nothing is unknown."""
        self._measure, self._unknown_above = measure, unknown_above
        self.labels, self.thresholds = scorer.labels, scorer.thresholds

    def is_below(self, window: Window, thresholds: NDArray[np.float32]) -> bool:
        """Test as the other scorer does."""
        return self.all_known.is_below(window, thresholds)

    def at(self, threshold: float) -> Self:
        """Return the same scorer with another threshold."""
        other = copy(self)
        other.all_known = self.all_known.at(threshold)
        other.thresholds = other.all_known.thresholds
        return other

    def confident(self, scores: Scores, latents: NDArray[np.float32]) -> Scores:
        """Return scores of `all_known` for latents (n, D), as this one gives them."""
        return self._told(self.all_known.confident(scores, latents), latents)

    def __call__(self, latents: NDArray[np.float32], frames: Frames = None) -> Scores:
        """Return the scores of latents (n, D) and their frames (n, P, D)."""
        return self._told(self.all_known(latents, frames), latents)

    def _told(self, found: Scores, latents: NDArray[np.float32]) -> Scores:
        margins = found.scores - self.thresholds
        answers, unknown = margins.argmax(axis=1), np.zeros(len(latents), bool)
        counts = np.flatnonzero((margins.max(axis=1) >= 0) & np.isfinite(self.thresholds[answers]))
        if not len(counts):
            return found
        novelty = self._measure.novelty(self._features(latents[counts]), answers[counts])
        unknown[counts] = novelty > self._unknown_above
        below = np.minimum(found.scores, self.thresholds - np.float32(UNKNOWN))
        return found._replace(scores=np.where(unknown[:, None], below, found.scores), unknown=unknown)


def _mixed(
    by_distance: NDArray[np.float32], by_background: NDArray[np.float32], limit: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return both novelties as one, EVEN at the limit."""
    known = (1 - SHARE) * (1 - by_distance) + SHARE * (1 - by_background)
    mixed: NDArray[np.float32] = 1 - np.maximum(known, 0) ** (np.log(EVEN) / np.log(1 - limit))
    return mixed.astype(np.float32)
