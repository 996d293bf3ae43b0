"""How novel a sample is for what is known, and from which novelty on its answer is "unknown".

A `Measure` gives novelties, 0 (typical of the class) to 1 (nothing of it), and a threshold for them that a store has
of itself: at most one in twenty samples of what is known, by people who did not teach it, is above. Samples that are
left out of their class show how novel that class's own teachers are; other people are further away. By how much was
measured on fsdd (spoken digits, a third of the six speakers unseen): the constants below.

=================  =======================================  ====================================================
measure            of                                       novelty
=================  =======================================  ====================================================
`HeadMeasure`      two classes or more                      1 - logit / the typical logit of the class
`DistanceMeasure`  one class                                by the squared Mahalanobis distance to its mean
=================  =======================================  ====================================================

For words `edgecl.spotting.familiarity` has another, by the background that ships.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgecl.model.closed_form import Factor, leave_one_out, squared_distances
from edgecl.model.model import Model, factor_of

JUDGED_PER_CLASS = 48  # kept samples of a class that are left out in turn
KNOWN_SHARE = 0.95  # of what is known, that has to stay known
HIGHEST = 0.95  # an automatic threshold: what has nothing of its class is unknown always
EVEN = 0.5  # threshold of a novelty that was scaled to it
# Limits of what other people's samples reach, with n clips a class: LIMIT + FEW / n.
LOGIT_LIMIT, LOGIT_FEW = 0.4, 1.0
DISTANCE_LIMIT, DISTANCE_FEW = 4.0, 25.0  # of the squared distance over its median


class Measure(Protocol):
    """Tells how novel answers are."""

    @property
    def threshold(self) -> float:
        """Novelty above which an answer is "unknown", where the store has no other."""

    def novelty(self, features: NDArray[np.float32], logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the novelty (n,) of features (n, d) for the class of their highest logit (n, C)."""


class HeadMeasure:
    """Measures by the head alone: how near a logit is to that of a typical sample of the class."""

    def __init__(self, model: Model) -> None:
        assert model.head is not None
        self._model, self._head = model, model.head

    @property
    def threshold(self) -> float:
        """What left-out samples reach, and at least what other people's do; 1, which nothing is above, of an LDA."""
        if not (self._head.typical > 0).all():
            return 1.0
        counts = [one.count for one in self._model.statistics.values()]
        least = LOGIT_LIMIT + LOGIT_FEW / float(np.median(counts))
        return limited(least, self._left_out(factor_of(self._model)))

    def novelty(self, features: NDArray[np.float32], logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the novelty (n,) of logits (n, C)."""
        return self._head.novelty(logits)

    def _left_out(self, factor: Factor) -> NDArray[np.float32]:
        """Return the novelty of kept samples, each left out."""
        found = [np.zeros(0, np.float32)]
        for own, label in enumerate(factor.labels):
            kept = self._model.exemplars.get(label)
            if kept is not None and factor.counts[own] > 1:
                blocks = self._model.settings.features.blocks(kept.spread(JUDGED_PER_CLASS))
                logits = [leave_one_out(factor, rows, own=own).logits for rows in blocks]
                found += [self._head.novelty(one.astype(np.float32)) for one in logits]
        return np.concatenate(found)


class DistanceMeasure:
    """Measures the only class by the scatter of its own samples."""

    def __init__(self, model: Model) -> None:
        self._factor = factor_of(model)
        (label,) = self._factor.labels
        count = float(self._factor.counts[0])
        kept = model.exemplars.get(label)
        blocks = model.settings.features.blocks(kept.spread(JUDGED_PER_CLASS)) if kept and count > 1 else ()
        parts = [leave_one_out(self._factor, rows, own=0).distance for rows in blocks]
        left_out = np.concatenate([np.zeros(0), *parts])
        self._typical = float(np.median(left_out)) if len(left_out) else 0.0
        self._limit = DISTANCE_LIMIT + DISTANCE_FEW / count
        self.threshold = limited(EVEN, self._scaled(left_out))

    def novelty(self, features: NDArray[np.float32], logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the novelty (n,) of features (n, d); 0 where a single sample leaves nothing to compare with."""
        return self._scaled(squared_distances(self._factor, features)[:, 0])

    def _scaled(self, squared: NDArray[np.float64]) -> NDArray[np.float32]:
        if self._typical <= 0:
            return np.zeros(len(squared), np.float32)
        return scaled(squared / self._typical, typical=1.0, limit=self._limit)


def measure_of(model: Model) -> Measure:
    """Return the measure of a model, which has its statistics and exemplars."""
    return DistanceMeasure(model) if len(model.labels) == 1 else HeadMeasure(model)


def scaled(values: NDArray[np.floating], *, typical: float, limit: NDArray[np.floating] | float) -> NDArray[np.float32]:
    """Return values as novelties: 0 up to the typical one, EVEN at the limit, towards 1 beyond.

    >>> scaled(np.array([0.5, 1.0, 3.0, 5.0]), typical=1.0, limit=3.0).tolist()
    [0.0, 0.0, 0.5, 0.75]
    """
    steps = np.maximum(values - typical, 0) / (limit - typical)
    novelty: NDArray[np.float32] = (1 - np.exp2(-steps)).astype(np.float32)
    return novelty


def limited(least: float, left_out: NDArray[np.float32]) -> float:
    """Return a threshold: at least `least`, and above KNOWN_SHARE of the left-out samples; HIGHEST at most."""
    reached = float(np.quantile(left_out, KNOWN_SHARE)) if len(left_out) else 0.0
    return min(max(least, reached), HIGHEST)
