"""Time of a row of elec2 in blocks and one at a time, next to River's learners; `tools/drift_table rows` runs it.

python -m measure.stream_rows --json FILE

Times are processor time of the fastest of ten thousands of rows, prediction and learning together: a busy machine slows
all of them, not all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from edgecl_export import export_table

from common.splits import data_root
from edgecl.learner import Learner
from edgecl.learning.expert_plan import every_expert
from edgecl.learning.expert_state import ExpertState
from edgecl.learning.experts import Experts
from edgecl.learning.panel import Panel
from edgecl.learning.prequential import Prequential
from edgecl.model.model import Model
from edgecl.model.settings import Settings
from edgecl.river import EdgeClassifier
from measure.stream_peers import BLOCK, real_stream, river_learners

SET, ROWS, PART, CLASSES = "elec2", 10_000, 1000, 4
PEERS = ("River adaptive random forest", "River Hoeffding adaptive tree", "River AdaGrad")


def in_blocks(x: np.ndarray, y: list[str], panel: Panel | None) -> Callable[[slice], list[Any]]:
    """Follow rows as `edgecl follow` does, reading apart."""
    settings = Settings(
        memory_bytes=4 << 20, disk_bytes=64 << 20, max_classes=CLASSES, latent_dimension=x.shape[1],
        shrinkage_floor=0.01,
    )  # fmt: skip
    stream = Prequential(Model(settings), panel=panel)

    def take(part: slice) -> list[Any]:
        answers: list[Any] = []
        for first in range(part.start, part.stop, BLOCK):
            last = min(first + BLOCK, part.stop)
            stream.take(y[first:last], x[first:last])
            answers += stream.answers
            if stream.has_drifted:
                stream.adapt({})
        return answers

    return take


def gradient_alone(columns: int) -> Panel:
    """Return a panel of the gradient experts and the label before."""
    plan = replace(every_expert(columns, CLASSES), forgettings=(), tables=0, remembered=0)
    return Panel(Experts(ExpertState.start(plan)))


def one_at_a_time(model: Any, rows: list[dict[str, float]], y: list[str]) -> Callable[[slice], list[Any]]:
    """Predict and learn each row as a dictionary."""

    def take(part: slice) -> list[Any]:
        answers = []
        for row, label in zip(rows[part], y[part], strict=True):
            answers.append(model.predict_one(row))
            model.learn_one(row, label)
        return answers

    return take


def timed(take: Callable[[slice], list[Any]], y: list[str]) -> dict[str, Any]:
    """Return microseconds of a row, and the share answered right."""
    times, right = [], 0
    for first in range(0, len(y), PART):
        part = slice(first, min(first + PART, len(y)))
        started = time.process_time()
        answers = take(part)
        times.append((time.process_time() - started) / len(answers))
        right += sum(one == label for one, label in zip(answers, y[part], strict=True))
    return {"us": 1e6 * min(times), "accuracy": right / len(y), "rows": len(y)}


def figures() -> list[dict[str, Any]]:
    """Return the table, a line for each way."""
    stream = real_stream(SET)
    assert stream is not None
    x, y = stream[0][:ROWS], stream[1][:ROWS]
    names = [f"x{at}" for at in range(x.shape[1])]
    rows = [dict(zip(names, map(float, one), strict=True)) for one in x]
    with tempfile.TemporaryDirectory() as folder:
        like, extractor = Path(folder, "like.csv"), Path(folder, "table.onnx")
        lines = [",".join([*map(str, row.values()), label]) for row, label in zip(rows, y, strict=True)]
        like.write_text("\n".join([",".join([*names, "label"]), *lines]) + "\n")
        export_table(extractor, like)
        learner = Learner.create(Path(folder, "store"), extractor=extractor, max_classes=CLASSES)
        ways = {
            f"blocks of {BLOCK}, gradient experts and detectors": in_blocks(x, y, gradient_alone(x.shape[1])),
            f"blocks of {BLOCK}, all experts": in_blocks(x, y, None),
            "Learner.predict_one, learn_one": one_at_a_time(learner, rows, y),
            "edgecl.river.EdgeClassifier": one_at_a_time(EdgeClassifier(), rows, y),
            **{name: one_at_a_time(make(), rows, y) for name, make in river_learners().items() if name in PEERS},
        }
        return [{"way": name, **timed(take, y)} for name, take in ways.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    if not (data_root() / SET).is_dir():
        raise SystemExit(f"there is no {SET} in {data_root()}")
    given.json.write_text(json.dumps({"set": SET, "ways": figures()}, indent=1))


if __name__ == "__main__":
    main()
