"""Prequential curves: how well a stream was answered, window by window."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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

    def add(self, label: str, answer: str | None, *, is_same_again: bool, confidence: float = 0.0) -> None:
        """Count one row."""
        self.rows += 1
        self.confidence += confidence
        self.right += answer == label
        self.same_again += is_same_again
        self.given[label] += 1
        self.right_of[label] += answer == label
        if answer is not None:
            self.answered[answer] += 1

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

    def add(self, label: str, answer: str | None, *, confidence: float = 0.0) -> None:
        """Count one labelled row, what was answered, and how sure that was."""
        if not self.windows or self.windows[-1].rows >= self._length:
            if len(self.windows) == WINDOWS:
                pairs = zip(self.windows[::2], self.windows[1::2], strict=True)
                self.windows = [one.merged(other) for one, other in pairs]
                self._length *= 2
            self.windows.append(Window())
        self.windows[-1].add(label, answer, is_same_again=label == self._last, confidence=confidence)
        self._last = label

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
