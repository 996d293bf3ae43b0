"""The values of the gate: evidence, policy and verdict, and the statistical bounds that it uses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecl.gate import set_aside
from edgecl.values import dataclass, field, replace

ACCEPTED, UNPROVEN, REJECTED, ASKS = "accepted", "unproven", "rejected", "asks"
ASKED_ABOVE = 0.9  # log odds above which it is asked: 3 % of harmful lessons go live, 6 % of good ones are asked about
STORED = 20  # samples set aside that a revision names

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
class Foreign:
    """A known label whose samples are far from what the model knows of it."""

    label: str
    distance: float
    """Median squared Mahalanobis distance, relative to that of the class's own samples."""
    recall: float
    """Share that the old model predicts as that label."""
    of: int
    odds: float | None = None
    """Log odds that they are of the class; None where many samples taught it, so that distance and recall decide."""


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
    foreign: Sequence[Foreign] = ()
    faults: Sequence[str] = ()
    """A head that is not finite or a budget that is exceeded: always rejected."""
    grouped: frozenset[str] = frozenset()
    """Classes whose entries in `taught` are recordings of several samples, in place of samples."""
    people: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Of new classes that several people gave: who of them is predicted right by what the others taught."""


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
    foreign_distance: float = 2.0
    """Relative distance of samples to the class of their label from which they are foreign, if their recall is low."""
    foreign_recall: float = 0.3
    """Recall up to which such samples are foreign."""
    foreign_odds: float = -4.5
    """Log odds below which samples may be foreign to a class that few samples taught."""
    noise_distance: float = 8.0
    """Relative distance from which samples are noise, with any recall."""
    doubted_below: float = set_aside.DOUBTED
    """Probability of its own name below which a sample is set aside; 0: none is."""
    most_doubted: float = set_aside.MOST_DOUBTED
    """Share of the samples of known names that may be doubted; above it the lesson is refused."""
    ask_above: float = ASKED_ABOVE
    """Log odds above which a new name is asked about; infinite: none is."""


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
    people: int = 0
    """People who were left out of a new class, each in turn; 0 where one alone gave it, or that is not known."""
    people_right: int = 0
    """How many of them are predicted right by what the others taught."""


@dataclass(frozen=True)
class SetAside:
    """A sample that is probably not what it is called: it is not taught, and waits for its user."""

    source: str
    """File, or the line or window of one; empty where it is not known."""
    label: str
    like: str
    """The name that it probably has."""
    probability: float
    """That it is what it is called, 0 to 1."""
    row: int
    """Its number among the samples of its label."""
    is_asked: bool = False
    """Whether it is one of so few samples of a new class that it should be asked about rather than left out."""
    is_taught: bool = False
    """Whether the same sample was taught before, as `like`."""

    def as_dict(self) -> dict[str, object]:
        """Return plain JSON."""
        stated = {"source": self.source, "label": self.label, "like": self.like}
        return {**stated, "probability": round(self.probability, 4), "asked": self.is_asked, "taught": self.is_taught}


@dataclass(frozen=True)
class Ask:
    """A new name that may be that of a known class: nothing of it is live until its user answers."""

    label: str
    like: str
    odds: float | None
    """Log odds that it is the same class; None where it was compared with a name of the same lesson."""
    samples: int
    is_live: bool = False
    """Whether the name has been taught, and later lessons made it doubtful; then nothing waits."""

    def as_dict(self) -> dict[str, object]:
        """Return plain JSON."""
        odds = None if self.odds is None else round(self.odds, 3)
        stated = {"label": self.label, "like": self.like, "odds": odds}
        return {**stated, "samples": self.samples, "live": self.is_live}


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
    """No other strategy could change it: the lesson itself is at fault."""
    set_aside: tuple[SetAside, ...] = ()
    """Samples that were not judged, since they probably are not what they are called."""
    asks: tuple[Ask, ...] = ()
    """New names that were not judged, since they may be those of known classes."""

    @property
    def name(self) -> str:
        """ACCEPTED, UNPROVEN, REJECTED, or ASKS where nothing is taught before its user has answered."""
        if self.accepted:
            return ACCEPTED if self.proven else UNPROVEN
        return ASKS if self.waits else REJECTED

    @property
    def waits(self) -> bool:
        """Whether nothing was judged, since all of the lesson waits for its user."""
        return not self.accepted and not self.classes and bool(self.asks or self.set_aside)

    @property
    def waiting(self) -> int:
        """Number of samples that wait for their user."""
        return len(self.set_aside) + sum(one.samples for one in self.asks if not one.is_live)

    @property
    def is_refused(self) -> bool:
        """Whether the lesson was judged and turned away: then nothing of it waits."""
        return self.name == REJECTED

    def stored(self) -> dict[str, object]:
        """Return plain JSON of bounded length: of many samples that are set aside, the first STORED."""
        return replace(self, set_aside=self.set_aside[:STORED]).as_dict()

    def as_dict(self) -> dict[str, object]:
        """Plain JSON."""
        return {
            **vars(self),
            "reasons": list(self.reasons),
            "classes": {label: vars(one) for label, one in self.classes.items()},
            "verdict": self.name,
            "set_aside": [one.as_dict() for one in self.set_aside],
            "asks": [one.as_dict() for one in self.asks],
        }
