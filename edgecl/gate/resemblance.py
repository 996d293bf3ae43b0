"""Resemblance: whether a new name is a class that is known.

It is asked by two distances, in the store's own units, and one logistic line, which was fitted on fsdd, spar_watch and
hapt_uci_har: every split, models of 20 clips a class and of all, 3 to 40 clips by one person or by several, classes
that the model has and classes that it never had.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from edgecl.gate.verdict import ASKED_ABOVE
from edgecl.metrics import median
from edgecl.model.head import debiased, squared_lengths
from edgecl.values import dataclass

MEANS_AT_ONCE = 32  # class means that are compared with all others at a time: bounds the workspace
ALONG, NEAR, GAP, BASE = 4.79, -1.33, 0.96, -4.44  # of the logistic line
NEAREST, FARTHEST = 0.02, 5.0  # squared distances over the typical one, outside which nothing more is said
NARROWEST = 0.05  # gap between classes
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
    at_once: int = MEANS_AT_ONCE

    @staticmethod
    def of(
        means: NDArray[np.floating],
        counts: NDArray[np.float64],
        *,
        typical: float,
        effective_dimension: float,
        at_once: int = MEANS_AT_ONCE,
    ) -> Scale:
        """Return the scale of a store whose classes have the whitened means (C, d) and counts (C,)."""
        gap = typical_gap(means, counts, typical=typical, at_once=at_once)
        return Scale(typical, gap, effective_dimension, at_once)

    @property
    def is_usable(self) -> bool:
        """Whether distances can be measured in it."""
        return math.isfinite(self.typical) and self.typical > 0


def typical_gap(
    means: NDArray[np.floating], counts: NDArray[np.float64], *, typical: float, at_once: int = MEANS_AT_ONCE
) -> float:
    """Return how far apart classes are: the median squared distance to the nearest other, less what chance gives.

    In units of `typical`, at least NARROWEST; NaN where there is only one class.
    """
    if len(means) < 2 or not typical > 0:
        return math.nan
    blocks = apart_from_others(means, counts, typical=typical, at_once=at_once)
    nearest = [block.min(axis=1) for block in blocks]
    return max(median(np.concatenate(nearest)), NARROWEST)


def apart_from_others(
    means: NDArray[np.floating], counts: NDArray[np.float64], *, typical: float, at_once: int = MEANS_AT_ONCE
) -> Iterator[NDArray[np.float64]]:
    """Yield squared distances (n, C) of means (C, d) to each other as `apart`, a block of them at a time.

    All at once would be C² numbers, four times: 32 MiB for a thousand classes. To itself each is infinitely far.
    """
    lengths = squared_lengths(means, at_once=at_once)
    for first in range(0, len(means), at_once):
        here = slice(first, first + at_once)
        block = lengths[here, None] + lengths - 2 * (means[here] @ means.T)
        block = block / typical - 1 / counts[here, None] - 1 / counts
        rows = np.arange(len(block))
        block[rows, first + rows] = np.inf
        yield block


def apart(
    mean: NDArray[np.floating], count: float, means: NDArray[np.floating], counts: NDArray[np.float64], scale: Scale
) -> NDArray[np.float64]:
    """Return squared distances (C,) of a mean (d,) of `count` samples to means (C, d): over `typical`, less chance."""
    squared = squared_lengths(means, mean, at_once=scale.at_once)
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
    level: float = ASKED_ABOVE,
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
    is_alone = math.isnan(scale.gap)  # one class: there is no gap between classes to measure by
    measure, starts = apart if is_alone else log_odds, range(scale.at_once, len(where), scale.at_once)
    odds = np.concatenate([measure(mean, count, means[part], counts[part], scale) for part in np.split(where, starts)])
    best = int(odds.argmin() if is_alone else odds.argmax())
    if is_alone:
        return Resemblance(labels[best], math.nan, bool(odds[best] < SAME_LESSON and level < math.inf))
    return Resemblance(labels[best], float(odds[best]), bool(odds[best] > level))
