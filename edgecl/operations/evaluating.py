"""Evaluate: accuracy on labelled samples."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.metrics import balanced_accuracy
from edgecl.operations.data import Embedded, checked_label, embedded
from edgecl.operations.live_answers import LiveAnswers
from edgecl.operations.open_store import OpenStore
from edgecl.progress import watched
from edgecl.sources.samples import Sample, Skip


@dataclass(frozen=True)
class Evaluation:
    """Accuracy on labelled samples; classes that the model does not know count as answered wrong."""

    labels: tuple[str, ...]
    truth: NDArray[np.intp]
    """Shape (n,): index into labels."""
    answers: NDArray[np.intp]
    """Shape (n,)."""
    skipped: tuple[Skip, ...]
    unknown: tuple[str, ...]
    """Labels that were never taught."""

    @property
    def accuracy(self) -> float:
        return float(np.mean(self.truth == self.answers))

    @property
    def balanced_accuracy(self) -> float:
        return balanced_accuracy(self.truth, self.answers)

    def as_dict(self) -> dict[str, Any]:
        per_class = {}
        for index in np.unique(self.truth):
            right = self.answers[self.truth == index] == index
            per_class[self.labels[index]] = {"n": len(right), "accuracy": float(right.mean())}
        return {
            "n": len(self.truth),
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "per_class": per_class,
            "never_taught": list(self.unknown),
            "skipped": [vars(one) for one in self.skipped],
        }


def label_indices(labels: Sequence[str], known: Sequence[str]) -> NDArray[np.intp]:
    where = {label: index for index, label in enumerate(known)}
    return np.array([where[label] for label in labels], np.intp)


@watched
def evaluate(opened: OpenStore, items: Iterable[Sample | Skip]) -> Generator[Embedded, None, Evaluation]:
    """Measure accuracy on labelled samples.

    Raises
    ------
    DataError
        When no sample has a label.
    """
    live = LiveAnswers(opened)
    skipped: list[Skip] = []
    truth: list[str] = []
    answers: list[str] = []
    for batch, latents in embedded(opened, items, skipped):
        said = live.predict(latents)
        for sample, label in zip(batch, said.labels, strict=True):
            if sample.label is not None:
                truth.append(checked_label(sample.label, sample.source))
                answers.append(label)
        yield Embedded(len(truth))
    if not truth:
        raise DataError("no sample has a label: accuracy is measured on labelled samples", parameter="label")
    labels = tuple(sorted({*truth, *live.labels}))
    return Evaluation(
        labels=labels,
        truth=label_indices(truth, labels),
        answers=label_indices(answers, labels),
        skipped=tuple(skipped),
        unknown=tuple(sorted(set(truth) - set(live.labels))),
    )
