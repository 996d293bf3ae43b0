"""Scorers: latents of a stream to scores per label."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgecl.model.head import probabilities

if TYPE_CHECKING:
    from edgecl.model.model import Model
    from edgecl.model.unknown import Measure
    from edgecl.spotting.window import Window

SOUND_SCORE = 0.5
MOVEMENT_SCORE = 0.3  # F1 of events on hapt_uci_har and spar_watch 0.86 and 0.80; at 0.5 0.83 and 0.78

UNKNOWN = 4.0  # taken off the scores of what is unknown: no threshold is that low

Frames: TypeAlias = "NDArray[np.floating] | None"
"""The extractor's frames of the latest hop, for a student; None where there are none."""


class Scores(NamedTuple):
    """The scores of n hops."""

    scores: NDArray[np.float32]
    """(n, C), in the order of the scorer's labels."""
    confidence: NDArray[np.float32]
    """(n,) of the answer, 0 to 1."""
    novelty: NDArray[np.float32]
    """(n,) 0: typical of its class, 1: nothing of it."""
    unknown: NDArray[np.bool_] | None = None
    """(n,) whether the hop is like nothing that was taught: its scores are below all thresholds. None: not measured."""
    asked: NDArray[np.bool_] | None = None
    """(n, C) whether a student's answer is in the score. None: there is no student."""


class Scorer(Protocol):
    """Scores each hop for each label."""

    labels: tuple[str, ...]
    thresholds: NDArray[np.float32]
    """(C,) score from which a hop counts for the label."""

    def __call__(self, latents: NDArray[np.float32], frames: Frames = None) -> Scores:
        """Return the scores of latents (n, D); frames (n, P, D) are what these are the means of, for a student."""

    def is_below(self, window: Window, thresholds: NDArray[np.float32]) -> bool:
        """Test quickly whether no score of a window can reach its threshold (C,); False leaves it open."""


class HeadScorer:
    """Scores a label by the head's probability times (1 - novelty); one threshold for all.

    A head always predicts a class. Of clips of speech_commands that taught nothing, 75 % of the words that were not
    taught are 0.5 novel or more, and 4 % of those that were. With a measure, hops that are unknown reach no threshold.

    Parameters
    ----------
    measure
        Of the novelty that is reported; by default that of the head, which also the scores are computed from.
    unknown_above
        Novelty by the measure above which a hop is unknown.
    """

    def __init__(
        self,
        model: Model,
        *,
        threshold: float = SOUND_SCORE,
        measure: Measure | None = None,
        unknown_above: float = 1.0,
    ) -> None:
        if model.head is None:
            raise ValueError("a model without classes cannot answer")
        self._head = model.head
        self._model = model
        self._measure, self._unknown_above = measure, unknown_above
        self.labels = model.head.labels
        self.thresholds = np.full(len(self.labels), threshold, np.float32)

    def at(self, threshold: float) -> Self:
        """Return the same scorer with another threshold."""
        from copy import copy  # a lesson has no use for it

        other = copy(self)
        other.thresholds = np.full(len(self.labels), threshold, np.float32)
        return other

    def confident(self, scores: Scores, latents: NDArray[np.float32]) -> Scores:
        """Return scores of the same scorer at another threshold, with the confidence that this one reports."""
        return scores

    def is_below(self, window: Window, thresholds: NDArray[np.float32]) -> bool:
        """Leave every hop open: the head is quick."""
        return False

    def __call__(self, latents: NDArray[np.float32], frames: Frames = None) -> Scores:
        features = self._model.features(latents)
        logits = self._head.logits(features)
        shares, novelty = probabilities(logits), self._head.novelty(logits)
        scores = shares * (1 - novelty)[:, None]
        unknown = None
        if self._measure is not None:
            novelty = self._measure.novelty(features, logits.argmax(axis=1))
            unknown = novelty > self._unknown_above
            scores = np.where(unknown[:, None], scores - np.float32(UNKNOWN), scores)
        return Scores(scores, shares.max(axis=1), novelty, unknown)
