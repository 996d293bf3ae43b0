"""Detections: events of a stream, and those that have begun and are not over."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Detection:
    """One event of a stream."""

    label: str
    confidence: float
    """Probability of the label at the peak, 0 to 1."""
    novelty: float
    """Novelty at the peak; 0: typical of its class, 1: nothing of it."""
    score: float
    """Score at the peak."""
    first: int
    """Hop at which it began."""
    last: int
    """Latest hop that had its label."""


@dataclass(frozen=True)
class OpenEvent:
    """An event that has begun, with the figures of its best hop."""

    detection: Detection
    margin: float
    """Margin of the best hop above its label's threshold."""
    peak: int
    """The best hop."""

    def since(self, first: int) -> OpenEvent:
        return replace(self, detection=replace(self.detection, first=first))

    def until(self, answer: OpenEvent) -> OpenEvent:
        """Return the event extended to a later answer of its label."""
        first, last = self.detection.first, answer.detection.last
        best = max(self, answer, key=lambda one: one.margin)
        return replace(best, detection=replace(best.detection, first=first, last=last))
