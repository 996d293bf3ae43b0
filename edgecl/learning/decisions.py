"""From probabilities to answers: another prior than the stream's, what errors cost, how many alerts there may be."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import SettingError

STREAM, BALANCED = "stream", "balanced"
BUDGET_ROWS = 2000  # scores among which the alerts of a budget are the highest


@dataclass(frozen=True)
class Prior:
    """How frequent classes are taken to be: as in the stream, all alike, or as stated (logit adjustment).

    Examples
    --------
    >>> Prior.parse("balanced").adjusted(np.array([[0.9, 0.1]]), ["fair", "fraud"], {"fair": 90, "fraud": 10})
    array([[0.5, 0.5]])
    """

    kind: str = STREAM
    stated: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def parse(text: str) -> Prior:
        """Read "stream", "balanced" or "a=0.01,b=0.99"; raises SettingError for anything else."""
        if text in (STREAM, BALANCED):
            return Prior(text)
        stated = numbers_by_name(text, "prior")
        if any(one <= 0 for one in stated.values()):
            raise SettingError(f"the prior {text!r} holds a share that is not above 0", parameter="prior")
        return Prior("stated", stated)

    def spelt(self, settled: Callable[[str], str]) -> Prior:
        """Return it with each label as `settled` returns it."""
        return replace(self, stated={settled(label): share for label, share in self.stated.items()})

    def adjusted(
        self, probabilities: NDArray[np.floating], labels: Sequence[str], seen: Mapping[str, int]
    ) -> NDArray[np.floating]:
        """Return probabilities (n, C) as if classes came as often as this prior has them.

        `seen` counts the rows of each label that came. A label without a stated share keeps its share of the stream.
        """
        if self.kind == STREAM or not labels:
            return probabilities
        total = max(sum(seen.values()), 1)
        shares = np.array([max(seen.get(label, 0), 1) / total for label in labels])
        even = 1 / len(labels)
        wanted = np.array(
            [
                even if self.kind == BALANCED else self.stated.get(label, share)
                for label, share in zip(labels, shares, strict=True)
            ]
        )
        weighed = probabilities * (wanted / shares)
        sums = weighed.sum(axis=1, keepdims=True)
        adjusted: NDArray[np.floating] = np.divide(weighed, sums, out=np.zeros_like(weighed), where=sums > 0)
        return adjusted


@dataclass(frozen=True)
class Costs:
    """What it costs to miss the watched class, and to raise a false alert."""

    missed: float
    false: float

    @staticmethod
    def parse(text: str) -> Costs:
        """Read "missed=50,false=1"; raises SettingError for anything else."""
        given = numbers_by_name(text, "cost")
        if set(given) != {"missed", "false"} or min(given.values()) <= 0:
            raise SettingError(f"the cost {text!r} is not of the form missed=50,false=1", parameter="cost")
        return Costs(given["missed"], given["false"])

    @property
    def threshold(self) -> float:
        """The probability from which an alert costs less than none: false/(false + missed)."""
        return self.false / (self.false + self.missed)


class AlertBudget:
    """At most so many alerts of 1,000 rows: those whose score is among the highest of late.

    Parameters
    ----------
    per_1000
        Alerts wanted, above 0 and below 1000.
    """

    def __init__(self, per_1000: float) -> None:
        if not 0 < per_1000 < 1000:
            raise SettingError(
                f"{per_1000} alerts of 1000 rows, wanted above 0 and below 1000", parameter="alerts_per_1000"
            )
        self.per_1000 = per_1000
        self._scores: deque[float] = deque(maxlen=BUDGET_ROWS)
        self._rows = self._alerts = 0

    def alert(self, score: float) -> bool:
        """Test whether a row is an alert; the row then counts as seen."""
        self._rows += 1
        is_alert = self._allowed() and score > 0 and score >= self._threshold()
        self._scores.append(score)
        self._alerts += is_alert
        return is_alert

    def _allowed(self) -> bool:
        return self._alerts + 1 <= self.per_1000 * self._rows / 1000

    def _threshold(self) -> float:
        if not self._scores:
            return 0.0
        rank = max(int(len(self._scores) * self.per_1000 / 1000), 1)
        return float(np.partition(np.array(self._scores), -rank)[-rank])


def numbers_by_name(text: str, parameter: str) -> dict[str, float]:
    """Read "a=1,b=2"; raises SettingError where it is not of that form, or a number is not finite."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, sign, number = part.rpartition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            sign = ""
        if not sign or not name.strip() or not np.isfinite(found[name.strip()]):
            raise SettingError(f"{text!r} is not of the form name=number,name=number", parameter=parameter)
    return found
