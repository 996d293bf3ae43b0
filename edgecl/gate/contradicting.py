"""Labels of a stream that contradict all that is known: they are weighted down and counted, unless many do.

One wrong label is an outlier; many in a row are a change of the world, which must be learnt. So the share of wrong
labels is followed with every row, and above SHIFT nothing is a contradiction any more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecl.gate.set_aside import EXPECTED_WRONG, LARGEST_WRONG, SMALLEST_WRONG

CONTRADICTS = 0.05  # probability of a label below which it contradicts what is known
SHIFT = 0.3  # share of doubtful labels from which the world has changed and no label is wrong
MEMORY_ROWS = 50  # rows over which the share is followed


@dataclass(frozen=True)
class Contradictions:
    """The share of labels that are probably wrong, over the latest rows, and how many contradicted in all."""

    share: float = EXPECTED_WRONG
    count: int = 0
    """Rows that were weighted down."""

    @property
    def has_shifted(self) -> bool:
        """Whether so many labels are doubtful that it is no accident."""
        return self.share > SHIFT

    def weigh(self, probabilities: NDArray[np.floating], label: int) -> tuple[float, Contradictions]:
        """Return the weight of one labelled row, 0 to 1, and the state after it.

        Parameters
        ----------
        probabilities
            Of the classes (C,), as they were predicted before the label came.
        label
            Index of the class that the row is said to be.

        Examples
        --------
        >>> state = Contradictions()
        >>> weight, state = state.weigh(np.array([0.999, 0.001]), 1)
        >>> weight < 0.05, state.count
        (True, 1)
        """
        wrong = min(max(self.share, SMALLEST_WRONG), LARGEST_WRONG)
        own = float(probabilities[label]) * (1 - wrong)
        others = (1 - float(probabilities[label])) * wrong / max(len(probabilities) - 1, 1)
        right = own / (own + others) if own + others > 0 else 1.0
        after = replace(self, share=self.share + (1 - right - self.share) / MEMORY_ROWS)
        if right >= CONTRADICTS or self.has_shifted:
            return 1.0, after
        return right, replace(after, count=self.count + 1)
