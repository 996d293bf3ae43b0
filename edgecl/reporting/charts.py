"""The pictures of a report: matrices, lines over lessons, maps, bars, a timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecl.svg import Svg, blue, hue

FIGURES_UP_TO = 24
"""Rows of a matrix whose cells hold figures; more are squares alone."""
WIDEST = 620
LONGEST_NAME = 14
LEVELS = 10
DARK = 0.55
OUTCOMES = {
    "accepted": "hsl(145 55% 36%)",
    "unproven": "hsl(80 50% 42%)",
    "forced": "hsl(38 85% 45%)",
    "nothing new": "hsl(212 15% 55%)",
    "rejected": "hsl(4 65% 48%)",
    "other": "hsl(212 55% 50%)",
}


def short(name: str) -> str:
    """Return a name that fits beside a plot."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def matrix(shares: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], label: str) -> Svg:
    """Draw shares (n, m), NaN where there is none: a lightness each, and a figure where there is room."""
    n, m = shares.shape
    has_figures = max(n, m) <= FIGURES_UP_TO
    side = 34.0 if has_figures else max(WIDEST / max(n, m), 2.0)
    left, top = (104.0, 84.0) if has_figures else (4.0, 4.0)
    picture = Svg(left + m * side + 60 * has_figures + 6, top + n * side + 6, label)
    if not has_figures:
        _squares(picture, shares, side, left, top)
        return picture
    for column, name in enumerate(columns):
        picture.text(left + column * side + side / 2 + 4, top - 6, short(name), turned=True)
    for row, name in enumerate(rows):
        picture.text(left - 6, top + row * side + side / 2 + 4, short(name), anchor="end")
        for column, other in enumerate(columns):
            share = shares[row, column]
            if np.isnan(share):
                continue
            x, y = left + column * side, top + row * side
            picture.rect(x, y, side - 1, side - 1, fill=blue(share), title=f"{name} / {other}: {share:.1%}")
            if share > 0:
                text = f"{100 * share:.0f}"
                picture.text(x + side / 2, y + side / 2 + 4, text, anchor="middle", on_dark=share > DARK)
    return picture


def _squares(picture: Svg, shares: NDArray[np.float64], side: float, left: float, top: float) -> None:
    """Cells above zero, by lightness: a matrix of 151 classes has 23,000, most of them empty."""
    levels = np.ceil(np.nan_to_num(shares) * LEVELS).astype(int)
    for level in range(1, LEVELS + 1):
        where = np.argwhere(levels == level)
        if len(where):
            points = [(left + column * side, top + row * side) for row, column in where]
            picture.squares(points, side, fill=blue(level / LEVELS))


def lines(series: Mapping[str, Sequence[float | None]], label: str) -> Svg:
    """Draw shares over lessons, one line each; None is a gap."""
    width, height, left, right, bottom = 560.0, 240.0, 44.0, 150.0, 28.0
    steps = max((len(values) for values in series.values()), default=1)
    span = width - left - right

    def place(step: int, share: float) -> tuple[float, float]:
        return left + step * span / max(steps - 1, 1), 12 + (1 - share) * (height - bottom - 16)

    picture = Svg(width, height, label)
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = place(0, share)[1]
        picture.line([(left, y), (width - right, y)])
        picture.text(left - 6, y + 4, f"{share:.0%}", anchor="end")
    for index, (name, values) in enumerate(series.items()):
        known = [(step, value) for step, value in enumerate(values) if value is not None]
        told = ", ".join(f"{step + 1}: {value:.1%}" for step, value in known)
        points = [place(step, value) for step, value in known]
        picture.line(points, colour=hue(index, len(series)), title=f"{name}: {told}")
        for x, y in points:
            picture.circle(x, y, 3, fill=hue(index, len(series)))
        picture.rect(width - right + 12, 18 + 17 * index, 10, 10, fill=hue(index, len(series)))
        picture.text(width - right + 28, 27 + 17 * index, short(name))
    for step in range(0, steps, max(steps // 12, 1)):
        picture.text(place(step, 0)[0], height - 8, str(step + 1), anchor="middle")
    return picture


def scatter(points: Mapping[str, NDArray[np.floating]], label: str) -> Svg:
    """Draw points (n, 2) of classes, with the names of at most FIGURES_UP_TO of them."""
    width, height, margin = 620.0, 420.0, 26.0
    picture = Svg(width, height, label)
    held = [one for one in points.values() if len(one)]
    if not held:
        return picture
    everything = np.concatenate(held)
    low = everything.min(axis=0)
    span = np.maximum(everything.max(axis=0) - low, 1e-9)
    room = np.array([width - 2 * margin, height - 2 * margin])
    for index, (name, found) in enumerate(points.items()):
        placed = (found - low) / span * room + margin
        picture.dots([(float(x), float(y)) for x, y in placed], colour=hue(index, len(points)), title=name)
    if len(points) <= FIGURES_UP_TO:
        for found_name, found in points.items():
            if len(found):
                x, y = (found.mean(axis=0) - low) / span * room + margin
                picture.text(float(x), float(y) - 6, short(found_name), anchor="middle")
    return picture


def shares_bar(parts: Mapping[str, float], total: float, label: str, *, units: Mapping[str, str]) -> Svg:
    """Draw parts of a budget side by side; `units` says each in words."""
    picture = Svg(WIDEST, 30, label)
    picture.rect(0, 2, WIDEST, 24)
    x = 0.0
    for index, (name, value) in enumerate(parts.items()):
        width = WIDEST * value / max(total, 1e-9)
        picture.rect(x, 2, width, 24, fill=f"hsl(212 60% {72 - 9 * (index % 6)}%)", title=f"{name}: {units[name]}")
        x += width
    return picture


def bars(values: Mapping[str, float], label: str) -> Svg:
    """Draw one share a row, with its name and figure."""
    picture = Svg(480, 24 * len(values) + 6, label)
    for row, (name, share) in enumerate(values.items()):
        y = 24 * row + 3
        picture.text(0, y + 14, short(name))
        picture.rect(110, y, 300, 18)
        picture.rect(
            110, y, 300 * min(max(share, 0), 1), 18, fill=blue(0.35 + 0.5 * share), title=f"{name}: {share:.1%}"
        )
        picture.text(418, y + 14, f"{share:.0%}")
    return picture


@dataclass(frozen=True)
class Mark:
    """One decision on a timeline."""

    outcome: str
    """Of OUTCOMES."""
    revision: int | None
    title: str


def timeline(marks: Sequence[Mark], label: str) -> Svg:
    """Draw decisions in their order, by outcome."""
    found = [name for name in OUTCOMES if any(mark.outcome == name for mark in marks)]
    left, step = 90.0, min(max((WIDEST - 100) / max(len(marks), 1), 6), 40)
    picture = Svg(left + step * len(marks) + 20, 26 * len(found) + 24, label)
    for row, name in enumerate(found):
        y = 26.0 * row + 16
        picture.text(0, y + 4, name)
        picture.line([(left, y), (left + step * len(marks), y)])
    for index, mark in enumerate(marks):
        x, y = left + step * (index + 0.5), 26.0 * found.index(mark.outcome) + 16
        picture.circle(x, y, 6, fill=OUTCOMES[mark.outcome], title=mark.title)
        if mark.revision is not None and step >= 16:
            picture.text(x, 26 * len(found) + 14, str(mark.revision), anchor="middle")
    return picture
