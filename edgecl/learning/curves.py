"""Prequential curves: how well a stream was answered, window by window."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import eq

from edgecl.metrics import kappa
from edgecl.svg import line_chart

WINDOWS = 256  # at most; two neighbours become one where there are more, so that memory stays flat
FIRST_WINDOW = 64  # labelled rows
DRAWN = ("accuracy", "balanced accuracy", "same again", "mean confidence")


@dataclass
class Window:
    """Counts of the labelled rows of one window."""

    rows: int = 0
    right: int = 0
    same_again: int = 0
    confidence: float = 0.0
    """Sum over the rows."""
    given: Counter[str] = field(default_factory=Counter)
    """Label to rows."""
    right_of: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    """Answer to rows."""

    def add(
        self,
        labels: Sequence[str],
        answers: Sequence[str | None],
        confidences: Sequence[float],
        *,
        last_label: str | None,
    ) -> None:
        """Count rows that came after a row of `last_label`."""
        right = [label for label, answer in zip(labels, answers, strict=True) if label == answer]
        self.rows += len(labels)
        self.confidence += sum(confidences)
        self.right += len(right)
        self.same_again += sum(map(eq, labels, (last_label, *labels)))  # ends with the shorter
        self.given.update(labels)
        self.right_of.update(right)
        self.answered.update(answer for answer in answers if answer is not None)

    def merged(self, other: Window) -> Window:
        """Return the counts of both."""
        return Window(
            self.rows + other.rows,
            self.right + other.right,
            self.same_again + other.same_again,
            self.confidence + other.confidence,
            self.given + other.given,
            Counter({label: self.right_of[label] + other.right_of[label] for label in self.given | other.given}),
            self.answered + other.answered,
        )

    def shares(self) -> dict[str, float]:
        """Return accuracy, balanced accuracy, both kappas, the baseline of the last label again, and confidence."""
        right, same = self.right / self.rows, self.same_again / self.rows
        chance = sum(count * self.answered[label] for label, count in self.given.items()) / self.rows**2
        balanced = sum(self.right_of[label] / count for label, count in self.given.items()) / len(self.given)
        return {
            "accuracy": right,
            "balanced accuracy": balanced,
            "kappa": kappa(right, chance),
            "kappa temporal": kappa(right, same),
            "same again": same,
            "mean confidence": self.confidence / self.rows,
        }


class Curves:
    """Windows of a stream in memory that does not grow."""

    def __init__(self) -> None:
        self.windows: list[Window] = []
        self._length = FIRST_WINDOW
        self._last: str | None = None

    def add(self, labels: Sequence[str], answers: Sequence[str | None], confidences: Sequence[float]) -> None:
        """Count labelled rows, what was answered to each, and how sure that was."""
        first = 0
        while first < len(labels):
            window = self._window()
            part = slice(first, first + self._length - window.rows)
            window.add(labels[part], answers[part], confidences[part], last_label=self._last)
            first, self._last = part.stop, labels[part][-1]

    def _window(self) -> Window:
        """Return the latest window, a new one where that is full."""
        if not self.windows or self.windows[-1].rows >= self._length:
            if len(self.windows) == WINDOWS:
                pairs = zip(self.windows[::2], self.windows[1::2], strict=True)
                self.windows = [one.merged(other) for one, other in pairs]
                self._length *= 2
            self.windows.append(Window())
        return self.windows[-1]

    def _points(self) -> Iterable[tuple[int, Window]]:
        """Yield the labelled rows until the end of each window, and the window."""
        rows = 0
        for one in self.windows:
            rows += one.rows
            yield rows, one

    def as_csv(self, drifts: Sequence[int] = ()) -> str:
        """Return a line for each window: shares, the share right of each class, and drifts confirmed in it."""
        labels = sorted({label for one in self.windows for label in one.given})
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        names = [*Window(1, 1, 1, 1, Counter("a"), Counter("a"), Counter("a")).shares()]
        table.writerow(["labelled rows", *names, *(f"right: {label}" for label in labels), "drifts"])
        before = 0
        for rows, one in self._points():
            of_class = [f"{one.right_of[label] / one.given[label]:.4f}" if one.given[label] else "" for label in labels]
            shares = [f"{share:.4f}" for share in one.shares().values()]
            table.writerow([rows, *shares, *of_class, sum(before < at <= rows for at in drifts)])
            before = rows
        return text.getvalue()

    def as_svg(self, drifts: Sequence[int] = ()) -> str:
        """Draw accuracy, balanced accuracy, the baseline and confidence, with a mark at each drift."""
        points = [(rows, one.shares()) for rows, one in self._points()]
        lines = {name: [(float(rows), shares[name]) for rows, shares in points] for name in DRAWN}
        chart = line_chart(
            lines,
            title="answered right before the label was seen",
            x_label="labelled rows",
            y_label="share",
            marks={"drift": list(map(float, drifts))} if drifts else None,
        )
        return chart.standalone()
