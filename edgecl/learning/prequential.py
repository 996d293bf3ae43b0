"""A stream, row by row: each row is predicted first, and learnt when its label arrives.

Prequential evaluation after Gama, Sebastião and Rodrigues (2013). Statistics only add up while nothing changes. Where
ADWIN sees the error rate rise, the learner waits for enough labels and then responds (edgecl.learning.drift_response).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from edgecl.drift.adwin import Adwin
from edgecl.gate.verdict import Policy, Verdict, paired_bound
from edgecl.learning.alerts import Alerts, Watch
from edgecl.learning.contradictions import Contradictions
from edgecl.learning.curves import Curves
from edgecl.learning.decisions import STREAM, Prior
from edgecl.learning.drift_response import AS_IT_IS, Drift, NoticedChange, respond
from edgecl.learning.panel import Panel
from edgecl.learning.reliability import Reliability
from edgecl.learning.stream_memory import CONFIRM, RECENT, StreamMemory, stream_row_bytes
from edgecl.learning.stream_statistics import (
    KnownRow,
    OpenRow,
    Statistics,
    StreamRows,
    StreamSolver,
    highest,
    places_of,
    with_exemplars,
)
from edgecl.learning.tally import Tally
from edgecl.model.model import Model
from edgecl.values import replace

SOLVED_EVERY = 128  # labelled rows after which the closed form is solved again; fewer while there are few


class _Following:
    """The state of a learner of a stream, and what it costs."""

    def __init__(
        self,
        model: Model,
        *,
        label_delay: int = 0,
        panel: Panel | None = None,
        prior: Prior | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._model = replace(model, ewc=None)
        self._statistics: Statistics = model.statistics
        self.tally = Tally()
        self.curves = Curves()
        self.reliability = Reliability()
        self.alerts = Alerts(watch) if watch is not None else None
        self._prior = prior or Prior()
        self.concept: Model | None = None
        """The model from before the last drift."""
        self._live = model.head
        self._delay = label_delay
        self._features = model.settings.features
        self._row_bytes = stream_row_bytes(model.settings)
        self._solver = StreamSolver(model.settings)
        memory = StreamMemory.within(model.settings, label_delay=label_delay)
        if panel is None:
            panel = Panel.start(model.settings, model.labels, available_bytes=memory.experts, label_delay=label_delay)
        panel.experts.within(memory.experts)
        self.panel = panel
        self._solved_at = 0
        self.answers: list[str | None] = []
        """What was answered to the rows taken last."""
        self.probabilities: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        """(n, C) for `panel.labels`, of the rows taken last."""
        self._waiting: deque[tuple[int, KnownRow]] = deque()
        self._recent: deque[KnownRow] = deque(maxlen=RECENT)
        self._snapshots: deque[tuple[int, Statistics]] = deque(maxlen=memory.snapshots)
        self._errors = Adwin.start().in_place()
        self._surprise = Adwin.start().in_place()
        self.contradictions = Contradictions()
        self._credit = 0.0  # weights of rows that did not add up to a whole row yet
        self._last_label: str | None = None
        self._change: NoticedChange | None = None
        if model.statistics:
            self._solve()

    @property
    def model(self) -> Model:
        """The model with all that was learnt; its head is solved now and then."""
        if self._model.statistics is not self._statistics:
            self._model = replace(self._model, statistics=self._statistics)
        return self._model

    def _watched(self, index: int, answer: str | None) -> tuple[float, bool]:
        """Return the probability of the watched class for a row taken last, and whether it is an alert."""
        if self.alerts is None or self.alerts.watch.label not in self.panel.labels:
            return 0.0, False
        label = self.alerts.watch.label
        score = float(self.probabilities[index, self.panel.labels.index(label)])
        return score, self.alerts.raised(score, is_answer=answer == label)

    @property
    def nbytes(self) -> int:
        """Bytes in addition to the model: scatters and their snapshots, recent rows, rows that wait for a label."""
        held = {id(one): one for _, statistics in self._snapshots for one in statistics.values()}
        held |= {id(one): one for one in self._statistics.values()}
        rows = len(self._recent) + len(self._waiting)
        return sum(one.scatter.nbytes for one in held.values()) + rows * self._row_bytes + self.panel.nbytes

    @property
    def workspace_bytes(self) -> int:
        """Bytes of what statistics and heads are computed in."""
        return self._solver.nbytes

    def has_room_for(self, label: str, new: Collection[str]) -> bool:
        """Test whether a label fits next to those taught and the `new` ones."""
        if label in self._statistics or label in new:
            return True
        return len({*self._statistics, *new}) < self._model.settings.max_classes

    def _solve(self) -> None:
        if not self._statistics:
            return
        self._solved_at = self.tally.labelled
        head = self._solver.head(self._statistics)
        self._model = replace(self._model, statistics=self._statistics, head=head)


class Prequential(_Following):
    """The learner of a stream; its memory is bounded.

    Parameters
    ----------
    model
        The model to start from.
    label_delay
        Rows between a row and its label.
    panel
        The experts of an earlier stream to go on with; by default new ones.
    prior
        How frequent classes are taken to be in an answer; by default as in the stream.
    watch
        A class to raise alerts for.

    Raises
    ------
    SettingError
        The granted memory is too small for a stream.
    """

    def rows(self, latents: NDArray[np.float32]) -> StreamRows:
        """Return latents (n, D) as `take` and `predict` use them: a row that is given to both is prepared once."""
        return StreamRows(self._features.project(latents), self._features)

    def take(self, labels: Sequence[str | None], latents: NDArray[np.float32] | StreamRows) -> None:
        """Predict rows (n, D), then learn from the labels that are due; None is a row without a label."""
        rows = latents if isinstance(latents, StreamRows) else self.rows(latents)
        head = self._model.head
        answers, live_answers = rows.answers(head), rows.answers(self._live)
        confidences = self._note(self.panel.take(labels, rows, head), len(labels))
        ranks, owns = places_of(self.probabilities, self.panel.labels, labels)
        columns = zip(
            labels, rows.kept_rows, rows.kept_scales, answers, live_answers, self.answers, confidences, ranks, owns,
            strict=True,
        )  # fmt: skip
        for at, (label, row, scale, closed, live, answer, sure, rank, own) in enumerate(columns, self.tally.rows):
            if label is not None:
                watched = self._watched(at - self.tally.rows, answer) if self.alerts is not None else (0.0, False)
                known = KnownRow(
                    label, row, scale, closed == label, live == label, answer, answer == label, sure, rank, own, watched
                )
                self._waiting.append((at, known))
        self.tally.rows += len(labels)
        if unlabelled := [index for index, label in enumerate(labels) if label is None]:
            self._watch(rows.inputs[unlabelled])
        self._learn(self._due())

    def _note(self, given: NDArray[np.float32], rows: int) -> list[float]:
        """Keep what the panel answered to the rows taken last; return how sure it was of each."""
        self.probabilities = self._adjusted(given)
        labels = self.panel.labels
        if not labels:
            self.answers = [None] * rows
            return [0.0] * rows
        confidences, best = highest(self.probabilities)
        self.answers = [labels[at] if sure > 0 else None for at, sure in zip(best, confidences, strict=True)]
        return confidences

    def open(self, latents: NDArray[np.float32]) -> list[OpenRow]:
        """Predict rows (n, D) whose labels come later, in any order, by `close`."""
        rows = self.rows(latents)
        head = self._model.head
        heads, live = rows.answers(head), rows.answers(self._live)
        given, tickets = self.panel.open(rows, head)
        self._note(given, len(rows))
        self.tally.rows += len(rows)
        return [
            OpenRow(
                tickets[at], rows.kept_rows[at], rows.kept_scales[at], heads[at], live[at], self.answers[at],
                self.probabilities[at].copy(), self.panel.labels, self._watched(at, self.answers[at]),
            )
            for at in range(len(rows))
        ]  # fmt: skip

    def close(self, row: OpenRow, label: str) -> None:
        """Learn from the label of a row of `open`; each row once."""
        self.panel.experts.learn(row.ticket, label)
        self._learn([row.labelled(label)])

    def predict(self, latents: NDArray[np.float32] | StreamRows) -> NDArray[np.floating]:
        """Compute probabilities (n, C) for `panel.labels` of rows (n, D), as if each came next; nothing is learnt."""
        rows = latents if isinstance(latents, StreamRows) else self.rows(latents)
        return self._adjusted(self.panel.predict(rows, self._model.head))

    def _adjusted(self, given: NDArray[np.float32]) -> NDArray[np.floating]:
        if self._prior.kind == STREAM:
            return given
        return self._prior.adjusted(given, self.panel.labels, self.panel.experts.seen())

    def flush(self) -> None:
        """Learn from the labels that are still delayed: the stream has ended."""
        self._delay = 0
        self.panel.flush()
        self._learn(self._due())
        self._solve()

    def _due(self) -> list[KnownRow]:
        """Take the rows whose labels have come from those that wait."""
        due, waiting, until = [], self._waiting, self.tally.rows - self._delay
        while waiting and waiting[0][0] < until:
            due.append(waiting.popleft()[1])
        return due

    def _learn(self, due: Sequence[KnownRow]) -> None:
        if not due:
            return
        self._count(due)
        labelled_before = self.tally.labelled - len(due)
        if self.tally.labelled // CONFIRM > labelled_before // CONFIRM:
            self._snapshots.append((labelled_before, self._statistics))
        self._recent.extend(due)
        wrong = [not one.correct for one in due]
        for change in self._errors.extend(wrong) if wrong[1:] else [self._errors.add(wrong[0])]:
            if change is not None and change.direction > 0 and self._change is None:
                self._change = NoticedChange(change.at + 1, change.since)
        self._statistics = self._solver.added(self._statistics, self._worth(due))
        if self.tally.labelled - self._solved_at >= min(self._solved_at // 8, SOLVED_EVERY):
            self._solve()

    def _count(self, due: Sequence[KnownRow]) -> None:
        """Count what was answered to rows, now that their labels are known."""
        labels, right = [one.label for one in due], [one.is_right for one in due]
        answers, confidences = [one.answer for one in due], [one.confidence for one in due]
        self.tally.add(labels, right, [one.rank for one in due], last_label=self._last_label)
        self.curves.add(labels, answers, confidences)
        answered = [answer is not None for answer in answers]
        self.reliability.add([*compress(confidences, answered)], [*compress(right, answered)])
        if self.alerts is not None:
            for one in due:
                score, is_alert = one.watched
                self.alerts.learn(score, is_alert=is_alert, is_class=one.label == self.alerts.watch.label)
        self._last_label = labels[-1]

    def _worth(self, due: Sequence[KnownRow]) -> list[KnownRow]:
        """Return the rows that never forgets what it learns: of those that weigh a tenth each, every tenth."""
        known = self._statistics  # a label that is not in them was not known when the row was answered
        owns = [one.own if one.label in known else None for one in due]
        weights, self.contradictions = self.contradictions.weigh_each(owns)
        worth = []
        for one, weight in zip(due, weights, strict=True):
            if weight == 1:
                worth.append(one)
                continue
            self._credit += weight
            if self._credit >= 1:
                self._credit -= 1
                worth.append(one)
        return worth

    def _watch(self, inputs: NDArray[np.float32]) -> None:
        """Watch how far unlabelled rows are outside what is known."""
        if not self._solver.has_factor:
            self._solve()
        scores = self._solver.outlier_scores(inputs)
        if scores is None:
            return
        if any(change.direction > 0 for change in self._surprise.extend(scores)):
            self.tally.shifts.append(self.tally.rows)

    @property
    def has_drifted(self) -> bool:
        """Whether a drift is confirmed by enough labels, so that `adapt` can respond."""
        return self._change is not None and self.tally.labelled - self._change.row >= CONFIRM

    def adapt(self, kept: Mapping[str, Model]) -> Drift:
        """Respond to the drift, and go on with what predicts the latest rows best.

        Parameters
        ----------
        kept
            Earlier revisions by name, newest first.
        """
        assert self._change is not None
        change, self._change = self._change, None
        response = respond(
            self.model,
            [*self._recent],
            change,
            solver=self._solver,
            before=self._statistics_before(change.row - change.since),
            after=self.tally.labelled - change.row,
            kept=kept,
        )
        self.concept = response.concept
        self.panel.keep(one.head for one in kept.values() if one.head is not None)
        if response.drift.chosen != AS_IT_IS:
            self.panel.rebalance()
        self._recent = deque(response.rows, maxlen=RECENT)
        self._statistics = response.statistics
        self._solve()
        return response.drift

    def _statistics_before(self, labelled: int) -> Statistics:
        """Return the latest snapshot from before a labelled row, or the oldest there is."""
        early = [statistics for at, statistics in self._snapshots if at <= labelled]
        return early[-1] if early else self._snapshots[0][1] if self._snapshots else {}

    def verdict(self) -> Verdict:
        """Judge whether the latest rows were predicted no worse than by the live revision."""
        before = np.array([one.live_correct for one in self._recent], bool)
        after = np.array([one.is_right for one in self._recent], bool)
        if not len(after):
            return Verdict(False, False, ("no row had a label: there was nothing to learn from",), {}, None, None, True)
        if self._live is None:
            return Verdict(True, False, ("unproven: there is no earlier model to compare with",), {}, None, None)
        change, bound = float((after * 1.0 - before).mean()), paired_bound(before, after)
        worst = -paired_bound(after, before)  # upper bound of the change, with the same certainty
        if worst < -Policy().allowed_pooled_loss:
            reason = f"revision in the store answers the latest {len(after)} rows better by {-100 * change:.1f} points"
            return Verdict(False, False, (reason,), {}, change, bound)
        return Verdict(True, True, (), {}, change, bound)

    def committed(self) -> None:
        """Note that the present model is now the live revision."""
        self._live = self._model.head

    def learnt(self) -> Model:
        """Return the model with the latest rows as exemplars, and a head of all rows so far."""
        self._solve()
        return with_exemplars(self.model, self._recent)
