"""Statistics and heads of a stream, from its latest rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecl.model.exemplars import Exemplars
from edgecl.model.head import HeadState
from edgecl.model.statistics import ClassStatistics

RECENT = 1024  # labelled rows that are kept to judge by
CONFIRM = 256  # labelled rows from after a change that a decision waits for; half of them judge
Statistics = Mapping[str, ClassStatistics]


@dataclass(frozen=True)
class Known:
    """One row whose label has come."""

    label: str
    row: NDArray[np.int8]  # (p,)
    scale: np.float32
    correct: bool  # whether the learner answered it right, before it learnt from it
    live_correct: bool  # whether the revision that is live in the store would have


def weighing_at_most(statistics: Statistics, rows: int) -> Statistics:
    """The statistics, all together weighing no more than so many rows."""
    total = sum(one.count for one in statistics.values())
    share = min(rows / total, 1.0) if total else 1.0
    return {label: one.decayed(max(round(one.count * share), 1)) for label, one in statistics.items()}


def head_answers(head: HeadState | None, inputs: NDArray[np.float32]) -> list[str | None]:
    if head is None or not head.labels:
        return [None] * len(inputs)
    return [head.labels[index] for index in head.logits(inputs).argmax(axis=1)]


def exemplars_of_label(rows: Sequence[Known], label: str) -> Exemplars:
    chosen = [one for one in rows if one.label == label]
    return Exemplars(np.array([one.row for one in chosen]), np.array([one.scale for one in chosen], np.float32))
