"""Experts at several time scales that follow a stream of rows, mixed by fixed share (Herbster and Warmuth 1998).

What changes fast follows labels that follow themselves, what forgets slowly answers where labels come late, and the
mixture goes with whichever has been right of late. No detector has to fire before anything adapts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

from edgecl.learning.expert_arrays import LEVEL, ExpertArrays, Prepared
from edgecl.learning.expert_plan import FIXED, ExpertPlan, capacity_for, plan_experts
from edgecl.learning.one_row import OneRow, Ticket


@dataclass(frozen=True)
class Tickets:
    """The rows of one call, from which a ticket is made where a label comes later: until the next call."""

    scaled: NDArray[np.float32]
    """(n, p)"""
    held: NDArray[np.float32]
    """(n, K + 1, C)"""
    before: NDArray[np.int32]
    """(n,)"""

    def __getitem__(self, at: int) -> Ticket:
        return Ticket(self.scaled[at].copy(), self.held[at].copy(), int(self.before[at]))


class Learning(NamedTuple):
    """One label that comes while rows are answered."""

    after: int
    """Index among the rows answered after which it comes; -1 before all."""
    row: Ticket | int
    """What it is the label of: a row that waits, or the index of one of those answered."""
    label: str


class Experts(ExpertArrays):
    """The experts of a stream: answers rows, and learns from labels when they come.

    Parameters
    ----------
    state
        To go on from; it is written in place.
    seed
        Seed of the random units.
    weights
        Weight of a class in learning, 1 where nothing is said.
    available_bytes
        What the experts may take when classes come that the state has no room for; None for whatever they need.
    """

    def within(self, available_bytes: int) -> None:
        """Hold the experts to a number of bytes, now and when classes come; raises SettingError where none fits."""
        self._available_bytes = available_bytes
        if self._plan.nbytes > available_bytes:
            self._set_state(self.state.fitted(self._wider(len(self.labels))))

    def follow(
        self,
        rows: NDArray[np.float32],
        fixed: NDArray[np.float32],
        learnings: Sequence[Learning],
    ) -> tuple[NDArray[np.float32], Tickets]:
        """Answer rows and learn from labels, in order.

        Parameters
        ----------
        rows
            (n, p), finite.
        fixed
            (n, FIXED, C) probabilities of the fixed experts for `labels`; of those that do not take part anything.
        learnings
            Labels, ordered by `after`.

        Returns
        -------
        Probabilities (n, C) for `labels` as they are after the call; a row answered before any label was known has none
        and is zero. And what makes a ticket of each row, to learn from later.
        """
        self._introduce([one.label for one in learnings])
        tickets = [one.row for one in learnings if isinstance(one.row, Ticket)]
        if len(rows) + len(tickets) == 1 and [one.after for one in learnings] in ([], [len(rows) - 1]):
            return self._follow_one(rows, fixed, learnings, tickets)
        prepared = self._prepare(rows, tickets)
        held, before = self._held(fixed, tickets, len(rows))
        return self._answered(prepared, self._steps(len(rows), learnings), before, held)

    def follow_labelled(
        self, rows: NDArray[np.float32], fixed: NDArray[np.float32], labels: Sequence[str | None]
    ) -> NDArray[np.float32]:
        """Answer rows and learn each before the next, as `follow` does with a label, or None, right after each row."""
        self._introduce([label for label in labels if label is not None])
        index = {label: at for at, label in enumerate(self.labels)}
        learnt = np.array([-1 if label is None else index[label] for label in labels], np.int32)
        at = np.arange(len(rows), dtype=np.int32)
        steps = np.column_stack([at, np.where(learnt < 0, -1, at), learnt])
        held, before = self._held(fixed, [], len(rows))
        return self._answered(self._prepare(rows, []), steps, before, held)[0]

    def _answered(
        self, prepared: Prepared, steps: NDArray[np.int32], before: NDArray[np.int32], held: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], Tickets]:
        """Take the steps; return the probabilities of the rows, and their tickets."""
        rows, out = len(prepared.rows), np.zeros((len(before), held.shape[2]), np.float32)
        kernels.follow_rows(*self._arguments(prepared.features, prepared.levels, steps, before, held, out))
        made = Tickets(prepared.scaled[:rows], held[:rows], before[:rows])
        return out[:rows, : len(self.labels)], made

    def _prepare(self, rows: NDArray[np.float32], tickets: Sequence[Ticket]) -> Prepared:
        """Scale rows, and put those that wait behind them; rows that came last are taken as they were prepared."""
        last, before = self._prepared, self.state.scaling
        if last is not None and last.rows is rows and last.scaling is before and not tickets:
            return last
        scaling, scaled = before.take(rows)
        if scaling is not before:
            self.state = replace(self.state, scaling=scaling)
        both = np.concatenate([scaled, *(one.scaled[None] for one in tickets)]) if tickets else scaled
        levels = np.rint(both * LEVEL).astype(np.int8)
        made = Prepared(rows, scaling, both, self.features(both), levels)
        self._prepared = made if scaling is before and not tickets else None
        return made

    def learn(self, row: Ticket, label: str) -> None:
        """Take in the label of a row that was answered earlier."""
        none = np.zeros((0, self._plan.row_dimension), np.float32)
        self.follow(none, np.zeros((0, FIXED, len(self.labels)), np.float32), [Learning(-1, row, label)])

    def _introduce(self, labels: Sequence[str]) -> None:
        known = dict.fromkeys((*self.labels, *labels))
        if len(known) > len(self.labels):
            if len(known) > self._plan.max_classes:
                self._set_state(self.state.fitted(self._wider(len(known))))
            self.state = replace(self.state, labels=tuple(known))
        for label, count in Counter(labels).items():
            self.state.seen[self.labels.index(label)] += count

    def _wider(self, classes: int) -> ExpertPlan:
        """Return a plan for more classes, of the experts at hand that still fit."""
        return plan_experts(
            row_dimension=self._plan.row_dimension,
            max_classes=capacity_for(classes),
            available_bytes=1 << 62 if self._available_bytes is None else self._available_bytes,
            paired=self._plan.paired,
        )

    def know(self, labels: Sequence[str]) -> None:
        """Let labels be answers before any row of them has come."""
        self._introduce(labels)
        for label in labels:
            self.state.seen[self.labels.index(label)] -= 1
        self.state.counters[0] = len(self.labels)

    def _held(
        self, fixed: NDArray[np.float32], tickets: Sequence[Ticket], rows: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        classes = max(len(self.labels), 1)
        held = np.zeros((rows + len(tickets), len(self._plan.names) + 1, classes), np.float32)
        before = np.full(rows + len(tickets), -1, np.int32)
        held[:rows, :FIXED, : fixed.shape[2]] = fixed
        for at, ticket in enumerate(tickets, rows):
            held[at, :, : ticket.held.shape[1]] = ticket.held
            before[at] = ticket.before
        return held, before

    def _steps(self, rows: int, learnings: Sequence[Learning]) -> NDArray[np.int32]:
        """Return (S, 3): answered row, learnt row and its label."""
        index = {label: at for at, label in enumerate(self.labels)}
        steps: list[tuple[int, int, int]] = []
        answered, waiting = 0, rows
        for after, row, label in learnings:
            if isinstance(row, Ticket):
                row, waiting = waiting, waiting + 1
            if answered <= after:
                steps += [(at, -1, -1) for at in range(answered, after)]
                steps.append((after, row, index[label]))
                answered = after + 1
            else:
                steps.append((-1, row, index[label]))
        steps += [(at, -1, -1) for at in range(answered, rows)]
        return np.array(steps, np.int32).reshape(-1, 3)

    def _follow_one(
        self,
        rows: NDArray[np.float32],
        fixed: NDArray[np.float32],
        learnings: Sequence[Learning],
        tickets: Sequence[Ticket],
    ) -> tuple[NDArray[np.float32], Tickets]:
        """Answer one row, learn its label or both; or learn from one that waited."""
        one, count = self._one_row(), len(rows)
        if tickets:
            one.take(tickets[0])
        else:
            self._prepare_one(one, rows)
            one.hold(fixed)
        learnt = (0, self.labels.index(learnings[0].label)) if learnings else (-1, -1)
        one.steps[0] = (0 if count else -1, *learnt)
        one.run()
        made = Tickets(one.scaled[:count], one.held[:count], one.before[:count])
        return one.out[:count, : len(self.labels)].copy(), made

    def _prepare_one(self, one: OneRow, rows: NDArray[np.float32]) -> None:
        """Scale and lift one row; that which came last is taken as it was prepared."""
        before = self.state.scaling
        if one.rows is not rows or one.scaling is None or one.scaling[0] is not before:
            after, scaled = before.take(rows)
            one.prepare(scaled)
            one.rows, one.scaling = rows, (before, after)
        if one.scaling[1] is not before:
            self.state = replace(self.state, scaling=one.scaling[1])
