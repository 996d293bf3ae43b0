"""Counts of a stream's rows, and of those predicted right."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

TOP = 5  # answers of a ranking
_GAINS = [1 / math.log2(rank + 2) for rank in range(TOP)]


@dataclass
class Tally:
    """Counts of rows, and of rows predicted right before their label was seen."""

    rows: int = 0
    labelled: int = 0
    correct: int = 0
    same_again: int = 0
    """Rows that have the label of the labelled row before."""
    by_label: dict[str, list[int]] = field(default_factory=dict)
    """Label to [rows, rows predicted right]."""
    among_top: int = 0
    """Rows whose label was among the TOP likeliest."""
    gain: float = 0.0
    """Sum of 1/log2(rank + 2) over them."""
    shifts: list[int] = field(default_factory=list)
    """Rows at which unlabelled rows began to look different."""

    @property
    def accuracy(self) -> float:
        return self.correct / max(self.labelled, 1)

    @property
    def balanced_accuracy(self) -> float:
        return float(np.mean([right / rows for rows, right in self.by_label.values()])) if self.by_label else 0.0

    def add(self, label: str, *, is_right: bool, rank: int | None, last_label: str | None) -> None:
        """Count one labelled row that came after a row of `last_label`; `rank` labels were likelier than its own."""
        self.labelled += 1
        self.correct += is_right
        self.same_again += label == last_label
        if rank is not None and rank < TOP:
            self.among_top += 1
            self.gain += _GAINS[rank]
        counts = self.by_label.get(label)
        if counts is None:
            counts = self.by_label[label] = [0, 0]
        counts[0] += 1
        counts[1] += is_right
