"""What a stream was evaluated to: misses against false accepts at many thresholds, and the threshold to choose."""

from __future__ import annotations

import csv
import io
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.live.events import seconds as rounded
from edgecl.spotting.scorers import SOUND_SCORE
from edgecl.svg import Svg, line_chart

if TYPE_CHECKING:
    from edgecl.live.events import Event

NEAR_S = 0.5
"""Seconds outside a word within which the middle of an event's span still counts for it."""
SURE = 0.95
DRAWN_TIMES, DRAWN_EVENTS = 10, 20  # a chart goes on to so many times the wished rate, or so many events


@dataclass(frozen=True)
class Word:
    """A word that is in the stream, or was mixed into it."""

    label: str
    begin: float
    """Seconds of the stream."""
    end: float
    heard: NDArray[np.bool_]
    """(K,) at each threshold."""
    source: str = ""
    """File of the clip that was mixed in."""


@dataclass(frozen=True)
class Point:
    """What one threshold gives."""

    threshold: float
    false: int
    """Events that are no word."""
    false_per_hour: float
    missed: Mapping[str, float]
    """Share of the words that are missed, by kind."""

    @property
    def all_missed(self) -> float:
        """The sum over the kinds, by which thresholds are compared."""
        return sum(self.missed.values())

    def rank(self) -> tuple[float, int, float]:
        """Return what is smallest of the best threshold."""
        return self.all_missed, self.false, abs(self.threshold - SOUND_SCORE)


@dataclass(frozen=True)
class StreamEvaluation:
    """Misses and false accepts of a store in one stream."""

    file: str
    seconds: float
    revision: int
    thresholds: tuple[float, ...]
    """(K,) rising."""
    words: Mapping[str, Sequence[Word]]
    """By kind: "recorded" for those in the stream, "20 dB" for clips that are mixed in so far above it."""
    false: Sequence[Sequence[Event]]
    """(K,) events that are no word."""
    wished_per_hour: float
    """False accepts an hour that are wished at most."""
    never_taught: tuple[str, ...]
    """Labels of words that the store does not know, which are left out."""
    clipped: Mapping[str, int]
    """By kind: words that go beyond full scale where they are mixed in."""
    skipped: Mapping[str, int]
    """Clips that could not be used, by reason."""
    most_missed: float | None = None
    """Share of the words that a benchmark lets be missed, with no more false accepts than wished."""

    @property
    def hours(self) -> float:
        """Length of the stream."""
        return self.seconds / 3600

    @property
    def is_too_short(self) -> bool:
        """Whether one false accept in the stream is more an hour than wished."""
        return self.hours * self.wished_per_hour < 1

    def points(self) -> list[Point]:
        """Return the curve, by rising threshold."""
        return [
            Point(
                threshold,
                len(self.false[at]),
                len(self.false[at]) / self.hours,
                {kind: float(np.mean([not one.heard[at] for one in words])) for kind, words in self.words.items()},
            )
            for at, threshold in enumerate(self.thresholds)
        ]

    def chosen(self) -> Point | None:
        """Return the threshold to choose: of those with no more false accepts than wished the one with fewest misses.

        From it on no higher threshold has more of them. Of equal ones it has the fewest false accepts and is nearest to
        the default; without words it is the lowest from the default on. In a stream too short to show the wished rate,
        where no false accept proves nothing, it is not below the default. None where there is none.
        """
        points, kept = self.points(), []
        for point in reversed(points):
            if point.false_per_hour > self.wished_per_hour:
                break
            kept.append(point)
        if not self.words or self.is_too_short:
            kept = [one for one in kept if one.threshold >= SOUND_SCORE]
        if not self.words:
            kept = kept[-1:]
        return min(kept, key=Point.rank) if kept else None

    @property
    def is_met(self) -> bool | None:
        """Whether there is a threshold that a benchmark is met at; None where it sets no bound, or without words."""
        if self.most_missed is None or not self.words:
            return None
        chosen = self.chosen()
        return chosen is not None and max(chosen.missed.values()) <= self.most_missed

    def at_most_per_hour(self, count: int) -> float:
        """Return the rate below which the true one is with 95 % confidence, where so many events were seen."""
        return most_expected(count) / self.hours

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        chosen = self.chosen()
        at = None if chosen is None else self.thresholds.index(chosen.threshold)
        return {
            "file": self.file,
            "seconds": round(self.seconds, 3),
            "revision": self.revision,
            "words": {kind: len(words) for kind, words in self.words.items()},
            "false_per_hour_wished": self.wished_per_hour,
            "hours_to_show_it": round(1 / self.wished_per_hour, 3) if self.wished_per_hour else None,
            "missed_at_most": self.most_missed,
            "is_met": self.is_met,
            "curve": [_point(one) for one in self.points()],
            "now": _point(self.points()[self.thresholds.index(SOUND_SCORE)]),
            "chosen": None if chosen is None else self._chosen(chosen),
            "per_class": {} if at is None else self.per_class(at),
            "false": [] if at is None else [_event(one) for one in self.false[at]],
            "places": [self._place(kind, one, at) for kind, words in self.words.items() for one in words],
            "never_taught": list(self.never_taught),
            "clipped": dict(self.clipped),
            "skipped": dict(self.skipped),
        }

    def per_class(self, at: int) -> dict[str, dict[str, Any]]:
        """Return words, misses by kind and false accepts of each class at the threshold of an index."""
        said = {one.label for words in self.words.values() for one in words}
        labels = sorted(said | {one.label for one in self.false[at]})
        found = {}
        for label in labels:
            own = {kind: [one for one in words if one.label == label] for kind, words in self.words.items()}
            missed = {kind: sum(not one.heard[at] for one in words) for kind, words in own.items()}
            found[label] = {
                "words": {kind: len(words) for kind, words in own.items()},
                "missed": missed,
                "false": sum(one.label == label for one in self.false[at]),
            }
        return found

    def as_csv(self) -> str:
        """Return the curve as CSV, one row per threshold."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(("threshold", "false", "false_per_hour", *(f"missed, {kind}" for kind in self.words)))
        for one in self.points():
            shares = (f"{one.missed[kind]:.4f}" for kind in self.words)
            rows.writerow((f"{one.threshold:g}", one.false, f"{one.false_per_hour:.4f}", *shares))
        return text.getvalue()

    def as_svg(self) -> str:
        """Return the curve as a picture: misses over false accepts an hour, or these over the threshold."""
        points = self.points()
        if not self.words:
            return self._false_over_threshold(points).standalone()
        most = max(DRAWN_TIMES * self.wished_per_hour, DRAWN_EVENTS / self.hours)
        near = [one for one in reversed(points) if one.false_per_hour <= most]
        lines = {kind: sorted({(one.false_per_hour, 100 * one.missed[kind]) for one in near}) for kind in self.words}
        return line_chart(
            lines, title=f"{self.file}, {self.hours:.2f} h", x_label="false accepts an hour", y_label="missed, %",
            marks={"wished": [self.wished_per_hour]}, dots=True,
        ).standalone()  # fmt: skip

    def _false_over_threshold(self, points: Sequence[Point]) -> Svg:
        lines = {"false accepts": [(one.threshold, one.false_per_hour) for one in points]}
        title = f"{self.file}, {self.hours:.2f} h"
        return line_chart(lines, title=title, x_label="threshold", y_label="false accepts an hour", dots=True)

    def _chosen(self, point: Point) -> dict[str, Any]:
        return {**_point(point), "false_per_hour_at_most": round(self.at_most_per_hour(point.false), 4)}

    def _place(self, kind: str, word: Word, at: int | None) -> dict[str, Any]:
        times = {"begin": round(word.begin, 4), "end": round(word.end, 4)}
        heard = [self.thresholds[k] for k in np.flatnonzero(word.heard)]
        return {
            "kind": kind, "label": word.label, **times, "source": word.source or None,
            "heard": None if at is None else bool(word.heard[at]), "heard_up_to": max(heard, default=None),
        }  # fmt: skip


def _point(one: Point) -> dict[str, Any]:
    missed = {kind: round(share, 4) for kind, share in one.missed.items()}
    per_hour = round(one.false_per_hour, 4)
    return {"threshold": one.threshold, "false": one.false, "false_per_hour": per_hour, "missed": missed}


def _event(one: Event) -> dict[str, Any]:
    span = [rounded(time) for time in one.span]
    return {"time": rounded(one.time), "label": one.label, "confidence": round(one.confidence, 4), "span": span}


def is_near(event: Event, label: str, begin: float, end: float) -> bool:
    """Test whether an event counts for a word: the same label, the middle of its span in the word or NEAR_S off."""
    return event.label == label and begin - NEAR_S <= sum(event.span) / 2 <= end + NEAR_S


def matched(
    events: Sequence[Event], words: Sequence[tuple[str, float, float]]
) -> tuple[NDArray[np.bool_], list[Event]]:
    """Match each word (label, begin, end), in order of time, with the first event that counts for it and no other.

    Returns
    -------
    heard
        (W,) whether a word has an event.
    false
        Events that no word has: a second one of the same word too.
    """
    by_label: dict[str, list[int]] = {}
    middles = [sum(one.span) / 2 for one in events]
    for index in sorted(range(len(events)), key=middles.__getitem__):
        by_label.setdefault(events[index].label, []).append(index)
    taken: set[int] = set()
    heard = np.zeros(len(words), bool)
    for number, (label, begin, end) in enumerate(words):
        order = by_label.get(label, [])
        first = bisect_left(order, begin - NEAR_S, key=middles.__getitem__)
        near = (one for one in order[first:] if one not in taken)
        at = next(near, None)
        if at is not None and is_near(events[at], label, begin, end):
            heard[number] = True
            taken.add(at)
    return heard, [one for index, one in enumerate(events) if index not in taken]


def most_expected(count: int) -> float:
    """Return the largest Poisson mean that gives `count` events or fewer in one of twenty cases (Garwood 1936).

    >>> round(most_expected(0), 2), round(most_expected(3), 2)
    (3.0, 7.75)
    """
    low, high = float(count), 3.0 * count + 20
    for _ in range(60):
        mean = (low + high) / 2
        terms = (k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(count + 1))
        low, high = (mean, high) if math.fsum(map(math.exp, terms)) > 1 - SURE else (low, mean)
    return high
