"""Alerts for one class of a stream: raised by cost or by budget, and measured when labels come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecl.learning.decisions import AlertBudget, Costs

BINS = 4096  # of scores, by the logarithm of their odds: flat memory, ties within a two-hundredth in ln odds
_WIDEST = 14.0  # ln odds beyond which scores are one bin


@dataclass(frozen=True)
class Watch:
    """What is watched, and when there is an alert: from a probability, within a budget, or where it is the answer."""

    label: str
    costs: Costs | None = None
    alerts_per_1000: float | None = None


class Alerts:
    """Counts of the alerts for a class.

    Parameters
    ----------
    watch
        The class, and when it is an alert.
    """

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._budget = AlertBudget(watch.alerts_per_1000) if watch.alerts_per_1000 is not None else None
        self._scores = np.zeros((2, BINS), np.int64)  # of other rows, of rows of the class
        self.alerts = self.hits = self.rows = self.positives = 0

    def raised(self, score: float, *, is_answer: bool) -> bool:
        """Test whether a row with this probability of the class is an alert."""
        if self._budget is not None:
            return self._budget.alert(score)
        return score >= self.watch.costs.threshold if self.watch.costs is not None else is_answer

    def learn(self, score: float, *, is_alert: bool, is_class: bool) -> None:
        """Count a row whose label has come."""
        odds = np.log(max(score, 1e-9) / max(1 - score, 1e-9))
        at = int(np.clip((odds + _WIDEST) / (2 * _WIDEST) * BINS, 0, BINS - 1))
        self._scores[int(is_class), at] += 1
        self.rows += 1
        self.positives += is_class
        self.alerts += is_alert
        self.hits += is_alert and is_class

    @property
    def average_precision(self) -> float:
        """Area under the precision-recall curve, of the scores by bin."""
        others, own = self._scores[:, ::-1].cumsum(axis=1)
        gained = np.diff(own, prepend=0)
        return float((gained * own / np.maximum(own + others, 1)).sum() / max(self.positives, 1))

    def recall_at(self, per_1000: float) -> float:
        """Return the share of the class among the highest scores, per_1000 of 1,000 rows, whole bins only."""
        others, own = self._scores[:, ::-1].cumsum(axis=1)
        within = np.flatnonzero(own + others <= self.rows * per_1000 / 1000)
        return float(own[within[-1]] / max(self.positives, 1)) if len(within) else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON; `cost` where costs are stated."""
        found: dict[str, Any] = {
            "label": self.watch.label,
            "rows": self.positives,
            "alerts": self.alerts,
            "alerts_per_1000": 1000 * self.alerts / max(self.rows, 1),
            "precision": self.hits / max(self.alerts, 1),
            "recall": self.hits / max(self.positives, 1),
            "average_precision": self.average_precision,
        }
        if self.watch.alerts_per_1000 is not None:
            found["recall_at_budget"] = self.recall_at(self.watch.alerts_per_1000)
        if self.watch.costs is not None:
            missed, false = self.positives - self.hits, self.alerts - self.hits
            found["cost"] = missed * self.watch.costs.missed + false * self.watch.costs.false
        return found
