"""Ask whether what is called by a new name is a class that is known.

Two distances, measured in the store's own units, and one logistic line. It was fitted on fsdd, spar_watch and
hapt_uci_har: every split, models of 20 clips a class and of all, 3 to 40 clips by one person or by several, classes
that the model has and classes that it never had.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecl.model.closed_form import debiased

ALONG, NEAR, GAP, BASE = 4.79, -1.33, 0.96, -4.44  # of the logistic line
NEAREST, FARTHEST = 0.02, 5.0  # squared distances over the typical one, outside which nothing more is said
NARROWEST = 0.05  # gap between classes
LEVEL = 0.9  # log odds above which it is asked: 3 % of harmful lessons go live, 6 % of good ones are asked about
SAME_LESSON = 0.15  # squared distance over the typical one below which two names of a lesson are asked about
FEWEST = 2  # samples of a name that can be asked about
SMALLEST = 1e-12


@dataclass(frozen=True)
class Scale:
    """The units of a store in whitened space."""

    typical: float
    """Median squared distance of a kept sample to its own class, which it is left out of."""
    gap: float
    """Median over the classes of the squared distance to the nearest other, over `typical`; NaN of one class."""
    effective_dimension: float

    @staticmethod
    def of(
        means: NDArray[np.floating], counts: NDArray[np.float64], *, typical: float, effective_dimension: float
    ) -> Scale:
        """Return the scale of a store whose classes have the whitened means (C, d) and counts (C,)."""
        return Scale(typical, typical_gap(means, counts, typical=typical), effective_dimension)

    @property
    def is_usable(self) -> bool:
        """Whether distances can be measured in it."""
        return math.isfinite(self.typical) and self.typical > 0


def typical_gap(means: NDArray[np.floating], counts: NDArray[np.float64], *, typical: float) -> float:
    """Return how far apart classes are: the median squared distance to the nearest other, less what chance gives.

    In units of `typical`, at least NARROWEST; NaN where there is only one class.
    """
    if len(means) < 2 or not typical > 0:
        return math.nan
    lengths = np.square(means, dtype=np.float64).sum(axis=1)
    squared = lengths[:, None] + lengths - 2 * (means @ means.T)
    apart = squared / typical - 1 / counts[:, None] - 1 / counts
    np.fill_diagonal(apart, np.inf)
    return max(float(np.median(apart.min(axis=1))), NARROWEST)


def apart(
    mean: NDArray[np.floating], count: float, means: NDArray[np.floating], counts: NDArray[np.float64], scale: Scale
) -> NDArray[np.float64]:
    """Return squared distances (C,) of a mean (d,) of `count` samples to means (C, d): over `typical`, less chance."""
    squared = np.square(means - mean, dtype=np.float64).sum(axis=1)
    found: NDArray[np.float64] = squared / scale.typical - 1 / count - 1 / counts
    return found


def log_odds(
    mean: NDArray[np.floating],
    count: float,
    means: NDArray[np.floating],
    counts: NDArray[np.float64],
    scale: Scale,
) -> NDArray[np.float64]:
    """Return the log odds (C,) that samples are of each class.

    Parameters
    ----------
    mean, count
        Whitened mean (d,) of the samples and how many they are.
    means, counts
        Whitened means (C, d) of the classes about their origin, and their samples (C,).
    """
    squared = np.square(means, dtype=np.float64).sum(axis=1)
    length = np.maximum(debiased(squared, scale.effective_dimension / counts), SMALLEST)
    near = np.log(np.clip(apart(mean, count, means, counts, scale), NEAREST, FARTHEST))
    found: NDArray[np.float64] = BASE + ALONG * (means @ mean) / length + NEAR * near + GAP * math.log(scale.gap)
    return found


@dataclass(frozen=True)
class Resemblance:
    """The class that a new name is most like."""

    like: str
    odds: float
    """Log odds that it is the same; NaN where the two were compared by their distance alone."""
    is_close: bool
    """Whether it is close enough to be asked about."""


def resemblance(
    mean: NDArray[np.floating],
    count: float,
    known: Mapping[str, int],
    means: NDArray[np.floating],
    counts: NDArray[np.float64],
    scale: Scale,
    *,
    level: float = LEVEL,
) -> Resemblance | None:
    """Return the known class that a new name is most like; None where nothing can be compared.

    Parameters
    ----------
    mean, count
        Whitened mean (d,) of the samples of the name, and how many they are.
    known
        Labels and where each is in `means` (C, d) and `counts` (C,).
    level
        Log odds above which it is asked about.
    """
    if count < FEWEST or not known or not scale.is_usable:
        return None
    labels, where = list(known), np.array(list(known.values()))
    if math.isnan(scale.gap):  # one class: there is no gap between classes to measure by
        near = apart(mean, count, means[where], counts[where], scale)
        best = int(near.argmin())
        return Resemblance(labels[best], math.nan, bool(near[best] < SAME_LESSON and level < math.inf))
    odds = log_odds(mean, count, means[where], counts[where], scale)
    best = int(odds.argmax())
    return Resemblance(labels[best], float(odds[best]), bool(odds[best] > level))


def same_lesson(means: NDArray[np.floating], counts: NDArray[np.float64], scale: Scale) -> NDArray[np.bool_]:
    """Return which names of a lesson, with whitened means (K, d) of so many samples (K,), are as good as one: (K, K).

    They are said by the same people, so there is no shift to allow for.
    """
    near = np.zeros((len(means), len(means)), bool)
    if not scale.is_usable:
        return near
    for index, (mean, count) in enumerate(zip(means, counts, strict=True)):
        near[index] = apart(mean, count, means, counts, scale) < SAME_LESSON
    enough = counts >= FEWEST
    near &= enough[:, None] & enough
    np.fill_diagonal(near, False)
    return near
