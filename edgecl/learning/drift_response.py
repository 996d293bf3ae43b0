"""The response to a confirmed drift: go on, go back, decay or start again.

The candidates learn from one half of the latest labelled rows and compete on the other half. Only a candidate that
predicts these better with 95 % certainty replaces the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecl.gate.verdict import paired_bound
from edgecl.learning.stream_statistics import KnownRow, Statistics, StreamSolver, weighing_at_most, with_exemplars
from edgecl.model.head import HeadState
from edgecl.model.model import Model

AS_IT_IS = "as it is"


@dataclass(frozen=True)
class Drift:
    """A confirmed drift and the response to it."""

    row: int
    """Labelled rows until it was noticed."""
    since: int
    """Labelled rows before that which belong to the new concept."""
    chosen: str
    """"as it is", "anew", "decayed" or "revision N"."""
    accuracy: Mapping[str, float]
    """Accuracy of each candidate on the rows that judged them."""
    judged_on: int
    """The number of those rows."""


@dataclass(frozen=True)
class NoticedChange:
    """A change of the error rate that waits for labels."""

    row: int
    """Labelled rows until it was noticed."""
    since: int
    """Labelled rows before that which belong together."""


@dataclass(frozen=True)
class Response:
    """The choice after a drift, and what a stream goes on with."""

    drift: Drift
    statistics: Statistics
    rows: Sequence[KnownRow]
    """The recent rows that belong to the present concept."""
    concept: Model | None
    """The model from before the drift, as far as its statistics are kept."""


def respond(
    model: Model,
    recent: Sequence[KnownRow],
    change: NoticedChange,
    *,
    solver: StreamSolver,
    before: Statistics,
    after: int,
    kept: Mapping[str, Model],
) -> Response:
    """Choose the candidate that predicts the latest rows best.

    Parameters
    ----------
    recent
        Labelled rows, oldest first.
    before
        Statistics from before the change; may be empty.
    after
        Labelled rows since the change was noticed, one or more.
    kept
        Earlier revisions by name, newest first.
    """
    fresh = recent[-after:]  # all of them are from after the change; `since` may reach back to before it
    study, judges = fresh[: len(fresh) // 2], fresh[len(fresh) // 2 :]
    heads: dict[str, HeadState] = {name: one.head for name, one in kept.items() if one.head is not None}
    heads["decayed"] = solver.head(solver.added(weighing_at_most(before, len(study)), study))
    heads["anew"] = solver.head(solver.added({}, study))
    concept = None
    if before:
        concept = replace(model, statistics=before, head=solver.head(before))
        concept = with_exemplars(concept, recent[: -(after + change.since)])
    stays = np.array([one.correct for one in judges])
    right = {name: solver.correct(head, judges) for name, head in heads.items()}
    chosen = _chosen(right, stays, kept)
    is_unchanged = chosen == AS_IT_IS
    accuracy = {AS_IT_IS: float(stays.mean()), **{name: float(one.mean()) for name, one in right.items()}}
    return Response(
        Drift(change.row, change.since, chosen, accuracy, len(judges)),
        statistics=model.statistics if is_unchanged else solver.added(_start(chosen, before, len(fresh), kept), fresh),
        rows=recent if is_unchanged else fresh,
        concept=concept,
    )


def _chosen(right: Mapping[str, NDArray[np.bool_]], stays: NDArray[np.bool_], kept: Mapping[str, Model]) -> str:
    """Return the name of the best candidate, or AS_IT_IS where none is better with certainty."""
    best = max(right, key=lambda name: right[name].sum())
    as_good = [name for name in kept if name in right and paired_bound(right[name], right[best]) <= 0]
    if as_good:  # a revision learnt from many rows: worth more than an equal model learnt from these few
        best = max(as_good, key=lambda name: right[name].sum())
    return best if paired_bound(stays, right[best]) > 0 else AS_IT_IS


def _start(chosen: str, before: Statistics, rows: int, kept: Mapping[str, Model]) -> Statistics:
    """Return the statistics that a candidate adds the fresh rows to."""
    if chosen in kept:
        return kept[chosen].statistics
    return weighing_at_most(before, rows) if chosen == "decayed" else {}
