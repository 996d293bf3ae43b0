"""Counts of a stream's rows, and of those predicted right."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import eq

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
    at_rank: list[int] = field(default_factory=lambda: [0] * TOP)
    """Rows whose label was the likeliest, the second likeliest and so on."""
    shifts: list[int] = field(default_factory=list)
    """Rows at which unlabelled rows began to look different."""

    @property
    def accuracy(self) -> float:
        return self.correct / max(self.labelled, 1)

    @property
    def balanced_accuracy(self) -> float:
        return float(np.mean([right / rows for rows, right in self.by_label.values()])) if self.by_label else 0.0

    @property
    def among_top(self) -> int:
        """Rows whose label was among the TOP likeliest."""
        return sum(self.at_rank)

    @property
    def gain(self) -> float:
        """Sum of 1/log2(rank + 2) over them."""
        return sum(count * gain for count, gain in zip(self.at_rank, _GAINS, strict=True))

    def add(
        self, labels: Sequence[str], right: Sequence[bool], ranks: Sequence[int | None], *, last_label: str | None
    ) -> None:
        """Count labelled rows that came after a row of `last_label`; a rank says how many labels were likelier."""
        self.labelled += len(labels)
        self.correct += sum(right)
        self.same_again += sum(map(eq, labels, (last_label, *labels)))  # ends with the shorter
        for rank, count in Counter(ranks).items():
            if rank is not None and rank < TOP:
                self.at_rank[rank] += count
        for label, count in Counter(labels).items():
            self.by_label.setdefault(label, [0, 0])[0] += count
        for label, count in Counter(compress(labels, right)).items():
            self.by_label[label][1] += count
