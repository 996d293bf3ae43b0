"""How novel a sample is for what is known, and from which novelty on its answer is "unknown".

A `Measure` gives novelties, 0 (typical of the class) to 1 (nothing of it), and a threshold for them that a store has
of itself: at most one in twenty samples of what is known, by people who did not teach it, is above.

`DistanceMeasure` compares the squared Mahalanobis distance of a sample to the mean of its class with the median that
kept samples have, each left out of its class. Other people are further away than those who taught, so that a class of n
samples allows `Allowance.limit` + `Allowance.few` / n times the median. On fsdd (spoken digits, a third of the six
speakers unseen) 5 % of known clips were above 3.3 to 4.0 with twenty clips a word, 7 to 11 with five by one speaker; of
texts of half of the intents of clinc150 above 2.5 to 2.7 with twenty texts an intent, 2.3 to 3.3 with five. The logit
over the typical logit of a class ranks less well, and does not refuse a still device where exercises are known, which
is far out in the direction of one of them.

For words `edgecl.spotting.familiarity` has another measure, by the background that ships.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgecl.metrics import median, quantile
from edgecl.model.exemplars import Exemplars
from edgecl.model.head import leave_one_out, squared_distances
from edgecl.model.model import Model, factor_of
from edgecl.values import dataclass

JUDGED_PER_CLASS = 48  # kept samples of a class that are left out in turn
KNOWN_SHARE = 0.95  # of what is known, that has to stay known
HIGHEST = 0.95  # an automatic threshold: what has nothing of its class is unknown always
EVEN = 0.5  # novelty at the limit


@dataclass(frozen=True)
class Allowance:
    """Squared distances, over the median of left-out samples, that are known yet."""

    limit: float
    few: float
    """Divided by the number of samples of the class, and added."""


PEOPLE = Allowance(4.0, 25.0)
TEXTS = Allowance(2.4, 4.0)


class Measure(Protocol):
    """Tells how novel answers are."""

    @property
    def threshold(self) -> float:
        """Novelty above which an answer is "unknown", where the store has no other."""

    def novelty(self, features: NDArray[np.float32], answers: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the novelty (n,) of features (n, d) for their classes (n,), as indices into the labels."""


class DistanceMeasure:
    """Measures by distances to the classes, in units of what left-out samples have; its threshold is at least EVEN.

    Parameters
    ----------
    model
        With its statistics and exemplars.
    allowance
        For what is known and did not teach.

    Attributes
    ----------
    left_out
        By class: the novelty of kept samples, each left out.
    """

    def __init__(self, model: Model, allowance: Allowance = PEOPLE) -> None:
        self._factor, self._model = factor_of(model), model
        self._limits = allowance.limit + allowance.few / self._factor.counts
        left_out = [self._left_out(own, label) for own, label in enumerate(self._factor.labels)]
        distances = np.concatenate(left_out)
        self._typical = median(distances) if len(distances) else 0.0
        self.left_out = [self._scaled(one, np.full(len(one), own)) for own, one in enumerate(left_out)]
        self.threshold = limited(EVEN, np.concatenate(self.left_out))

    def novelty(self, features: NDArray[np.float32], answers: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the novelty (n,) of features (n, d); 0 where single samples leave nothing to compare with."""
        squared = squared_distances(self._factor, features)
        return self._scaled(squared[np.arange(len(answers)), answers], answers)

    def _left_out(self, own: int, label: str) -> NDArray[np.float64]:
        """Return the squared distances of kept samples of a class to it, each left out."""
        kept: Exemplars | None = self._model.exemplars.get(label)
        if kept is None or self._factor.counts[own] < 2:
            return np.zeros(0)
        blocks = self._model.settings.features.blocks(kept.spread(JUDGED_PER_CLASS))
        return np.concatenate([np.zeros(0), *(leave_one_out(self._factor, rows, own=own).distance for rows in blocks)])

    def _scaled(self, squared: NDArray[np.float64], answers: NDArray[np.intp]) -> NDArray[np.float32]:
        if self._typical <= 0:
            return np.zeros(len(squared), np.float32)
        return scaled(squared / self._typical, typical=1.0, limit=self._limits[answers])


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
    reached = quantile(left_out, KNOWN_SHARE) if len(left_out) else 0.0
    return min(max(least, reached), HIGHEST)
