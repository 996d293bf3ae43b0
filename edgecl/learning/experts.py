"""Experts at several time scales that follow a stream of rows, mixed by fixed share (Herbster and Warmuth 1998).

What changes fast follows labels that follow themselves, what forgets slowly answers where labels come late, and the
mixture goes with whichever has been right of late. No detector has to fire before anything adapts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

from edgecl.learning.expert_plan import (
    CELL_RATE,
    CONSTANTS,
    FIXED,
    NEIGHBOURS,
    TESTS,
    ExpertPlan,
    capacity_for,
    plan_experts,
)
from edgecl.learning.expert_state import ExpertState
from edgecl.learning.row_scaling import LIMIT, RowScaling

SHARE = 0.003  # of the weights that is dealt out evenly at each label
FLOOR = 1e-3  # least probability in the loss: one surprise does not silence an expert
FADING = 0.99  # of a transition count, at each from the same label
_LEVELS = 127


@dataclass(frozen=True)
class Ticket:
    """A row that was answered and waits for its label."""

    scaled: NDArray[np.float32]
    """(p,)"""
    held: NDArray[np.float32]
    """(K + 1, C) what each expert answered, and the mixture."""
    before: int
    """Index of the last label known then, or -1."""


@dataclass(frozen=True)
class Tickets:
    """The rows of one call, from which a ticket is made where a label comes later."""

    scaled: NDArray[np.float32]
    """(n, p)"""
    held: NDArray[np.float32]
    """(n, K + 1, C)"""
    before: NDArray[np.int32]
    """(n,)"""

    def __getitem__(self, at: int) -> Ticket:
        return Ticket(self.scaled[at].copy(), self.held[at].copy(), int(self.before[at]))


@dataclass(frozen=True)
class Prepared:
    """Rows as the kernel takes them."""

    rows: NDArray[np.float32]
    """(n, p) as they were given."""
    scaling: RowScaling
    """The one that they left as it was."""
    scaled: NDArray[np.float32]
    """(n, p)"""
    features: NDArray[np.float32]
    """(n, d)"""
    levels: NDArray[np.int8]
    """(n, p)"""


@dataclass(frozen=True)
class Learning:
    """One label that comes while rows are answered."""

    after: int
    """Index among the rows answered after which it comes; -1 before all."""
    row: Ticket | int
    """What it is the label of: a row that waits, or the index of one of those answered."""
    label: str


class Experts:
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

    def __init__(
        self,
        state: ExpertState,
        *,
        seed: int = 0,
        weights: Mapping[str, float] | None = None,
        available_bytes: int | None = None,
    ) -> None:
        self._seed = seed
        self._weights = weights or {}
        self._available_bytes = available_bytes
        self._set_state(state)

    def _set_state(self, state: ExpertState) -> None:
        """Take a state, and make the scratch space that goes with its plan."""
        self.state, self._plan = state, state.plan
        plan, seed = state.plan, self._seed
        self._settings = np.array([SHARE, FLOOR, FADING, *plan.rates, CELL_RATE])
        self._columns, self._thresholds = cell_tests(plan, seed)
        self._active = np.zeros(plan.tables, np.int32)
        self._nearest = np.zeros(NEIGHBOURS, np.int32)
        self._distances = np.zeros(max(plan.remembered, 1), np.int32)
        self._work = np.zeros((2, plan.dimension))
        self._scratch = np.zeros((1, max(plan.max_classes, 1)), np.float32)
        self._constants = np.array([1, 0.5], np.float32) * np.float32(np.sqrt(plan.row_dimension + CONSTANTS))
        self._prepared: Prepared | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        return self.state.labels

    def seen(self) -> dict[str, int]:
        """Return the labelled rows of each label so far."""
        return {label: int(count) for label, count in zip(self.labels, self.state.seen, strict=False)}

    def within(self, available_bytes: int) -> None:
        """Hold the experts to a number of bytes, now and when classes come; raises SettingError where none fits."""
        self._available_bytes = available_bytes
        if self._plan.nbytes > available_bytes:
            self._set_state(self.state.fitted(self._wider(len(self.labels))))

    def mixing(self) -> dict[str, float]:
        """Return the weight of each expert that takes part."""
        weights, present = self.state.weights
        return {
            name: float(weight) for name, weight, here in zip(self._plan.names, weights, present, strict=True) if here
        }

    def features(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scaled rows (n, p) to features (n, d): random units with thresholds, the row, a constant."""
        rows, width = len(scaled), self._plan.lift_width
        out = np.ones((rows, self._plan.dimension), np.float32)
        out[:, width:-1] = scaled
        if width and rows:
            both = np.empty((rows, self._plan.row_dimension + CONSTANTS), np.float32)
            both[:, :-CONSTANTS], both[:, -CONSTANTS:] = scaled, self._constants
            lifted = np.empty((rows, width + both.shape[1]), np.float32)
            kernels.lift_rows(both, self._seed, lifted)
            out[:, :width] = lifted[:, :width]
        return out

    def take_part(self, place: int, *, present: bool) -> None:
        """Let a fixed expert take part or not; one that begins starts with the share of an even mixture."""
        weights = self.state.weights
        if bool(weights[1, place]) == present:
            return
        weights[1, place] = present
        count = weights[1].sum()
        weights[0, place] = 1 / max(count - 1, 1) if present else 0
        weights[0] /= weights[0].sum()

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
        prepared = self._prepare(rows, tickets)
        held, before = self._held(fixed, tickets, len(rows))
        out = np.zeros((len(before), held.shape[2]), np.float32)
        self._run(prepared, self._steps(len(rows), learnings), before, held, out)
        made = Tickets(prepared.scaled[: len(rows)], held[: len(rows)], before[: len(rows)])
        return out[: len(rows), : len(self.labels)], made

    def _prepare(self, rows: NDArray[np.float32], tickets: Sequence[Ticket]) -> Prepared:
        """Scale rows, and put those that wait behind them; rows that came last are taken as they were prepared."""
        last, before = self._prepared, self.state.scaling
        if last is not None and last.rows is rows and last.scaling is before and not tickets:
            return last
        scaling, scaled = before.take(rows)
        if scaling is not before:
            self.state = replace(self.state, scaling=scaling)
        both = np.concatenate([scaled, *(one.scaled[None] for one in tickets)]) if tickets else scaled
        levels = np.rint(both * np.float32(_LEVELS / LIMIT)).astype(np.int8)
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
        for label in labels:
            self.state.seen[self.labels.index(label)] += 1

    def _wider(self, classes: int) -> ExpertPlan:
        """Return a plan for more classes, of the experts at hand that still fit."""
        return plan_experts(
            row_dimension=self._plan.row_dimension,
            max_classes=capacity_for(classes),
            available_bytes=1 << 62 if self._available_bytes is None else self._available_bytes,
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
        steps, answered, waiting = [], 0, rows
        for one in learnings:
            row = one.row
            if isinstance(row, Ticket):
                row, waiting = waiting, waiting + 1
            while answered <= one.after:
                steps.append([answered, -1, -1])
                answered += 1
            if steps and steps[-1][1] < 0:
                steps[-1][1:] = row, index[one.label]
            else:
                steps.append([-1, row, index[one.label]])
        steps += [[row, -1, -1] for row in range(answered, rows)]
        return np.array(steps, np.int32).reshape(-1, 3)

    def _run(
        self,
        prepared: Prepared,
        steps: NDArray[np.int32],
        before: NDArray[np.int32],
        held: NDArray[np.float32],
        out: NDArray[np.float32],
    ) -> None:
        state = self.state
        weights = np.array([self._weights.get(label, 1.0) for label in self.labels] or [1.0], np.float32)
        kernels.follow_rows(
            prepared.features,
            prepared.levels,
            steps,
            FIXED,
            weights,
            self._settings,
            state.counters,
            state.weights,
            state.reliability,
            state.transitions,
            state.gradient,
            self._columns,
            self._thresholds,
            state.cells,
            state.forgetting,
            state.solved,
            state.inverses,
            state.memory,
            state.memory_labels,
            self._nearest,
            self._distances,
            self._active,
            self._work,
            self._scratch,
            before,
            held,
            out,
        )


def cell_tests(plan: ExpertPlan, seed: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the tests of the random cells: columns (M, TESTS), -1 for none, and thresholds in standard deviations.

    Table m has 1 + m mod TESTS tests: few tests are learnt soon, many see what columns do together.
    """
    raw = np.random.Philox(key=seed).random_raw(plan.tables * TESTS * 4).reshape(plan.tables, TESTS, 4)
    columns = (raw[:, :, 0] % np.uint64(plan.row_dimension)).astype(np.int32)
    uniform = (raw[:, :, 1:] >> np.uint64(11)) * 2.0**-53
    thresholds = 2 * uniform.sum(axis=2) - 3  # bell-shaped, of spread 1
    unused = np.arange(TESTS) > np.arange(plan.tables)[:, None] % TESTS
    columns[unused] = -1
    return columns, thresholds.astype(np.float32)
