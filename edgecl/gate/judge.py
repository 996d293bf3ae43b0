"""The judgement: whether a candidate is no worse on what is known and predicts what is new."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecl.gate.verdict import (
    ONE_SIDED_95,
    ClassVerdict,
    Contradiction,
    Evidence,
    Foreign,
    Policy,
    Verdict,
    posterior_above,
)
from edgecl.values import dataclass


def judge(evidence: Evidence, policy: Policy) -> Verdict:
    """Accept a candidate when nothing known has probably been lost and the new is answered.

    Rejected: a fault; a contradiction; an old class, or all of them together, that has probably lost more than is
    allowed; taught classes that are probably below the floor, but for a few of many. Proven: the 95 % bounds exclude
    all of that.
    Too little evidence is not a reason to reject: then the verdict is accepted and not proven, and states what would
    settle it.

    Examples
    --------
    >>> right = np.ones(20, bool)
    >>> evidence = Evidence({"yes": right}, {"yes": ~right}, {"yes": ~right}, {}, frozenset())
    >>> judge(evidence, Policy()).accepted
    False
    """
    classes = _class_verdicts(evidence, policy)
    pooled, among_old = _pooled(evidence, evidence.after), _pooled(evidence, evidence.among_old)
    final = [*evidence.faults, *_lesson_faults(evidence, policy)]
    reasons = [
        *_class_losses(classes, policy),
        *(
            _pooled_loss(among_old, policy.allowed_pooled_loss, policy)
            or _pooled_loss(pooled, policy.allowed_pooled_confusion, policy)
        ),
    ]
    weak = _below_floor(evidence, policy)
    if len(weak) > policy.weak_share * len(evidence.new_labels):
        reasons += weak.values()
    accepted = not final and not reasons
    doubts = _doubts(evidence, policy, among_old, weak) if accepted else []
    return Verdict(
        accepted=accepted,
        proven=accepted and not doubts,
        reasons=tuple(final + reasons + doubts),
        classes=classes,
        pooled_change=pooled.change if pooled else None,
        pooled_bound=pooled.bound if pooled else None,
        is_final=bool(final),
    )


def _class_verdicts(evidence: Evidence, policy: Policy) -> dict[str, ClassVerdict]:
    verdicts = {}
    for label, after in evidence.after.items():
        before = evidence.before[label]
        lost = _net_loss_above(before, evidence.among_old[label], policy.allowed_class_loss)
        confused = _net_loss_above(before, after, policy.allowed_class_confusion)
        verdicts[label] = ClassVerdict(len(after), _share(before), _share(after), False, lost, confused)
    for label in evidence.new_labels:
        taught, people = (found.get(label, np.zeros(0, bool)) for found in (evidence.taught, evidence.people))
        counts = {"people": len(people), "people_right": int(people.sum())}
        verdicts[label] = ClassVerdict(len(taught), None, _share(taught), True, 0.0, 0.0, **counts)
    return verdicts


def _net_loss_above(before: NDArray[np.bool_], after: NDArray[np.bool_], allowed: float) -> float:
    """Return P(the share of samples lost on balance is more than `allowed`)."""
    lost = int(before.sum()) - int(after.sum())
    return posterior_above(lost, len(after) - lost, allowed) if lost > 0 else 0.0


def _share(correct: NDArray[np.bool_]) -> float | None:
    return float(correct.mean()) if len(correct) else None


@dataclass(frozen=True)
class _Pooled:
    """The paired change of balanced accuracy over the old classes, each with equal weight."""

    change: float
    error: float
    """Standard error."""
    classes: int
    variance: float
    """Variance of the change of one sample."""

    @property
    def bound(self) -> float:
        """Lower one-sided 95 % bound."""
        return self.change - ONE_SIDED_95 * self.error

    def probably_below(self, limit: float) -> float:
        """Return P(the true change is below `limit`), by the normal distribution."""
        return 0.5 * (1 + math.erf((limit - self.change) / (self.error * math.sqrt(2))))

    def samples_needed(self, room: float) -> int:
        """Return the kept samples of each class with which the bound would leave `room`, if nothing really changes."""
        return math.ceil(ONE_SIDED_95**2 * self.variance / (self.classes * room**2))


def _pooled(evidence: Evidence, after: Mapping[str, NDArray[np.bool_]]) -> _Pooled | None:
    changes = [correct.astype(np.float64) - evidence.before[label] for label, correct in after.items()]
    changes = [one for one in changes if len(one)]
    if not changes:
        return None
    sizes = np.array([len(one) for one in changes], np.float64)
    rate = (sum(float(np.abs(one).sum()) for one in changes) + 1) / (sizes.sum() + 2)  # answers changed, smoothed
    variances = np.array([max(float(one.var()), rate) for one in changes])
    error = float(np.sqrt((variances / sizes).sum())) / len(changes)
    change = float(np.mean([one.mean() for one in changes]))
    return _Pooled(change, error, len(changes), float(variances.mean()))


def _lesson_faults(evidence: Evidence, policy: Policy) -> list[str]:
    """List what is wrong with the lesson itself, so that no strategy can correct it."""
    texts = _contradicted(evidence, policy)
    texts += [
        f"the {one.of} samples called {one.label!r} are {one.distance:.1f} times as far from what the model knows "
        f"of it as its own are: noise, or another thing under its name"
        for one in evidence.foreign
        if one.of >= policy.contradiction_samples and _is_foreign(one, policy)
    ]
    return texts


def _contradicted(evidence: Evidence, policy: Policy) -> list[str]:
    """List known labels with too many samples that the old model knows as another class, or all together."""
    by_label: dict[str, list[Contradiction]] = {}
    for one in evidence.contradictions:
        by_label.setdefault(one.label, []).append(one)
    wrong = {
        label: found
        for label, found in by_label.items()
        if _are_too_many(sum(one.samples for one in found), found[0].of, policy)
    }
    texts = [
        f"{sum(one.samples for one in found)} of {found[0].of} samples called {label!r} are what the model knows as "
        f"{_others(found)}: check the labels"
        for label, found in wrong.items()
    ]
    samples = sum(one.samples for one in evidence.contradictions)
    of = sum(one.of for one in evidence.foreign)  # which has every known label of the lesson
    if not texts and _are_too_many(samples, of, policy):
        called = " and ".join(f"{label!r} as {_others(found)}" for label, found in by_label.items())
        texts.append(
            f"{samples} of {of} samples are what the model knows as something else, {called}: check the labels"
        )
    return texts


def _are_too_many(samples: int, of: int, policy: Policy) -> bool:
    if of < policy.contradiction_samples or not samples:
        return False
    return posterior_above(samples, of - samples, policy.contradiction_share) > policy.certainty


def _others(found: Sequence[Contradiction]) -> str:
    return " or ".join(repr(one.answered_as) for one in sorted(found, key=lambda one: -one.samples))


def _is_foreign(one: Foreign, policy: Policy) -> bool:
    """Test for noise: far and predicted as anything; another speaker or wearer is far, but mostly right."""
    lost = one.recall <= policy.foreign_recall and one.distance > policy.foreign_distance
    is_like = one.odds is not None and one.odds >= policy.foreign_odds
    return (lost or one.distance > policy.noise_distance) and not is_like


def _class_losses(classes: Mapping[str, ClassVerdict], policy: Policy) -> list[str]:
    texts = []
    certainty = 1 - (1 - policy.certainty) / max(len(classes), 1)
    for label, one in sorted(classes.items()):
        if (
            max(one.loss_probability, one.confusion_probability) > certainty
            and one.before is not None
            and one.after is not None
        ):
            texts.append(f"{label!r} would fall from {one.before:.0%} to {one.after:.0%} of {one.samples} kept samples")
    return texts


def _pooled_loss(pooled: _Pooled | None, allowed: float, policy: Policy) -> list[str]:
    if pooled is None or pooled.probably_below(-allowed) <= policy.pooled_certainty:
        return []
    bounds = f"95% bound {100 * pooled.bound:+.1f}, allowed {-100 * allowed:+.1f}"
    return [f"the old classes together would change by {100 * pooled.change:+.1f} points ({bounds})"]


def _below_floor(evidence: Evidence, policy: Policy) -> dict[str, str]:
    """Return the taught classes that are predicted too badly, and how badly."""
    texts = {}
    for label in sorted(evidence.new_labels & set(evidence.taught)):
        correct = evidence.taught[label]
        right, of = int(correct.sum()), len(correct)
        if of > 1 and posterior_above(right, of - right, policy.new_class_floor) < 1 - policy.certainty:
            what = _witnesses(evidence, label)
            texts[label] = (
                f"{label!r} would be answered right in only {right} of its own {of} {what}, each left out in turn "
                f"(more than {policy.new_class_floor:.0%} wanted): more, or cleaner, {what} are needed"
            )
    return texts


def _doubts(evidence: Evidence, policy: Policy, pooled: _Pooled | None, weak: Mapping[str, str]) -> list[str]:
    texts = [f"unproven: {text}" for text in weak.values()]
    if len(evidence.new_labels) == 1 and not evidence.before:
        texts.append("unproven: a single class has nothing that it could be taken for")
    if pooled and pooled.bound < -policy.allowed_pooled_loss:
        needed = pooled.samples_needed(policy.allowed_pooled_loss)
        texts.append(f"unproven: about {needed} kept samples of each old class would show that nothing is lost")
    for label in sorted(evidence.new_labels - set(weak)):
        correct = evidence.taught.get(label, np.zeros(0, bool))
        if not is_above_floor(correct, policy):
            needed = _samples_to_prove(correct, policy)
            if label in evidence.grouped and not len(correct):
                texts.append(
                    f"unproven: all samples of {label!r} are of one recording, which cannot vouch for itself: about "
                    f"{needed} recordings would settle it"
                )
                continue
            what = _witnesses(evidence, label)
            texts.append(f"unproven: {label!r} has {len(correct)} {what} to be judged by, {needed} would settle it")
        elif (people := evidence.people.get(label)) is not None and not is_proven_by(people, policy):
            texts.append(
                f"unproven: {label!r} would be answered right for {int(people.sum())} of {len(people)} groups (people, "
                "objects or sessions) by what the others taught: it may hold for these alone, more would settle it"
            )
    return texts


def is_proven_by(people: NDArray[np.bool_], policy: Policy) -> bool:
    """Test whether all people are right, or so many that most others certainly would be."""
    return bool(people.all()) or is_above_floor(people, policy)


def is_above_floor(right: NDArray[np.bool_], policy: Policy) -> bool:
    """Test whether so many are right that the share of a class is certainly above the floor."""
    count = int(right.sum())
    return posterior_above(count, len(right) - count, policy.new_class_floor) > policy.certainty


def _witnesses(evidence: Evidence, label: str) -> str:
    """Return what a class is judged by: windows of one recording are one witness."""
    return "recordings" if label in evidence.grouped else "samples"


def _samples_to_prove(correct: NDArray[np.bool_], policy: Policy) -> int:
    """Return the smallest number of samples, predicted as these are, that would prove a class above the floor."""
    share = (float(correct.sum()) + 0.5) / (len(correct) + 0.5)
    for count in range(max(len(correct), 1), 200):
        right = round(share * count)
        if posterior_above(right, count - right, policy.new_class_floor) > policy.certainty:
            return count
    return 200
