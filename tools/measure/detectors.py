"""Drift detectors of edgecl and of River on synthetic streams of errors; `measure.stream_parts` runs this.

Synthetic streams of errors (0 or 1) have known points of change. An alarm is the detection of a point if it is the
first one after it and comes before the next; every other alarm is false.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import drift
from river.drift import binary

from edgecl.drift.adwin import Adwin
from edgecl.drift.detector import Detector
from edgecl.drift.page_hinkley import PageHinkley

LENGTH = 10_000
LOW, HIGH = 0.2, 0.4  # share of errors before and after a change
RAMP = 1000  # samples over which a gradual change takes place
POINTS = {"steady": (), "abrupt": (5000,), "gradual": (5000,), "recurring": (2500, 5000, 7500)}
# ADWIN's settings as (delta, clock, shortest, grace): River's defaults, then others
ADWIN_SETTINGS = ((0.002, 32, 5, 10), (0.05, 1, 5, 10), (0.002, 8, 20, 100), (0.3, 32, 1, 3))


@dataclass(frozen=True)
class Tally:
    """The alarms of a detector on the streams of one kind."""

    false_alarms: int
    delays: list[int]
    missed: int
    samples: int
    seconds: float


def share_of_errors(kind: str) -> NDArray[np.float64]:
    """Probability of an error at each sample of a stream."""
    at = np.arange(LENGTH)
    if kind == "gradual":
        return LOW + (HIGH - LOW) * np.clip((at - POINTS[kind][0]) / RAMP, 0, 1)
    changes = np.searchsorted(POINTS[kind], at, side="right")
    return np.where(changes % 2 == 0, LOW, HIGH)


def errors(kind: str, seed: int) -> NDArray[np.float64]:
    return (np.random.default_rng([seed, *kind.encode()]).random(LENGTH) < share_of_errors(kind)).astype(np.float64)


def ours(start: Callable[[], Adwin | PageHinkley]) -> Callable[[NDArray[np.float64]], list[int]]:
    """Alarms of a detector of edgecl that is written in place, one value at a time."""

    def alarms(values: NDArray[np.float64]) -> list[int]:
        detector = start().in_place()
        return [at for at, value in enumerate(values.tolist()) if detector.add(value)]

    return alarms


def our_values(start: Callable[[], Detector]) -> Callable[[NDArray[np.float64]], list[int]]:
    """Alarms of a detector of edgecl that makes another one at each value."""

    def alarms(values: NDArray[np.float64]) -> list[int]:
        detector, found = start(), []
        for at, value in enumerate(values):
            signal = detector.update(value)
            detector = signal.detector
            if signal.has_drifted:
                found.append(at)
        return found

    return alarms


def rivers(start: Callable[[], Any], *, binary_input: bool = False) -> Callable[[NDArray[np.float64]], list[int]]:
    """Alarms of a detector of River."""

    def alarms(values: NDArray[np.float64]) -> list[int]:
        detector, found = start(), []
        for at, value in enumerate(values.tolist()):
            detector.update(bool(value) if binary_input else value)
            if detector.drift_detected:
                found.append(at)
        return found

    return alarms


DETECTORS: dict[str, Callable[[NDArray[np.float64]], list[int]]] = {
    "edgecl ADWIN": ours(Adwin.start),
    "edgecl ADWIN, a value that is copied": our_values(Adwin.start),
    "River ADWIN": rivers(drift.ADWIN),
    "edgecl Page-Hinkley": ours(PageHinkley.start),
    "edgecl Page-Hinkley, a value that is copied": our_values(PageHinkley.start),
    "River Page-Hinkley": rivers(drift.PageHinkley),
    "River KSWIN": rivers(lambda: drift.KSWIN(seed=0)),
    "River DDM": rivers(binary.DDM, binary_input=True),
    "always": lambda values: list(range(len(values))),
    "never": lambda values: [],
}


def tally(alarms: Callable[[NDArray[np.float64]], list[int]], kind: str, seeds: Sequence[int]) -> Tally:
    false, delays, missed, seconds = 0, [], 0, 0.0
    for seed in seeds:
        values = errors(kind, seed)
        started = time.process_time()
        found = alarms(values)
        seconds += time.process_time() - started
        caught = 0
        for point, end in zip(POINTS[kind], [*POINTS[kind][1:], LENGTH], strict=False):
            first = next((at for at in found if point <= at < end), None)
            if first is None:
                missed += 1
                continue
            delays.append(first - point)
            caught += 1
        false += len(found) - caught
    return Tally(false, delays, missed, LENGTH * len(seeds), seconds)


def detector_rows(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each detector: false alarms per 10,000 samples, median delay and share missed, for each kind."""
    rows = []
    for name, alarms in DETECTORS.items():
        row: dict[str, Any] = {"detector": name}
        seconds = samples = 0.0
        for kind, points in POINTS.items():
            one = tally(alarms, kind, seeds)
            row[f"{kind} false"] = 1e4 * one.false_alarms / one.samples
            if points:
                row[f"{kind} delay"] = float(np.median(one.delays)) if one.delays else None
                row[f"{kind} missed"] = one.missed / (len(points) * len(seeds))
            seconds, samples = seconds + one.seconds, samples + one.samples
        rows.append({**row, "us": 1e6 * seconds / samples})
    return rows


def adwin_matches(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """For each setting: alarms of ours and of River on the same streams, and on how many streams all agree."""
    rows = []
    for delta, clock, shortest, grace in ADWIN_SETTINGS:
        mine = ours(partial(Adwin.start, delta=delta, clock=clock, shortest=shortest, grace=grace))
        theirs = rivers(partial(drift.ADWIN, delta=delta, clock=clock, min_window_length=shortest, grace_period=grace))
        pairs = [(mine(values), theirs(values)) for kind in POINTS for seed in seeds for values in [errors(kind, seed)]]
        rows.append(
            {
                "delta": delta,
                "clock": clock,
                "min_window": shortest,
                "grace": grace,
                "alarms": sum(len(one) for one, _ in pairs),
                "River's": sum(len(one) for _, one in pairs),
                "streams": len(pairs),
                "equal": sum(one == other for one, other in pairs),
            }
        )
    return rows
