"""Measure drift detectors and prequential learners; `tools/drift_table` runs this in an environment of its own.

Synthetic streams of errors (0 or 1) have known points of change. An alarm is the detection of a point if it is the
first one after it and comes before the next; every other alarm is false.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from edgecl_export import export_table
from numpy.typing import NDArray
from river import drift, forest, tree
from river.drift import binary

from common.splits import data_root
from edgecl.drift.adwin import Adwin
from edgecl.drift.detector import Detector
from edgecl.drift.page_hinkley import PageHinkley
from edgecl.learner import Learner
from edgecl.sources.reading import read_samples
from measure import stream_peers

LENGTH = 10_000
LOW, HIGH = 0.2, 0.4  # share of errors before and after a change
RAMP = 1000  # samples over which a gradual change takes place
POINTS = {"steady": (), "abrupt": (5000,), "gradual": (5000,), "recurring": (2500, 5000, 7500)}
# ADWIN's settings as (delta, clock, shortest, grace): River's defaults, then others
STREAMS = {"elec2": "class", "noaa_weather": "target"}  # set: its column of labels
LIFT = 32  # random units of the second of our rows
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


def stream_rows() -> list[dict[str, Any]]:
    """Prequential accuracy on real streams, time a row and memory; none where the sets are not there."""
    root = data_root()
    rows: list[dict[str, Any]] = []
    for name, label in STREAMS.items():
        path = root / name / "data.csv"
        if not path.is_file():
            continue
        rows += [our_row(name, path, label, lift=lift) for lift in (0, LIFT)]
        rows += [
            river_row(name, path, label, "River Hoeffding tree", tree.HoeffdingTreeClassifier()),
            river_row(name, path, label, "River Hoeffding adaptive tree", tree.HoeffdingAdaptiveTreeClassifier(seed=0)),
            river_row(
                name, path, label, "River adaptive random forest (10)", forest.ARFClassifier(n_models=10, seed=0)
            ),
        ]
    return rows


def our_row(name: str, path: Path, label: str, *, lift: int) -> dict[str, Any]:
    """Return the report of `edgecl learn --prequential`, reading and committing included."""
    with tempfile.TemporaryDirectory() as folder:
        extractor, store = Path(folder, "table.onnx"), Path(folder, "store")
        export_table(extractor, path, label_column=label)
        device = Learner.create(store, extractor=extractor, max_classes=4, lift_width=lift)
        contract = device.extractor.contract
        run = device.run.follow(read_samples(path, contract, label_column=label, labelled=False))
        before = time.process_time()
        report = run.finish()
        seconds = time.process_time() - before
    tally = report.tally
    learner = f"edgecl, --lift {lift}" if lift else "edgecl"
    us, held = 1e6 * seconds / tally.rows, report.bytes["total"]
    row = {"set": name, "learner": learner, "accuracy": tally.accuracy, "us": us, "bytes": held}
    return {**row, "drifts": len(report.drifts), "same label again": tally.same_again / tally.labelled}


def river_row(name: str, path: Path, label: str, learner: str, model: Any) -> dict[str, Any]:
    """Answer, then learn, row by row; reading is not timed."""
    with path.open(newline="") as file:
        rows = [
            ({column: float(cell) for column, cell in row.items() if column != label}, row[label])
            for row in csv.DictReader(file)
        ]
    started, correct = time.process_time(), 0
    for x, y in rows:
        correct += model.predict_one(x) == y
        model.learn_one(x, y)
    us = 1e6 * (time.process_time() - started) / len(rows)
    held = model._raw_memory_usage
    return {"set": name, "learner": learner, "accuracy": correct / len(rows), "us": us, "bytes": held}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    seeds = range(given.seeds)
    started = time.process_time()
    figures = {
        "detectors": detector_rows(seeds),
        "adwin": adwin_matches(seeds[:5]),
        "streams": stream_rows(),
        "peers": stream_peers.rows(
            range(1 if given.quick else stream_peers.SEEDS),
            limit=stream_peers.QUICK_ROWS if given.quick else None,
            only=stream_peers.QUICK if given.quick else (),
        ),
        "seeds": given.seeds,
        "length": LENGTH,
        "low": LOW,
        "high": HIGH,
    }
    figures["seconds"] = time.process_time() - started
    given.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
