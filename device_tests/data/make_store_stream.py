"""Make `store_stream`: python make_store_stream.py IDENTITY.onnx, with the edgecl that is to be kept. See README.md."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from edgecl.learner import Learner

HERE = Path(__file__).resolve().parent
STORE, ANSWERS = HERE / "store_stream", HERE / "store_stream_answers.json"
ROWS, COMMITTED = 400, 200


def rows(count: int) -> list[tuple[dict[str, float], str]]:
    """Return rows whose label is of two columns together, without a generator that may change."""
    made = []
    for at in range(count):
        flow, level = at * 0.754877666 % 1, at * 0.569840291 % 1  # Roberts (2018)
        made.append(
            ({"flow": 4 * flow - 2, "level": 4 * level - 2}, "open" if (flow > 0.5) == (level > 0.3) else "shut")
        )
    return made


def main() -> None:
    shutil.rmtree(STORE, ignore_errors=True)
    learner = Learner.create(STORE, extractor=Path(sys.argv[1]), max_classes=2, memory_bytes=900 << 10)
    for at, (row, label) in enumerate(rows(ROWS)):
        if at and at % COMMITTED == 0:
            learner.commit()
        learner.learn_one(row, label)
    learner.commit()
    answers = [Learner.open(STORE).predict_proba_one(row) for row, _ in rows(ROWS + 40)[ROWS:]]
    ANSWERS.write_text(json.dumps(answers) + "\n")
    (STORE / "reserve").unlink(missing_ok=True)  # nothing but zeros


if __name__ == "__main__":
    main()
