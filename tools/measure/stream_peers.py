"""Prequential accuracy of edgecl and of River's learners on the same rows, labels at once and 100 rows later.

    python -m measure.stream_peers --quick                 2,000 rows of each set, one seed, the quick learners
    python -m measure.stream_peers --json FILE             everything: hours
    python -m measure.stream_peers --set elec2 --learner edgecl

FILE has a line for each run, written when it ends, and a run that is in it is not made again: what was cut off goes on.

A row is answered, then the label that is due is learnt. Time is processor time without reading; memory is what the
learner states: edgecl's bytes of state, River's `_raw_memory_usage`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.generated_streams import GENERATORS, Stream
from common.splits import data_root
from edgecl.learning.prequential import Prequential
from edgecl.model.model import Model
from edgecl.model.settings import Settings

REAL = {"elec2": "class", "noaa_weather": "target"}  # set: its column of labels
DELAYS = (0, 100)
SEEDS = 10
QUICK_ROWS = 2000
BLOCK = 64
QUICK = ("edgecl", "no change", "majority", "River Hoeffding adaptive tree", "River AdaGrad")
Run = tuple[str, int, int, str, int]  # set, seed, delay, learner, rows
Answers = tuple[NDArray[np.bool_], float, int]  # right for each row, seconds, bytes


def real_stream(name: str) -> Stream | None:
    """Return a set in its order; None where it is not there."""
    path = data_root() / name / "data.csv"
    if not path.is_file():
        return None
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    at = rows[0].index(REAL[name])
    x = np.array([[float(cell) for k, cell in enumerate(row) if k != at] for row in rows[1:]], np.float32)
    return x, [row[at] for row in rows[1:]]


def drifting_digits(seed: int) -> Stream | None:
    """Return the digits thrice: in order of their classes by fives, which come back, each time in another order."""
    path = data_root() / "digits" / "digits.npz"
    if not path.is_file():
        return None
    with np.load(path) as arrays:
        x, y = arrays["X"].reshape(len(arrays["X"]), -1).astype(np.float32), arrays["y"]
    draw, order = np.random.default_rng([seed, 6]), []
    for _ in range(3):
        for low in (0, 5):
            group = np.flatnonzero((y >= low) & (y < low + 5))
            order.append(draw.permutation(group))
    chosen = np.concatenate(order)
    return x[chosen], [str(one) for one in y[chosen]]


def streams(seeds: Sequence[int], sets: Sequence[str] = ()) -> Iterator[tuple[str, int, Stream]]:
    """Yield the sets, all by default, as far as they are there; a real one has one order, and so one seed."""
    makers: dict[str, Callable[[int], Stream | None]] = {
        **{name: lambda _, name=name: real_stream(name) for name in REAL},  # type: ignore[misc]
        "digits": drifting_digits,
        **GENERATORS,
    }
    for seed in seeds:
        for name, make in makers.items():
            is_wanted = (not sets or name in sets) and (name not in REAL or seed == seeds[0])
            if is_wanted and (found := make(seed)) is not None:
                yield name, seed, found


def by_edgecl(stream: Stream, delay: int) -> Answers:
    """Follow with the defaults of a store for tables."""
    x, y = stream
    settings = Settings(
        memory_bytes=4 << 20,
        disk_bytes=64 << 20,
        max_classes=max(len(set(y)), 2),
        latent_dimension=x.shape[1],
        shrinkage_floor=0.01,
    )
    learner, answers = Prequential(Model(settings), label_delay=delay), []
    started = time.process_time()
    for first in range(0, len(y), BLOCK):
        learner.take(y[first : first + BLOCK], x[first : first + BLOCK])
        answers += learner.answers
        if learner.has_drifted:
            learner.adapt({})
    seconds = time.process_time() - started
    return np.array([one == label for one, label in zip(answers, y, strict=True)]), seconds, learner.nbytes


def by_baseline(stream: Stream, delay: int, *, is_majority: bool) -> Answers:
    """Say the last label known again, or the most frequent one."""
    right, counts, last = np.zeros(len(stream[1]), bool), dict[str, int](), ""
    for at, label in enumerate(stream[1]):
        said = max(counts, key=lambda one: counts[one], default="") if is_majority else last
        right[at] = said == label
        if at >= delay:
            last = stream[1][at - delay]
            counts[last] = counts.get(last, 0) + 1
    return right, 0.0, 0


def by_river(stream: Stream, delay: int, make: Callable[[], Any]) -> Answers:
    """Answer, then learn, row by row."""
    rows = [dict(enumerate(map(float, row))) for row in stream[0]]
    model, waiting = make(), deque[tuple[dict[int, float], str]]()
    right, started = np.zeros(len(rows), bool), time.process_time()
    for at, (row, label) in enumerate(zip(rows, stream[1], strict=True)):
        right[at] = model.predict_one(row) == label
        waiting.append((row, label))
        if len(waiting) > delay:
            model.learn_one(*waiting.popleft())
    return right, time.process_time() - started, int(model._raw_memory_usage)


def river_learners() -> dict[str, Callable[[], Any]]:
    """Return River's learners by name; none where River is not installed."""
    try:
        from river import drift, ensemble, forest, linear_model, multiclass, neighbors, optim, preprocessing, tree
    except ImportError:
        return {}

    def adagrad() -> Any:
        steps = linear_model.LogisticRegression(optimizer=optim.AdaGrad(0.3))
        return preprocessing.StandardScaler() | multiclass.OneVsRestClassifier(steps)

    def knn() -> Any:
        exact = neighbors.LazySearch(window_size=1000)  # the default is a graph of as many rows: slower, and no better
        neighbours = preprocessing.StandardScaler() | neighbors.KNNClassifier(n_neighbors=9, engine=exact)
        return ensemble.ADWINBaggingClassifier(neighbours, n_models=3, seed=0)

    return {
        "River Hoeffding adaptive tree": lambda: tree.HoeffdingAdaptiveTreeClassifier(seed=0),
        "River adaptive random forest": lambda: forest.ARFClassifier(n_models=10, seed=0),
        "River SRP": lambda: ensemble.SRPClassifier(
            tree.HoeffdingTreeClassifier(), n_models=10, drift_detector=drift.ADWIN(), seed=0
        ),
        "River AdaGrad": adagrad,
        "River kNN, ADWIN bagging": knn,
    }


def learners() -> dict[str, Callable[[Stream, int], Answers]]:
    """Return every learner by name."""
    found: dict[str, Callable[[Stream, int], Answers]] = {
        "edgecl": by_edgecl,
        "no change": lambda stream, delay: by_baseline(stream, delay, is_majority=False),
        "majority": lambda stream, delay: by_baseline(stream, delay, is_majority=True),
    }
    for name, make in river_learners().items():
        found[name] = lambda stream, delay, make=make: by_river(stream, delay, make)  # type: ignore[misc]
    return found


def runs(
    seeds: Sequence[int],
    done: Collection[Run],
    *,
    limit: int | None = None,
    only: Sequence[str] = (),
    sets: Sequence[str] = (),
) -> Iterator[dict[str, Any]]:
    """Yield what every learner reaches on every set, with every delay, as each run ends; not those that are done."""
    by_edgecl((np.zeros((64, 2), np.float32), ["a", "b"] * 32), 0)  # kernels are compiled before the clock starts
    for name, seed, (x, y) in streams(seeds, sets):
        stream = x[:limit], y[:limit]
        for learner, run in learners().items():
            for delay in DELAYS:
                if (only and learner not in only) or (name, seed, delay, learner, len(stream[1])) in done:
                    continue
                right, seconds, held = run(stream, delay)
                about = {"set": name, "seed": seed, "delay": delay, "learner": learner, "rows": len(right)}
                yield {**about, "accuracy": float(right.mean()), "us": 1e6 * seconds / len(right), "bytes": held}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--set", action="append", default=[], dest="sets")
    parser.add_argument("--learner", action="append", default=[])
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    seeds, limit = (range(1), QUICK_ROWS) if given.quick else (range(given.seeds), None)
    only = given.learner or (QUICK if given.quick else ())
    for run in runs(seeds, already(given.json), limit=limit, only=only, sets=given.sets):
        print(json.dumps(run), file=sys.stderr, flush=True)
        if given.json:
            with given.json.open("a") as file:
                print(json.dumps(run), file=file)


def already(path: Path | None) -> set[Run]:
    """Return the runs that a file has."""
    lines = path.read_text().splitlines() if path and path.exists() else []
    return {(one["set"], one["seed"], one["delay"], one["learner"], one["rows"]) for one in map(json.loads, lines)}


if __name__ == "__main__":
    main()
