"""Upgrade: two models of the same classes, through two extractors, judged by the same recordings.

No sample is judged by a model that was taught with it. What a model was taught with cannot be looked up, since samples
are not kept; but sums that contain a sample stay sums of squares without it, and others do not. So each sample that the
sums can contain is left out of them, with all of its group, and any other is predicted as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecl.gate.judge import judge
from edgecl.gate.verdict import Evidence, Policy, Verdict
from edgecl.gate.witnesses import MOST_OF_GROUP
from edgecl.model.group_left_out import leave_group_out
from edgecl.model.head import Factor, HeadState, whitened_cosine
from edgecl.model.model import Lesson, Model, factor_of
from edgecl.model.statistics import ClassStatistics, square
from edgecl.values import replace

ROUNDING = 1e-3  # of the variance of a class: rows that were quantised on another board differ by less

Right = Mapping[str, Mapping[str, bool]]


def can_contain(one: ClassStatistics, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Test which features (n, d) may be among the samples of a class.

    The scatter S of n samples about their mean m is still a sum of squares without x if n/(n-1) (x-m)ᵀ S⁻¹ (x-m) is at
    most 1. Of fewer samples than dimensions, S has directions in which none of them lies.
    """
    apart = rows - one.mean
    variance = float(one.scatter[np.cumsum(np.arange(1, one.dimension + 1)) - 1].sum(dtype=np.float64))
    if one.count < 2 or variance <= 0:
        same: NDArray[np.bool_] = np.square(apart).sum(axis=1) <= ROUNDING * np.square(rows).sum(axis=1)
        return same
    scatter = square(one.scatter, one.dimension).astype(np.float64)
    scatter[np.diag_indices(one.dimension)] += ROUNDING * variance / one.count
    leverage = np.einsum("nd,dn->n", apart, np.linalg.solve(scatter, apart.T)) * one.count / (one.count - 1)
    found: NDArray[np.bool_] = leverage <= 1 + ROUNDING
    return found


def held_out(model: Model, lesson: Lesson) -> dict[str, dict[str, bool]]:
    """Return, by label and recording, whether the model's closed form predicts it right without its group.

    A recording is right where more than half of its samples are. `lesson.recordings` and `lesson.groups` name both for
    each row. Left out are the labels that the model does not have, and recordings without which nothing is left of
    their class.
    """
    factor = factor_of(model)
    head = whitened_cosine(factor)
    return {
        label: _witnesses(lesson.recordings[label], _answers(model, factor, head, lesson, label))
        for label in lesson.rows
        if label in model.statistics
    }


def _answers(model: Model, factor: Factor, head: HeadState, lesson: Lesson, label: str) -> NDArray[np.float64]:
    """Return 1 and 0 for the rows of a class that are predicted right and wrong, NaN for those that cannot be."""
    rows = np.concatenate([*model.settings.features.blocks(lesson.rows[label])])
    own = factor.labels.index(label)
    right: NDArray[np.float64] = (head.logits(rows).argmax(axis=1) == own).astype(np.float64)
    taught = can_contain(model.statistics[label], rows)
    for group in _groups(lesson.groups[label], taught):
        if len(group) >= factor.counts[own]:
            right[group] = np.nan
            continue
        for part in np.split(group, range(MOST_OF_GROUP, len(group), MOST_OF_GROUP)):
            right[part] = leave_group_out(factor, rows[part], own=own).logits.argmax(axis=1) == own
    return right


def _groups(names: Sequence[str], taught: NDArray[np.bool_]) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of each group that were taught."""
    held = np.array(names)
    for name in dict.fromkeys(names):
        rows = np.flatnonzero((held == name) & taught)
        if len(rows):
            yield rows


def _witnesses(recordings: Sequence[str], right: NDArray[np.float64]) -> dict[str, bool]:
    """Return whether more than half of each recording is right, without those that cannot be judged."""
    names = np.array(recordings)
    means = {name: right[names == name].mean() for name in dict.fromkeys(recordings)}
    return {name: bool(mean > 0.5) for name, mean in means.items() if np.isfinite(mean)}


def compared(before: Right, after: Right) -> Verdict:
    """Judge by the recordings that both models could be asked about."""
    both = {label: [one for one in before[label] if one in after[label]] for label in after if label in before}
    old = {label: np.array([before[label][one] for one in names], bool) for label, names in both.items()}
    new = {label: np.array([after[label][one] for one in names], bool) for label, names in both.items()}
    evidence = Evidence(before=old, after=new, among_old=new, taught={}, new_labels=frozenset())
    verdict = judge(evidence, Policy())
    unseen = [label for label in sorted(both) if not both[label]]
    doubts = [f"unproven: {label!r} has no other recording, of another person, to be judged by" for label in unseen]
    return replace(
        verdict,
        proven=verdict.proven and not doubts,
        reasons=(*(one.replace("kept samples", "recordings") for one in verdict.reasons), *doubts),
    )
