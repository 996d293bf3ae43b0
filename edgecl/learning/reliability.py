"""Reliability of a stream's answers: of those with some confidence, how many were right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

BINS = 10  # of equal width


class Reliability:
    """Answers counted by their confidence, in memory that does not grow.

    Examples
    --------
    >>> found = Reliability()
    >>> found.add([0.75] * 10, [at < 6 for at in range(10)])
    >>> round(found.error, 3), found.as_dict()["bins"]
    (0.15, [{'from': 0.7, 'to': 0.8, 'rows': 10, 'confidence': 0.75, 'right': 0.6}])
    """

    def __init__(self) -> None:
        self._rows = [0] * BINS
        self._right = [0] * BINS
        self._confidence = [0.0] * BINS

    def add(self, confidences: Sequence[float], right: Sequence[bool]) -> None:
        """Count answers."""
        for confidence, is_right in zip(confidences, right, strict=True):
            at = min(int(confidence * BINS), BINS - 1)
            self._rows[at] += 1
            self._right[at] += is_right
            self._confidence[at] += confidence

    @property
    def rows(self) -> int:
        """Answers so far."""
        return sum(self._rows)

    @property
    def error(self) -> float:
        """Expected calibration error (ECE): the mean over all answers of |share right - confidence| of their bin.

        Naeini, Cooper and Hauskrecht (2015).
        """
        apart = sum(abs(right - sure) for right, sure in zip(self._right, self._confidence, strict=True))
        return apart / max(self.rows, 1)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON: the error, the mean confidence, and the bins that have answers."""
        return {
            "ece": self.error,
            "confidence": sum(self._confidence) / max(self.rows, 1),
            "bins": [
                {
                    "from": at / BINS,
                    "to": (at + 1) / BINS,
                    "rows": rows,
                    "confidence": self._confidence[at] / rows,
                    "right": self._right[at] / rows,
                }
                for at, rows in enumerate(self._rows)
                if rows
            ],
        }
