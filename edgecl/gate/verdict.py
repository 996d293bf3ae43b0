"""The values of the gate: evidence, policy and verdict, and the statistical bounds that it uses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# normal quantiles, in standard errors
ONE_SIDED_80, ONE_SIDED_90, ONE_SIDED_95, ONE_SIDED_99 = 0.842, 1.282, 1.645, 2.326
ANGLES = (np.arange(1000) + 0.5) * np.pi / 2000  # rate = sin² of these: the Jeffreys prior is flat over angles


def posterior_above(successes: float, failures: float, threshold: float) -> float:
    """Return P(rate > threshold) for a rate with a Beta(successes + ½, failures + ½) posterior (Jeffreys prior)."""
    log_density = 2 * (successes * np.log(np.sin(ANGLES)) + failures * np.log(np.cos(ANGLES)))
    density = np.exp(log_density - log_density.max())
    return float(density[np.sin(ANGLES) ** 2 > threshold].sum() / density.sum())


def paired_bound(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> float:
    """Return the lower one-sided 95 % bound of the gain in accuracy from `before` to `after` on the same rows (n,)."""
    change = after.astype(np.float64) - before
    rate = (np.abs(change).sum() + 1) / (len(change) + 2)  # answers that differ, smoothed
    return float(change.mean() - ONE_SIDED_95 * math.sqrt(max(float(change.var()), rate) / len(change)))


@dataclass(frozen=True)
class Contradiction:
    """A known label whose samples the old model predicts, with confidence, as another class."""

    label: str
    answered_as: str
    samples: int
    of: int


@dataclass(frozen=True)
class LookAlike:
    """A new label whose samples cannot be distinguished from an old class."""

    label: str
    answered_as: str
    samples: int
    of: int


@dataclass(frozen=True)
class Foreign:
    """A known label whose samples are far from what the model knows of it."""

    label: str
    distance: float
    """Median squared Mahalanobis distance, relative to that of the class's own samples."""
    recall: float
    """Share that the old model predicts as that label."""
    of: int


@dataclass(frozen=True)
class Evidence:
    """Which judged samples are predicted right, by class.

    `before`, `after` and `among_old` contain, for each old class, the same samples; `taught` the lesson's own, left out
    one by one. `among_old` is `after` as if only old classes could be predicted: what the lesson does to the old,
    without the samples that any similar new class would attract.
    """

    before: Mapping[str, NDArray[np.bool_]]
    after: Mapping[str, NDArray[np.bool_]]
    among_old: Mapping[str, NDArray[np.bool_]]
    taught: Mapping[str, NDArray[np.bool_]]
    new_labels: frozenset[str]
    contradictions: Sequence[Contradiction] = ()
    look_alikes: Sequence[LookAlike] = ()
    foreign: Sequence[Foreign] = ()
    faults: Sequence[str] = ()
    """A head that is not finite or a budget that is exceeded: always rejected."""


@dataclass(frozen=True)
class Policy:
    """What the gate lets through; shares, 0 to 1.

    Examples
    --------
    >>> Policy(allowed_pooled_loss=0.01).certainty
    0.95
    """

    allowed_pooled_loss: float = 0.02
    """Allowed loss of balanced accuracy over the old classes, by the 95 % bound."""
    pooled_certainty: float = 0.8
    """Certainty of a larger loss of the old classes together from which a candidate is rejected."""
    allowed_class_loss: float = 0.05
    """Allowed loss of one old class."""
    allowed_class_confusion: float = 0.3
    """Allowed loss of one old class to new classes: words that sound alike."""
    allowed_pooled_confusion: float = 0.1
    """Allowed loss of the old classes together to new classes."""
    certainty: float = 0.95
    """Certainty of a loss of any class (Bonferroni over the classes) or of contradictions, to reject."""
    new_class_floor: float = 0.5
    """Leave-one-out accuracy of what the lesson teaches."""
    weak_share: float = 0.1
    """Share of the new classes that may be below the floor, and are reported: one of ten may."""
    contradiction_share: float = 0.2
    """Share of known labels' samples that the old model probably knows as another class."""
    contradiction_samples: int = 3
    """Fewer samples than this contradict nothing."""
    look_alike_share: float = 0.5
    """Share of a new label's samples that the old model predicts as one class."""
    told_apart: float = ONE_SIDED_90
    """Standard errors by which the two classes must then do better than one class under two names."""
    foreign_distance: float = 2.0
    """Relative distance of samples to the class of their label from which they are foreign, if their recall is low."""
    foreign_recall: float = 0.3
    """Recall up to which such samples are foreign."""
    noise_distance: float = 8.0
    """Relative distance from which samples are noise, with any recall."""


@dataclass(frozen=True)
class ClassVerdict:
    """What was measured of one class; shares are 0 to 1, None where nothing could be measured."""

    samples: int
    before: float | None
    after: float | None
    is_new: bool
    loss_probability: float
    """Probability that it lost more among the old classes than the policy allows."""
    confusion_probability: float
    """Probability that it lost more to all classes than the policy allows."""


@dataclass(frozen=True)
class Verdict:
    """Accepted or not, proven or not, and why.

    Examples
    --------
    >>> verdict = Verdict(True, False, ("unproven: too few samples are kept",), {}, None, None)
    >>> verdict.accepted, verdict.proven
    (True, False)
    """

    accepted: bool
    proven: bool
    reasons: tuple[str, ...]
    classes: Mapping[str, ClassVerdict]
    pooled_change: float | None
    """Change of balanced accuracy over the old classes."""
    pooled_bound: float | None
    """Lower one-sided 95 % bound of that change."""
    is_final: bool = False
    """Whether no other strategy could change it: the lesson itself is at fault."""

    def as_dict(self) -> dict[str, object]:
        """Return plain JSON."""
        classes = {label: vars(one) for label, one in self.classes.items()}
        return {**vars(self), "reasons": list(self.reasons), "classes": classes}
