"""Labels of a stream that contradict all that is known: they are weighted down and counted, unless many do.

One wrong label is an outlier; many in a row are a change of the world, which must be learnt. So the share of wrong
labels is followed with every row, and above SHIFT nothing is a contradiction any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

CONTRADICTS = 0.01  # predicted probability of its label below which a row contradicts what is known
SHIFT = 0.3  # share of such rows from which the world has changed and no label is wrong
MEMORY_ROWS = 50  # rows over which the share is followed


@dataclass(frozen=True)
class Contradictions:
    """How many of the latest rows contradict what is known, and how many were weighted down in all."""

    share: float = 0.0
    """Of rows whose label contradicts what is known, over the latest ones."""
    count: int = 0
    """Rows that were weighted down."""

    @property
    def has_shifted(self) -> bool:
        """Whether so many rows contradict what is known that it is no accident."""
        return self.share > SHIFT

    def weigh(self, own: float | None) -> tuple[float, Contradictions]:
        """Return the weight of one labelled row, 0 to 1, and the state after it.

        Parameters
        ----------
        own
            Probability of its label, as it was predicted before the label came; None where the label was not known.

        Examples
        --------
        >>> weight, state = Contradictions().weigh(0.001)
        >>> round(weight, 3), state.count
        (0.1, 1)
        """
        weights, state = self.weigh_each([own])
        return weights[0], state

    def weigh_each(self, owns: Iterable[float | None]) -> tuple[list[float], Contradictions]:
        """Return the weights of labelled rows, one after the other as by `weigh`, and the state after them."""
        weights, share, count = [], self.share, self.count
        for own in owns:
            has_shifted = share > SHIFT
            if own is None or not own < CONTRADICTS:  # NaN is not
                share -= share / MEMORY_ROWS
                weights.append(1.0)
                continue
            share += (1 - share) / MEMORY_ROWS
            count += not has_shifted
            weights.append(1.0 if has_shifted else own / CONTRADICTS)
        return weights, Contradictions(share, count)
