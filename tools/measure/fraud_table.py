"""Replay or EWC, when fraud changes and classic patterns must not be forgotten? Measured on a made-up stream.

`tools/fraud_table` runs this in an environment of its own.

Every way of learning gives each payment a score before its label comes (1,000 rows later; a fifth of the labels never
come). An alert is one of the 20 likeliest rows of each 1,000. The strategies with gradient steps learn a lesson of each
LESSON rows; the default is the mixture of experts that `edgecl follow` runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.fraud import CLASSIC, FAIR, NEW, fraud_stream
from edgecl.learning.collector import LessonCollector
from edgecl.learning.decisions import AlertBudget
from edgecl.learning.loop import learn
from edgecl.learning.prequential import Prequential
from edgecl.metrics import average_precision
from edgecl.model.head import probabilities
from edgecl.model.model import MemoryObjects, Model
from edgecl.model.settings import Settings

DELAY, MISSING, PER_1000, LESSON, BLOCK = 1000, 0.2, 20.0, 2000, 64
SPOOL = Path(tempfile.gettempdir())  # of a lesson that is too long for memory: none is
FOUND = 0.5  # a new pattern is found when half of its latest rows were alerts
LATEST = 8
STRATEGIES = ("naive", "replay", "ewc", "ewc-replay")
Scores = NDArray[np.float64]


def settings(columns: int) -> Settings:
    return Settings(
        memory_bytes=1 << 20, disk_bytes=64 << 20, max_classes=2, latent_dimension=columns, shrinkage_floor=0.01,
        lift_width=64,
    )  # fmt: skip


def by_lessons(strategy: str) -> Callable[[NDArray[np.float32], list[str | None]], Scores]:
    """Score rows by a head that learns a lesson of every LESSON rows with a strategy, whatever the gate says."""

    def scores(x: NDArray[np.float32], labels: list[str | None]) -> Scores:
        objects, out = MemoryObjects(), np.zeros(len(x))
        model = Model(settings(x.shape[1]))
        for first in range(0, len(x), LESSON):
            part = slice(first, first + LESSON)
            if model.head is not None and "fraud" in model.head.labels:
                given = probabilities(model.head.logits(model.features(x[part])))
                out[part] = given[:, model.head.labels.index("fraud")]
            due = range(max(first - DELAY, 0), max(min(first + LESSON, len(x)) - DELAY, 0))
            model = taught(model, x, labels, due, strategy, objects)
        return out

    return scores


def taught(
    model: Model, x: NDArray[np.float32], labels: list[str | None], due: range, strategy: str, objects: MemoryObjects
) -> Model:
    collector = LessonCollector(model.settings.features, limit_bytes=1 << 24, spool=SPOOL)
    for at in due:
        label = labels[at]
        if label is not None:
            collector.add(label, x[at : at + 1])
    if not collector.count:
        return model
    outcome = learn(model, collector.finish(), objects=objects, strategy=strategy, force=True, seed=0)
    return outcome.model or model


def by_experts(x: NDArray[np.float32], labels: list[str | None]) -> Scores:
    """Score rows as `edgecl follow` does."""
    stream, out = Prequential(Model(settings(x.shape[1])), label_delay=DELAY), np.zeros(len(x))
    for first in range(0, len(x), BLOCK):
        part = slice(first, first + BLOCK)
        stream.take(labels[part], x[part])
        if "fraud" in stream.panel.labels and stream.probabilities.shape[1] > 1:
            out[part] = stream.probabilities[:, stream.panel.labels.index("fraud")]
        if stream.has_drifted:
            stream.adapt({})
    return out


def figures(scores: Scores, patterns: list[str], seconds: float) -> dict[str, Any]:
    """What was found: new patterns after how many of their labels, classic ones at the end."""
    budget = AlertBudget(PER_1000)
    alerts = np.array([budget.alert(score) for score in scores])
    kind = np.array(patterns)
    late = np.arange(len(kind)) >= len(kind) * 0.8
    classic = np.isin(kind, CLASSIC)
    return {
        "average precision": average_precision(kind != FAIR, scores),
        "recall": float(alerts[kind != FAIR].mean()),
        "classic at the end": float(alerts[classic & late].mean()),
        "found after": {name: found_after(alerts[kind == name]) for name, _, _ in NEW},
        "new patterns": float(alerts[np.isin(kind, [name for name, _, _ in NEW])].mean()),
        "us": 1e6 * seconds / len(kind),
    }


def found_after(alerts: NDArray[np.bool_]) -> int | None:
    """Rows of a pattern until half of the latest LATEST were alerts; None where that never was."""
    for at in range(LATEST, len(alerts) + 1):
        if alerts[at - LATEST : at].mean() >= FOUND:
            return at
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed of 20,000 rows, one payment in 200 is fraud")
    parser.add_argument("--way", action="append", choices=[*STRATEGIES, "default"], help="some of the ways")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    seeds, rows, one_in = ([0], 20_000, 200) if given.quick else (range(5), 120_000, 500)
    ways = {**{name: by_lessons(name) for name in STRATEGIES}, "default": by_experts}
    ways = {name: way for name, way in ways.items() if name in (given.way or ways)}
    table: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for seed in seeds:
        values, patterns, is_known = fraud_stream(rows, one_in=one_in, missing=MISSING, seed=seed)
        first = values[:1000]
        x = ((values - first.mean(axis=0)) / (first.std(axis=0) + 1e-9)).clip(-10, 10).astype(np.float32)
        names = ["fair" if one == FAIR else "fraud" for one in patterns]
        labels = [name if known else None for name, known in zip(names, is_known, strict=True)]
        for name, way in ways.items():
            started = time.process_time()
            table[name].append(figures(way(x, labels), patterns, time.process_time() - started))
            print(seed, name, json.dumps(table[name][-1]), file=sys.stderr, flush=True)
    if given.json:
        given.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
