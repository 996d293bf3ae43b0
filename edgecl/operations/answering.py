"""Predict: samples to answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """One predicted sample."""

    source: str
    label: str
    confidence: float
    novelty: float
