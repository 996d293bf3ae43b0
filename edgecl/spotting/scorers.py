"""Scorers: latents of a stream to scores per label."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecl.model.head import probabilities
from edgecl.model.model import Model

SOUND_SCORE = 0.5
MOVEMENT_SCORE = 0.3  # F1 of events on hapt_uci_har and spar_watch 0.86 and 0.80; at 0.5 0.83 and 0.78


class Scores(NamedTuple):
    """The scores of n hops."""

    scores: NDArray[np.float32]
    """(n, C), in the order of the scorer's labels."""
    confidence: NDArray[np.float32]
    """(n,) of the answer, 0 to 1."""
    novelty: NDArray[np.float32]
    """(n,) 0: typical of its class, 1: nothing of it."""


class Scorer(Protocol):
    """Scores each hop for each label."""

    labels: tuple[str, ...]
    thresholds: NDArray[np.float32]
    """(C,) score from which a hop counts for the label."""

    def __call__(self, latents: NDArray[np.float32]) -> Scores:
        """Return the scores of latents (n, D)."""


class HeadScorer:
    """Scores a label by the head's probability times (1 - novelty); one threshold for all.

    A head always predicts a class. Of clips of speech_commands that taught nothing, 75 % of the words that were not
    taught are 0.5 novel or more, and 4 % of those that were.
    """

    def __init__(self, model: Model, *, threshold: float = SOUND_SCORE) -> None:
        if model.head is None:
            raise ValueError("a model without classes cannot answer")
        self._head = model.head
        self._model = model
        self.labels = model.head.labels
        self.thresholds = np.full(len(self.labels), threshold, np.float32)

    def __call__(self, latents: NDArray[np.float32]) -> Scores:
        logits = self._head.logits(self._model.features(latents))
        shares, novelty = probabilities(logits), self._head.novelty(logits)
        return Scores(shares * (1 - novelty)[:, None], shares.max(axis=1), novelty)
