"""Statistics, heads and exemplars of a stream, made from its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

from edgecl.drift.outlier_score import outlier_scores
from edgecl.learning.one_row import Ticket
from edgecl.model.exemplars import Exemplars, FeatureMap, dequantise, herd, quotas
from edgecl.model.head import Factor, HeadState, factorise, linear_discriminant, squared_distances
from edgecl.model.model import Model
from edgecl.model.settings import Settings, workspace_for
from edgecl.model.statistics import ClassStatistics, accumulate

Statistics = Mapping[str, ClassStatistics]
FEW = 16  # classes up to which one row is faster as a list than as an array


class KnownRow(NamedTuple):
    """One row whose label has arrived."""

    label: str
    row: NDArray[np.int8]
    """(p,)"""
    scale: np.float32
    correct: bool
    """Whether the closed form predicted it right before it learnt from it: what the detector watches."""
    live_correct: bool
    """Whether the live revision of the store predicts it right."""
    answer: str | None = None
    """What was answered by all experts; None where nothing was known."""
    answered: bool | None = None
    """Whether what was answered, by all experts, was right; None where the closed form answers alone."""
    confidence: float = 0.0
    """Probability of the answer."""
    rank: int | None = None
    """Labels that were likelier than this one; None where it was not known."""
    own: float | None = None
    """Probability that was given to its label before it came; None where the label was not known."""
    watched: tuple[float, bool] = (0.0, False)
    """Probability of the watched class, and whether the row was an alert."""

    @property
    def is_right(self) -> bool:
        return self.correct if self.answered is None else self.answered


@dataclass(frozen=True)
class OpenRow:
    """One row that was predicted and waits for its label."""

    ticket: Ticket
    row: NDArray[np.int8]
    """(p,)"""
    scale: np.float32
    head_answer: str | None
    """The closed form's."""
    live_answer: str | None
    """The live revision's."""
    answer: str | None
    """The mixture's."""
    probabilities: NDArray[np.float32]
    """(C,) for `labels`."""
    labels: tuple[str, ...]
    watched: tuple[float, bool]

    def labelled(self, label: str) -> KnownRow:
        """Return the row with its label, judged by what was predicted before it came."""
        rank, own = place_of(self.probabilities, self.labels, label)
        return KnownRow(
            label,
            self.row,
            self.scale,
            self.head_answer == label,
            self.live_answer == label,
            answer=self.answer,
            answered=self.answer == label,
            confidence=float(self.probabilities.max(initial=0)),
            rank=rank,
            own=own,
            watched=self.watched,
        )


def place_of(probabilities: NDArray[np.float32], labels: Sequence[str], label: str) -> tuple[int | None, float | None]:
    """Return how many labels were likelier for a row (C,) than its own, and the probability of its own.

    The first is None where that is nothing, and both are where the label was not known.
    """
    if label not in labels:
        return None, None
    if len(labels) <= FEW:
        values: list[float] = probabilities.tolist()
        given = values[labels.index(label)]
        return sum(one > given for one in values) if given > 0 else None, given
    own = probabilities[labels.index(label)]
    return int(np.count_nonzero(probabilities > own)) if own > 0 else None, float(own)


def highest(rows: NDArray[np.floating]) -> tuple[list[float], list[int]]:
    """Return the highest value of each row (n, C), and where it is first."""
    if len(rows) == 1 and rows.shape[1] <= FEW:
        values = rows[0].tolist()
        most = max(values)
        return [most], [values.index(most)]
    return rows.max(axis=1).tolist(), rows.argmax(axis=1).tolist()


def places_of(
    probabilities: NDArray[np.floating], labels: Sequence[str], wanted: Sequence[str | None]
) -> tuple[list[int | None], list[float | None]]:
    """Return both columns of `place_of` for rows (n, C), each with its label."""
    if len(wanted) < 4 or not labels:  # the arrays cost more than they save
        found = [
            (None, None) if label is None else place_of(one, labels, label)
            for one, label in zip(probabilities, wanted, strict=True)
        ]
        return [rank for rank, _ in found], [own for _, own in found]
    index = {label: at for at, label in enumerate(labels)}
    at = [-1 if label is None else index.get(label, -1) for label in wanted]
    owns = probabilities[np.arange(len(at)), at]
    ranks = np.count_nonzero(probabilities > owns[:, None], axis=1)
    given = owns.tolist()
    return (
        [rank if where >= 0 and own > 0 else None for where, rank, own in zip(at, ranks.tolist(), given, strict=True)],
        [own if where >= 0 else None for where, own in zip(at, given, strict=True)],
    )


def _seen(rows: NDArray[np.int8], scales: NDArray[np.float32] | np.float32) -> NDArray[np.float32]:
    """Return int8 rows (n, p) times their scales, with the bits of `dequantise`: of few rows in a fifth of its time."""
    return np.multiply(rows, scales, dtype=np.float32)


class StreamRows:
    """Rows (n, p) as experts and heads see them; what heads answer is computed once, for answers and for learning.

    Parameters
    ----------
    projected
        (n, p), finite.
    features
        Of the model.
    """

    def __init__(self, projected: NDArray[np.float32], features: FeatureMap) -> None:
        self.projected = projected
        self.kept_rows = np.empty(projected.shape, np.int8)
        self.kept_scales = np.empty(len(projected), np.float32)
        kernels.quantise_rows(projected, self.kept_rows, self.kept_scales)
        self.inputs: NDArray[np.float32] = features.lift(_seen(self.kept_rows, self.kept_scales[:, None]))
        """(n, d) as the closed form sees them: of the rows as they are kept."""
        self._logits: list[tuple[HeadState, NDArray[np.float32]]] = []

    def __len__(self) -> int:
        return len(self.projected)

    def logits(self, head: HeadState) -> NDArray[np.float32]:
        """Return the logits (n, C) of a head."""
        for known, logits in self._logits:
            if known is head:
                return logits
        self._logits.append((head, head.logits(self.inputs)))
        return self._logits[-1][1]

    def answers(self, head: HeadState | None) -> list[str | None]:
        """Return the label that a head gives each row; None where there is no class yet."""
        if head is None or not head.labels:
            return [None] * len(self)
        return [head.labels[index] for index in self.logits(head).argmax(axis=1)]


class StreamSolver:
    """Computes statistics and heads in one workspace, whatever the number of rows.

    Parameters
    ----------
    settings
        Those of the model: features, precision and shrinkage.
    """

    def __init__(self, settings: Settings) -> None:
        self._features = settings.features
        self._shrinkage_floor = settings.shrinkage_floor
        self._workspace = workspace_for(settings)
        self._factor: Factor | None = None

    def added(self, statistics: Statistics, rows: Sequence[KnownRow]) -> Statistics:
        """Return the statistics with rows added."""
        grown = dict(statistics)
        if rows:
            self._factor = None  # the workspace is overwritten
        for label in {one.label: None for one in rows}:
            blocks = self._blocks([one for one in rows if one.label == label])
            count, mean = accumulate(grown.get(label), blocks, self._workspace)
            grown[label] = ClassStatistics(count, mean, self._workspace.astype(np.float32))
        return grown

    def _blocks(self, rows: Sequence[KnownRow]) -> Iterable[NDArray[np.float32]]:
        """Return features of rows, a few at a time."""
        if len(rows) > 1:
            return self._features.blocks(as_exemplars(rows))
        return [self._features.lift(_seen(rows[0].row[None], rows[0].scale))]

    def head(self, statistics: Statistics) -> HeadState:
        """Return the linear discriminant of the statistics, with class frequencies as priors."""
        self._factor = factorise(statistics, self._workspace, shrinkage_floor=self._shrinkage_floor)
        head = linear_discriminant(self._factor)
        means = np.array([one.mean for one in self._factor.classes], np.float32)
        typical = np.maximum((head.weights * means).sum(axis=1) + head.bias, 0)
        return replace(head, typical=typical.astype(np.float32))

    @property
    def nbytes(self) -> int:
        return self._workspace.nbytes

    @property
    def has_factor(self) -> bool:
        """Whether the workspace holds the factor of the latest head, so that outliers can be scored."""
        return self._factor is not None

    def outlier_scores(self, inputs: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """Return how far features (n, d) are outside the statistics of the latest head: (n,), or None without one."""
        if self._factor is None or self._factor.effective_dimension <= 0:
            return None
        return outlier_scores(squared_distances(self._factor, inputs), reference=self._factor.effective_dimension)

    def correct(self, head: HeadState, rows: Sequence[KnownRow]) -> NDArray[np.bool_]:
        """Test which of n rows a head predicts right: (n,)."""
        held = as_exemplars(rows)
        inputs = self._features.lift(dequantise(held.rows, held.scales))
        answers = head_answers(head, inputs)
        return np.array([answer == one.label for answer, one in zip(answers, rows, strict=True)])


def weighing_at_most(statistics: Statistics, rows: int) -> Statistics:
    """Return the statistics scaled so that all together they weigh at most `rows` rows."""
    total = sum(one.count for one in statistics.values())
    share = min(rows / total, 1.0) if total else 1.0
    return {label: one.decayed(max(round(one.count * share), 1)) for label, one in statistics.items()}


def head_answers(head: HeadState | None, inputs: NDArray[np.float32]) -> list[str | None]:
    """Return the label of each feature row (n, d); None where there is no class yet."""
    if head is None or not head.labels:
        return [None] * len(inputs)
    return [head.labels[index] for index in head.logits(inputs).argmax(axis=1)]


def as_exemplars(rows: Sequence[KnownRow]) -> Exemplars:
    """Return rows as arrays."""
    return Exemplars(np.array([one.row for one in rows]), np.array([one.scale for one in rows], np.float32))


def with_exemplars(model: Model, rows: Iterable[KnownRow]) -> Model:
    """Return the model with rows of its classes as exemplars, in herding order and within its budget."""
    by_label: dict[str, list[KnownRow]] = {}
    for one in rows:
        if one.label in model.statistics:
            by_label.setdefault(one.label, []).append(one)
    counts = {label: len(held) for label, held in sorted(by_label.items())}
    features = model.settings.features
    capacity = max(model.plan().exemplars, 0)
    shares = quotas(counts, capacity_bytes=capacity, row_dimension=features.row_dimension)
    exemplars = {
        label: herd(as_exemplars(by_label[label]), model.statistics[label].mean[features.lift_width :], keep=share)
        for label, share in shares.items()
        if share
    }
    return replace(model, exemplars=exemplars)
