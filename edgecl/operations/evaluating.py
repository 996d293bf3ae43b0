"""Evaluate: accuracy on labelled samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, SettingError
from edgecl.metrics import balanced_accuracy
from edgecl.notes import Logger
from edgecl.operations.data import Embedded, checked_label, embedded
from edgecl.operations.judging import Judged, judge_of
from edgecl.operations.open_store import OpenStore
from edgecl.operations.twins import Taught, is_recorded
from edgecl.progress import watched
from edgecl.sources.samples import Sample, Skip

logger = Logger(__name__)


@dataclass(frozen=True)
class NeverTaught:
    """What a store answers to samples of which it was taught nothing."""

    novelty: NDArray[np.float32]
    """(n,)."""
    refused: float
    """Share that is answered "unknown"."""
    auroc: float | None
    """Probability that such a sample is more novel than one that was taught; None without one of these."""
    answers: Mapping[str, int]
    """How many are taken for each class."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        named = {"refused": self.refused, "auroc": self.auroc, "answers": dict(self.answers)}
        return {"n": len(self.novelty), **named}


@dataclass(frozen=True)
class Evaluation:
    """Accuracy on labelled samples; classes that the model does not know count as answered wrong."""

    labels: tuple[str, ...]
    truth: NDArray[np.intp]
    """Shape (n,): index into labels."""
    answers: NDArray[np.intp]
    """Shape (n,): the best class, known or not."""
    skipped: tuple[Skip, ...]
    unknown: tuple[str, ...]
    """Labels that were never taught."""
    known: NDArray[np.bool_]
    """Shape (n,): False where the answer is "unknown"."""
    novelty: NDArray[np.float32]
    """Shape (n,)."""
    unknown_above: float
    """Novelty above which an answer is "unknown"."""
    shares: NDArray[np.float32]
    """Shape (n,): probability of the second label, of a store of two; else of the best class."""
    never_taught: NeverTaught | None = None
    """Of the samples that were given as never taught."""
    taught_before: int = 0
    """Samples that the store was taught, of which right answers prove little."""

    @property
    def accuracy(self) -> float:
        """Share of the samples whose best class is right."""
        return float(np.mean(self.truth == self.answers))

    @property
    def balanced_accuracy(self) -> float:
        """Mean over the classes of the share whose best class is right."""
        return balanced_accuracy(self.truth, self.answers)

    @property
    def with_unknown(self) -> dict[str, Any]:
        """What is right where an answer may be "unknown": that is right for labels that were never taught."""
        taught = ~np.isin(self.truth, [self.labels.index(label) for label in self.unknown])
        right = np.where(taught, self.known & (self.truth == self.answers), ~self.known)
        return {
            "unknown_above": round(self.unknown_above, 4),
            "accuracy": float(right.mean()),
            "balanced_accuracy": float(np.mean([right[self.truth == one].mean() for one in np.unique(self.truth)])),
            "taught_refused": share_of(~self.known[taught]),
            "untaught_refused": share_of(~self.known[~taught]),
        }

    def confusion(self) -> NDArray[np.intp]:
        """Count (C, C) samples by their label and by the best class, in the order of `labels`."""
        counts = np.zeros((len(self.labels), len(self.labels)), np.intp)
        np.add.at(counts, (self.truth, self.answers), 1)
        return counts

    @property
    def auc(self) -> float | None:
        """Area under the ROC curve of two classes, that of the second label; None of any other number."""
        if len(self.labels) != 2 or self.unknown:
            return None
        return area_under_roc(self.shares[self.truth == 0], self.shares[self.truth == 1])

    def at(self, threshold: float) -> dict[str, Any]:
        """Return what is called the second of two labels where its probability is at least a threshold.

        Raises
        ------
        SettingError
            When there are not two classes, both taught.
        """
        if len(self.labels) != 2 or self.unknown:
            raise SettingError(f"a threshold is for two classes, there are {len(self.labels)}", parameter="at")
        called, positive = self.shares >= threshold, self.truth == 1
        return {
            "label": self.labels[1],
            "threshold": threshold,
            "called": share_of(called),
            "found": share_of(called[positive]),
            "false": share_of(called[~positive]),
            "precision": share_of(positive[called]),
        }

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        counts = self.confusion()
        per_class = {}
        for index in np.unique(self.truth):
            right = self.answers[self.truth == index] == index
            per_class[self.labels[index]] = {
                "n": len(right),
                "accuracy": float(right.mean()),
                "recall": float(right.mean()),
                "precision": share_of(self.truth[self.answers == index] == index),
            }
        table = {
            label: {self.labels[other]: int(row[other]) for other in np.flatnonzero(row)}
            for label, row in zip(self.labels, counts, strict=True)
            if row.any()
        }
        return {
            "n": len(self.truth),
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "per_class": per_class,
            "confusion": table,
            "auc": self.auc,
            "with_unknown": self.with_unknown,
            "unknown": self.never_taught.as_dict() if self.never_taught else None,
            "never_taught": list(self.unknown),
            "taught_before": self.taught_before,
            "skipped": [one.as_dict() for one in self.skipped],
        }


def share_of(chosen: NDArray[np.bool_]) -> float | None:
    """Return the share that is chosen; None of nothing."""
    return float(chosen.mean()) if len(chosen) else None


def area_under_roc(low: NDArray[np.floating], high: NDArray[np.floating]) -> float | None:
    """Return the probability that one of `high` is above one of `low`, equal ones counted half; None without either.

    >>> area_under_roc(np.array([0.1, 0.5]), np.array([0.5, 0.9]))
    0.875
    """
    if not (len(low) and len(high)):
        return None
    ordered = np.sort(low)
    below, up_to = np.searchsorted(ordered, high, "left"), np.searchsorted(ordered, high, "right")
    return float((below + up_to).mean() / 2 / len(low))


def label_indices(labels: Sequence[str], known: Sequence[str]) -> NDArray[np.intp]:
    where = {label: index for index, label in enumerate(known)}
    return np.array([where[label] for label in labels], np.intp)


@watched
def evaluate(
    opened: OpenStore,
    items: Iterable[Sample | Skip],
    untaught: Iterable[Sample | Skip] = (),
    *,
    label_case: str | None = None,
) -> Generator[Embedded, None, Evaluation]:
    """Measure accuracy on labelled samples.

    Parameters
    ----------
    items
        Samples with labels.
    untaught
        Samples of which nothing was taught; their labels are ignored.
    label_case
        As of `teach`.

    Raises
    ------
    DataError
        When no sample has a label, or one is a known class in another spelling.
    """
    judge = judge_of(opened)
    taught, skipped, found, spellings = judge.labels, list[Skip](), _Found(), opened.spellings(label_case)
    was_taught = Taught(judge.model) if is_recorded(opened.extractor.contract) else None
    for batch, latents in embedded(opened, items, skipped):
        named = [one.label and spellings.settled(checked_label(one.label, one.source), one.source) for one in batch]
        found.add([label or None for label in named], judge(latents))
        if was_taught:
            was_taught.count_in(latents[[bool(label) for label in named]])
        yield Embedded(len(found.truth))
    if not found.truth:
        raise DataError("no sample has a label: accuracy is measured on labelled samples", parameter="label")
    if was_taught and was_taught.count:
        logger.warning(
            "%d of %d samples were taught: that these are answered right proves little, evaluate others",
            was_taught.count, len(found.truth),
        )  # fmt: skip
    never, count = _Found(), len(found.truth)
    for batch, latents in embedded(opened, untaught, skipped):
        never.add([""] * len(batch), judge(latents))
        yield Embedded(count + len(never.truth))
    labels = tuple(sorted({*found.truth, *taught}))
    return Evaluation(
        labels=labels,
        truth=label_indices(found.truth, labels),
        answers=label_indices(found.answers, labels),
        skipped=tuple(skipped),
        unknown=tuple(sorted(set(found.truth) - set(taught))),
        known=np.array(found.known),
        novelty=np.array(found.novelty, np.float32),
        unknown_above=judge.unknown_above,
        shares=np.array(found.shares, np.float32),
        never_taught=_never_taught(never, found, taught) if never.truth else None,
        taught_before=was_taught.count if was_taught else 0,
    )


@dataclass(frozen=True)
class _Found:
    """Answers so far, one of each list a sample."""

    truth: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    known: list[bool] = field(default_factory=list)
    novelty: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)

    def add(self, labels: Sequence[str | None], said: Judged) -> None:
        """Add the samples that have a label."""
        shares = said.shares[:, 1] if said.shares.shape[1] == 2 else said.shares.max(axis=1)
        for index, label in enumerate(labels):
            if label is not None:
                self.truth.append(label)
                self.answers.append(said.labels[index])
                self.known.append(bool(said.known[index]))
                self.novelty.append(float(said.novelty[index]))
                self.shares.append(float(shares[index]))


def _never_taught(never: _Found, found: _Found, taught: Sequence[str]) -> NeverTaught:
    known = [one for one, label in zip(found.novelty, found.truth, strict=True) if label in taught]
    novelty = np.array(never.novelty, np.float32)
    return NeverTaught(
        novelty=novelty,
        refused=1 - float(np.mean(never.known)),
        auroc=area_under_roc(np.array(known, np.float32), novelty),
        answers=dict(Counter(never.answers).most_common()),
    )
