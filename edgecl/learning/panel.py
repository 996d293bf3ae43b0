"""The experts of a stream next to the heads of models: the closed form, and kept revisions that may come back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import is_
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.learning.expert_plan import CLOSED_FORM, FIXED, ExpertPlan, capacity_for, plan_experts
from edgecl.learning.expert_state import ExpertState
from edgecl.learning.experts import Experts, Learning, Tickets
from edgecl.learning.one_row import Ticket
from edgecl.learning.stream_statistics import StreamRows
from edgecl.model.head import HeadState, probabilities
from edgecl.model.settings import Settings

_PLAN_MEMBERS = ("row_dimension", "max_classes", "lift_width", "rates", "forgettings", "tables", "remembered")


class Panel:
    """Everything that answers a stream's rows; its answers are the mixture's.

    Parameters
    ----------
    experts
        Those that learn at every label.
    kept
        Heads of kept revisions, at most FIXED - 1.
    label_delay
        Rows that come between a row and its label.
    """

    def __init__(self, experts: Experts, kept: Sequence[HeadState] = (), *, label_delay: int = 0) -> None:
        self.experts = experts
        self._delay = label_delay
        self._rows = 0
        self._waiting: deque[tuple[int, str, Ticket]] = deque()
        self._fixed: tuple[StreamRows, tuple[str, ...], tuple[HeadState | None, ...], NDArray[np.float32]] | None = None
        """What heads answered last: rows, labels, heads and `fixed` of them."""
        self._matches: dict[tuple[str, ...], tuple[tuple[str, ...], NDArray[np.intp], NDArray[np.intp]]] = {}
        """Labels of a head: those wanted, and what `_matched` found."""
        self.kept: tuple[HeadState, ...] = ()
        self.keep(kept)

    @staticmethod
    def start(settings: Settings, labels: Sequence[str], *, available_bytes: int, label_delay: int = 0) -> Panel:
        """Return the panel of a model that knows labels; raises SettingError where not one expert fits."""
        plan = plan_experts(
            row_dimension=settings.features.row_dimension,
            max_classes=capacity_for(len(labels)),
            available_bytes=available_bytes,
        )
        experts = Experts(ExpertState.start(plan), seed=settings.seed, available_bytes=available_bytes)
        experts.know(labels)
        return Panel(experts, label_delay=label_delay)

    @property
    def nbytes(self) -> int:
        waiting = len(self._waiting) * self.experts.state.plan.waiting_bytes(len(self.labels))
        return self.experts.state.nbytes + waiting + sum(one.nbytes for one in self.kept)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.experts.labels

    def keep(self, heads: Iterable[HeadState]) -> None:
        """Let the heads of kept revisions take part, newest first, in place of those before."""
        self.kept = tuple(heads)[: FIXED - 1]
        for place in range(1, FIXED):
            self.experts.take_part(place, present=place <= len(self.kept))

    def rebalance(self) -> None:
        """Weigh all that take part alike: after a drift, what was best before it says little."""
        weights = self.experts.state.weights
        weights[0] = weights[1] / weights[1].sum()

    def fixed(self, rows: StreamRows, head: HeadState | None) -> NDArray[np.float32]:
        """Compute what the heads answer to n rows: (n, FIXED, C) for `labels`."""
        heads = (head, *self.kept)
        self.experts.take_part(CLOSED_FORM, present=head is not None and len(head.labels) > 0)
        if self._fixed is not None:  # a row is mostly predicted, then learnt
            known, labels, before, out = self._fixed
            if known is rows and labels == self.labels and all(map(is_, before, heads)) and len(before) == len(heads):
                return out
        out = np.zeros((len(rows), FIXED, len(self.labels)), np.float32)
        for place, one in enumerate(heads):
            if one is not None and one.labels:
                known, columns = self._matched(one.labels, self.labels)
                out[:, place, columns] = probabilities(rows.logits(one))[:, known]
        self._fixed = rows, self.labels, heads, out
        return out

    def _matched(self, labels: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[Any, Any]:
        """Return which classes of a head are among the `wanted`, and where in them."""
        if labels == wanted:
            return slice(None), slice(None)
        if (found := self._matches.get(labels)) is None or found[0] != wanted:
            known = [at for at, label in enumerate(labels) if label in wanted]
            found = self._matches[labels] = (
                wanted,
                np.array(known, np.intp),  # none where a head has other classes alone
                np.array([wanted.index(labels[at]) for at in known], np.intp),
            )
            if len(self._matches) > FIXED:
                del self._matches[next(iter(self._matches))]
        return found[1:]

    def take(
        self,
        labels: Sequence[str | None],
        rows: StreamRows,
        head: HeadState | None,
    ) -> NDArray[np.float32]:
        """Answer n rows, and learn from the labels that are due.

        Returns
        -------
        Probabilities (n, C) for `labels`.
        """
        first, count, learnings = self._rows, len(rows), []
        if count > 1 and not self._delay and not self._waiting:
            self._rows += count
            return self.experts.follow_labelled(rows.projected, self.fixed(rows, head), labels)
        while self._waiting and self._waiting[0][0] + self._delay < first + count:
            row, awaited, ticket = self._waiting.popleft()
            learnings.append(Learning(max(row + self._delay - first, 0), ticket, awaited))
        inside = max(count - self._delay, 0)  # rows whose labels come while the others are answered
        for at, known in enumerate(labels[:inside]):
            if known is not None:
                learnings.append(Learning(at + self._delay, at, known))
        out, tickets = self.experts.follow(rows.projected, self.fixed(rows, head), learnings)
        for at, late in enumerate(labels[inside:], inside):
            if late is not None:
                self._waiting.append((first + at, late, tickets[at]))
        self._rows += count
        return out

    def open(self, rows: StreamRows, head: HeadState | None) -> tuple[NDArray[np.float32], Tickets]:
        """Answer rows as `take` does; each ticket is given to `experts.learn` when its label comes."""
        out, tickets = self.experts.follow(rows.projected, self.fixed(rows, head), [])
        self._rows += len(rows)
        return out, tickets

    def flush(self) -> None:
        """Learn from the labels that are still delayed."""
        while self._waiting:
            _, label, ticket = self._waiting.popleft()
            self.experts.learn(ticket, label)

    def predict(self, rows: StreamRows, head: HeadState | None) -> NDArray[np.float32]:
        """Compute probabilities (n, C) for `labels`, each row as if it came next; nothing is learnt or changed."""
        scaling, fixed, projected = self.experts.state.scaling, self.fixed(rows, head), rows.projected
        is_settled = len(rows) > 1 and scaling.is_settled(projected)
        at_once = len(rows) if is_settled else 1  # each row may change the scale
        out = [np.zeros((0, len(self.labels)), np.float32)]
        for at in range(0, len(rows), at_once):
            one = projected if at_once >= len(rows) else projected[at : at + at_once]
            out.append(self.experts.follow(one, fixed[at : at + at_once], [])[0])
            if self.experts.state.scaling is not scaling:
                self.experts.state = replace(self.experts.state, scaling=scaling)
        return np.concatenate(out)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that `from_arrays` reads back."""
        held = {f"kept_{at}_{name}": value for at, one in enumerate(self.kept) for name, value in one.arrays().items()}
        return {**self.experts.state.arrays(), **held}

    def body(self) -> dict[str, Any]:
        """Return what a revision states about the experts, next to their arrays."""
        plan = {name: getattr(self.experts.state.plan, name) for name in (*_PLAN_MEMBERS, "paired")}
        return {
            "plan": {name: list(one) if isinstance(one, tuple) else one for name, one in plan.items()},
            "labels": list(self.labels),
            "kept": [{"labels": list(one.labels), "kind": one.kind} for one in self.kept],
        }

    @staticmethod
    def from_arrays(
        arrays: Mapping[str, NDArray[np.generic]],
        body: Mapping[str, Any],
        *,
        settings: Settings,
        label_delay: int = 0,
    ) -> Panel:
        """Rebuild from stored arrays; raises ValueError where they do not fit the revision's body."""
        try:
            stated = {name: body["plan"][name] for name in _PLAN_MEMBERS}
            stated["paired"] = body["plan"].get("paired", False)  # not stated by streams that began earlier
            members: dict[str, Any] = {
                name: tuple(one) if isinstance(one, list) else one for name, one in stated.items()
            }
            plan = ExpertPlan(**members)
            if plan.row_dimension != settings.features.row_dimension:
                raise ValueError(f"the experts are of {plan.row_dimension} columns")
            state = ExpertState.from_arrays(arrays, plan=plan, labels=body["labels"])
            kept = [_kept_head(arrays, at, one) for at, one in enumerate(body["kept"])]
        except (KeyError, TypeError) as error:
            raise ValueError(f"the experts of the revision cannot be used: {error}") from error
        return Panel(Experts(state, seed=settings.seed), kept, label_delay=label_delay)


def _kept_head(arrays: Mapping[str, NDArray[np.generic]], at: int, stated: Mapping[str, Any]) -> HeadState:
    parts = {name: arrays[f"kept_{at}_{name}"] for name in ("weights", "bias", "typical")}
    return HeadState.from_arrays(parts, labels=stated["labels"], kind=stated["kind"])
