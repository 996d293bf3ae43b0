"""The evidence that a candidate is judged by, and its kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Contradiction:
    """A label whose samples the old model takes, with confidence, for another class."""

    label: str
    answered_as: str
    samples: int
    of: int


@dataclass(frozen=True)
class Foreign:
    """A known label whose samples lie far outside what the model knows of it."""

    label: str
    distance: float  # median squared Mahalanobis distance over the usual one
    recall: float  # share that the old model answers as that label
    of: int


@dataclass(frozen=True)
class Evidence:
    """Which judged samples are answered right, by class.

    `before`, `after` and `among_old` hold, for each old class, the same samples; `taught` the lesson's own, left out
    one by one. `among_old` is `after` as if only old classes could be answered: what the lesson does to the old,
    without the samples that any new class of that sound would draw away.
    """

    before: Mapping[str, NDArray[np.bool_]]
    after: Mapping[str, NDArray[np.bool_]]
    among_old: Mapping[str, NDArray[np.bool_]]
    taught: Mapping[str, NDArray[np.bool_]]
    new_labels: frozenset[str]
    contradictions: Sequence[Contradiction] = ()
    foreign: Sequence[Foreign] = ()
    faults: Sequence[str] = ()  # a head that is not finite, a budget that is blown: rejected as they stand
