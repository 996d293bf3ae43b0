"""The gate's policy and its verdict, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgecl.gate.bounds import ONE_SIDED_90


@dataclass(frozen=True)
class Policy:
    """What the gate lets through; shares, 0 to 1.

    Examples
    --------
    >>> Policy(allowed_pooled_loss=0.01).certainty
    0.95
    """

    allowed_pooled_loss: float = 0.02  # of balanced accuracy over the old classes, by the 95 % bound
    pooled_certainty: float = 0.8  # with which the old classes together must have lost more than that to reject
    allowed_class_loss: float = 0.05  # of one old class
    allowed_class_confusion: float = 0.3  # of one old class with what is new: words that sound alike
    allowed_pooled_confusion: float = 0.1  # of the old classes together with what is new
    certainty: float = 0.95  # of a loss of any class (Bonferroni over the classes) and of contradictions, to reject
    new_class_floor: float = 0.5  # leave-one-out accuracy of what the lesson teaches
    weak_share: float = 0.1  # of the new classes that may be below it, and are told: ten or more are no mishap
    contradiction_share: float = 0.2  # of known labels' samples that the old model probably knows as something else
    contradiction_samples: int = 3  # fewer samples than this contradict nothing
    look_alike_share: float = 0.5  # of a new label's samples that the old model answers as one class
    told_apart: float = ONE_SIDED_90  # standard errors by which the two must then do better than one under two names
    foreign_distance: float = 2.0  # of samples to the class they are said to be, over the usual distance, when ...
    foreign_recall: float = 0.3  # ... no more of them than this are answered as that class
    noise_distance: float = 8.0  # however they are answered


@dataclass(frozen=True)
class ClassVerdict:
    """What was seen of one class; shares are 0 to 1, None where nothing could be measured."""

    samples: int
    before: float | None
    after: float | None
    is_new: bool
    loss_probability: float  # that it lost more among the old classes than the policy allows
    confusion_probability: float  # that it lost more to all classes than the policy allows


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
    pooled_change: float | None  # of balanced accuracy over the old classes
    pooled_bound: float | None  # its lower one-sided 95 % bound
    is_final: bool = False  # no other strategy could change it: the lesson itself is at fault

    def as_dict(self) -> dict[str, object]:
        """Plain JSON."""
        classes = {label: vars(one) for label, one in self.classes.items()}
        return {**vars(self), "reasons": list(self.reasons), "classes": classes}
