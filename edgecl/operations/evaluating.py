"""Evaluate: accuracy on labelled samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.metrics import balanced_accuracy
from edgecl.sources.samples import Skip


@dataclass(frozen=True)
class Evaluation:
    """Accuracy on labelled samples; classes that the model does not know count as answered wrong."""

    labels: tuple[str, ...]
    truth: NDArray[np.intp]  # (n,) index into labels
    answers: NDArray[np.intp]  # (n,)
    skipped: tuple[Skip, ...]
    unknown: tuple[str, ...]  # labels that were never taught

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
