"""A stream, row by row: each is answered first and learnt from when its label comes (Gama, Sebastião, Rodrigues 2013).

Statistics only add up while nothing changes. Where ADWIN sees the error rise, the learner waits for enough labels from
after the change, and then lets the ways out compete on the latest of them: to go on as it is, to go back to a
revision that is kept, to let the old statistics weigh no more than the new ones, or to begin anew. Only one that
answers them better with certainty replaces what is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edgecl.drift.adwin import Adwin
from edgecl.drift.detector import Detector
from edgecl.drift.outlier_score import surprise
from edgecl.errors import SettingError
from edgecl.gate.bounds import paired_bound
from edgecl.gate.verdict import Verdict
from edgecl.learning.drift_response import AS_IT_IS, Drift
from edgecl.learning.stream_statistics import (
    CONFIRM,
    RECENT,
    Known,
    Statistics,
    exemplars_of_label,
    head_answers,
    weighing_at_most,
)
from edgecl.model.closed_form import Factor, factorise, linear_discriminant, squared_distances
from edgecl.model.exemplars import Exemplars, dequantise, herd, quantise, quotas, row_bytes
from edgecl.model.head import HeadState
from edgecl.model.memory import workspace_for
from edgecl.model.model import Model
from edgecl.model.statistics import ClassStatistics, accumulate, packed_length
from edgecl.units import format_bytes

SNAPSHOTS = RECENT // CONFIRM + 1  # of the statistics, so that one is from before the change
ROW_OVERHEAD = 400  # bytes of the objects that hold a row


@dataclass
class Tally:
    """What came by, and what was answered right before its label was seen."""

    rows: int = 0
    labelled: int = 0
    correct: int = 0
    same_again: int = 0  # answered right by the label before it
    by_label: dict[str, list[int]] = field(default_factory=dict)  # label: [rows, answered right]
    shifts: list[int] = field(default_factory=list)  # rows at which what has no labels began to look different

    @property
    def accuracy(self) -> float:
        return self.correct / max(self.labelled, 1)

    @property
    def balanced_accuracy(self) -> float:
        return float(np.mean([right / rows for rows, right in self.by_label.values()])) if self.by_label else 0.0


class Prequential:
    """The learner of a stream; memory is bounded, whatever comes.

    Parameters
    ----------
    model
        To go on from.
    label_delay
        Rows that come between a row and its label.

    Raises
    ------
    SettingError
        The memory granted does not hold what a stream needs, or the model's statistics are not in memory.
    """

    def __init__(self, model: Model, *, label_delay: int = 0) -> None:
        self.model = replace(model, ewc=None)
        self.tally = Tally()
        self._live = model.head
        self._delay = label_delay
        self._features = model.settings.features
        self._workspace = workspace_for(model.settings)
        self._require_memory()
        self._waiting: deque[tuple[int, str, NDArray[np.int8], np.float32, str | None, str | None]] = deque()
        self._recent: deque[Known] = deque(maxlen=RECENT)
        self._snapshots: deque[tuple[int, Statistics]] = deque(maxlen=SNAPSHOTS)
        self._errors: Detector = Adwin.start()
        self._surprise: Detector = Adwin.start()
        self._factor: Factor | None = None
        self._last_label: str | None = None
        self.concept: Model | None = None  # what held before the last drift
        self._change: tuple[int, int] | None = None  # labelled rows when it was noticed, and since when
        if model.statistics:
            self._solve()

    def _require_memory(self) -> None:
        settings = self.model.settings
        packed = packed_length(self._features.dimension)
        scatters = settings.max_classes * packed * 4
        self._row_bytes = row_bytes(self._features.row_dimension) + ROW_OVERHEAD
        rows = (RECENT + self._delay) * self._row_bytes
        needed = packed * settings.solver_type.itemsize + (2 + SNAPSHOTS) * scatters + rows
        if needed > settings.memory_bytes:
            raise SettingError(
                f"a stream of {settings.max_classes} classes and a label delay of {self._delay} needs "
                f"{format_bytes(needed)}, {format_bytes(settings.memory_bytes)} were granted: init with more --memory, "
                "or fewer --max-classes"
            )

    def take(self, labels: Sequence[str | None], latents: NDArray[np.float32]) -> None:
        """Answer rows (n, D), then learn from the labels that are due; None is a row without one."""
        rows = quantise(self._features.project(latents))
        inputs = self._features.lift(dequantise(rows.rows, rows.scales))
        said, live_said = head_answers(self.model.head, inputs), head_answers(self._live, inputs)
        for index, label in enumerate(labels):
            if label is not None:
                waiting = (rows.rows[index], rows.scales[index], said[index], live_said[index])
                self._waiting.append((self.tally.rows, label, *waiting))
            self.tally.rows += 1
        unlabelled = [index for index, label in enumerate(labels) if label is None]
        if unlabelled:
            self._watch(inputs[unlabelled])
        self._learn([*self._due()])

    @property
    def nbytes(self) -> int:
        """What a stream holds beside the model: scatters and their snapshots, recent rows, rows whose label waits."""
        held = {id(one): one for _, statistics in self._snapshots for one in statistics.values()}
        held |= {id(one): one for one in self.model.statistics.values()}
        rows = len(self._recent) + len(self._waiting)
        return sum(one.scatter.nbytes for one in held.values()) + rows * self._row_bytes

    def knows_with(self, new: Collection[str], label: str) -> bool:
        """Whether there is room for a label beside those taught and those about to be."""
        known = {*self.model.statistics, *new}
        return label in known or len(known) < self.model.settings.max_classes

    def flush(self) -> None:
        """The stream has ended: the labels still on their way come now."""
        self._delay = 0
        self._learn([*self._due()])

    def _due(self) -> Iterator[Known]:
        while self._waiting and self._waiting[0][0] + self._delay < self.tally.rows:
            _, label, row, scale, said, live_said = self._waiting.popleft()
            yield Known(label, row, scale, said == label, live_said == label)

    def _learn(self, due: Sequence[Known]) -> None:
        if not due:
            return
        for one in due:
            self._count(one)
        if self.tally.labelled // CONFIRM > (self.tally.labelled - len(due)) // CONFIRM:
            self._snapshots.append((self.tally.labelled - len(due), self.model.statistics))
        self._recent.extend(due)
        signal = self._errors.update([not one.correct for one in due])
        self._errors = signal.detector
        for change in signal.changes:
            if change.direction > 0 and self._change is None:
                noticed = self.tally.labelled - len(due) + change.at + 1
                self._change = noticed, change.since
        self.model = replace(self.model, statistics=self._added(self.model.statistics, due))
        self._solve()

    def _count(self, one: Known) -> None:
        self.tally.labelled += 1
        self.tally.correct += one.correct
        self.tally.same_again += one.label == self._last_label
        self._last_label = one.label
        counts = self.tally.by_label.setdefault(one.label, [0, 0])
        counts[0] += 1
        counts[1] += one.correct

    def _added(self, statistics: Statistics, rows: Sequence[Known]) -> Statistics:
        """The statistics with rows added."""
        self._factor = None  # its Cholesky factor lies in the workspace
        grown = dict(statistics)
        for label in {one.label: None for one in rows}:
            count, mean = accumulate(
                grown.get(label), self._features.blocks(exemplars_of_label(rows, label)), self._workspace
            )
            grown[label] = ClassStatistics(count, mean, self._workspace.astype(np.float32))
        return grown

    def _head(self, statistics: Statistics) -> HeadState:
        self._factor = factorise(statistics, self._workspace, shrinkage_floor=self.model.settings.shrinkage_floor)
        head = linear_discriminant(self._factor, by_frequency=True)
        means = np.array([one.mean for one in self._factor.classes], np.float32)
        typical = np.maximum((head.weights * means).sum(axis=1) + head.bias, 0)
        return replace(head, typical=typical.astype(np.float32))

    def _solve(self) -> None:
        self.model = replace(self.model, head=self._head(self.model.statistics))

    def _watch(self, inputs: NDArray[np.float32]) -> None:
        """Without labels, what is watched is how far rows lie outside what is known."""
        if self._factor is None or self._factor.effective_dimension <= 0:
            return
        distances = squared_distances(self._factor, inputs)
        signal = self._surprise.update(surprise(distances, usual=self._factor.effective_dimension))
        self._surprise = signal.detector
        if any(change.direction > 0 for change in signal.changes):
            self.tally.shifts.append(self.tally.rows)

    @property
    def has_drifted(self) -> bool:
        """Whether a drift is confirmed by enough labels, and `adapt` should decide what to do."""
        if self._change is None:
            return False
        return self.tally.labelled - self._change[0] >= CONFIRM

    def adapt(self, kept: Mapping[str, Model]) -> Drift:
        """Choose what answers the latest rows best, and go on from there.

        Parameters
        ----------
        kept
            Earlier revisions by name, newest first: the memory of what held before.
        """
        assert self._change is not None
        noticed, since = self._change
        self._change = None
        after = self.tally.labelled - noticed
        fresh = [*self._recent][-after:]  # all of them from after the change; `since` may reach back to before it
        study, judge = fresh[: len(fresh) // 2], fresh[len(fresh) // 2 :]
        before = self._before(noticed - since)
        ways: dict[str, HeadState] = {name: one.head for name, one in kept.items() if one.head is not None}
        ways["decayed"] = self._head(self._added(weighing_at_most(before, len(study)), study))
        ways["anew"] = self._head(self._added({}, study))
        self.concept = None
        if before:
            concept = replace(self.model, statistics=before, head=self._head(before))
            self.concept = self._with_exemplars(concept, [*self._recent][: -(after + since)])
        stays = np.array([one.correct for one in judge])
        right = {name: self._correct(head, judge) for name, head in ways.items()}
        best = max(right, key=lambda name: right[name].sum())
        as_good = [name for name in kept if name in right and paired_bound(right[name], right[best]) <= 0]
        if as_good:  # what was learnt from many rows once is worth more than as much from these few
            best = max(as_good, key=lambda name: right[name].sum())
        chosen = best if paired_bound(stays, right[best]) > 0 else AS_IT_IS
        if chosen != AS_IT_IS:
            self._recent = deque(fresh, maxlen=RECENT)  # the others are of another concept
        if chosen in kept:
            self.model = replace(self.model, statistics=self._added(kept[chosen].statistics, fresh))
        elif chosen == "decayed":
            self.model = replace(self.model, statistics=self._added(weighing_at_most(before, len(fresh)), fresh))
        elif chosen == "anew":
            self.model = replace(self.model, statistics=self._added({}, fresh))
        self._solve()
        accuracy = {AS_IT_IS: float(stays.mean()), **{name: float(one.mean()) for name, one in right.items()}}
        return Drift(noticed, since, chosen, accuracy, len(judge))

    def _before(self, labelled: int) -> Statistics:
        """Statistics from before a row, as far as they are held."""
        early = [statistics for at, statistics in self._snapshots if at <= labelled]
        return early[-1] if early else self._snapshots[0][1] if self._snapshots else {}

    def _correct(self, head: HeadState, rows: Sequence[Known]) -> NDArray[np.bool_]:
        held = Exemplars(np.array([one.row for one in rows]), np.array([one.scale for one in rows], np.float32))
        inputs = self._features.lift(dequantise(held.rows, held.scales))
        return np.array([said == one.label for said, one in zip(head_answers(head, inputs), rows, strict=True)])

    def verdict(self) -> Verdict:
        """Whether the learner answered the latest rows no worse than the live revision, each before it was learnt."""
        before = np.array([one.live_correct for one in self._recent], bool)
        after = np.array([one.correct for one in self._recent], bool)
        if not len(after):
            return Verdict(False, False, ("no row had a label: there was nothing to learn from",), {}, None, None, True)
        if self._live is None:
            return Verdict(True, False, ("unproven: there is no earlier model to compare with",), {}, None, None)
        change, bound = float((after * 1.0 - before).mean()), paired_bound(before, after)
        worst = -paired_bound(after, before)  # the most that the change may be, with the same certainty
        if worst < 0:
            reason = f"revision in the store answers the latest {len(after)} rows better by {-100 * change:.1f} points"
            return Verdict(False, False, (reason,), {}, change, bound)
        return Verdict(True, True, (), {}, change, bound)

    def committed(self) -> None:
        """What is known now has become the live revision."""
        self._live = self.model.head

    def learnt(self) -> Model:
        """The model with the latest rows as exemplars."""
        return self._with_exemplars(self.model, self._recent)

    def _with_exemplars(self, model: Model, rows: Iterable[Known]) -> Model:
        """A model that keeps rows of its classes in herding order, within its budget."""
        by_label: dict[str, list[Known]] = {}
        for one in rows:
            if one.label in model.statistics:
                by_label.setdefault(one.label, []).append(one)
        counts = {label: len(held) for label, held in sorted(by_label.items())}
        capacity = max(model.plan().exemplars, 0)
        shares = quotas(counts, capacity_bytes=capacity, row_dimension=self._features.row_dimension)
        lift = self._features.lift_width
        exemplars = {
            label: herd(exemplars_of_label(by_label[label], label), model.statistics[label].mean[lift:], keep=share)
            for label, share in shares.items()
            if share
        }
        return replace(model, exemplars=exemplars)
