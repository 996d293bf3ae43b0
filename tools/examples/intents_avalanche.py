#!/usr/bin/env python3
"""Learn three intents and then two more in Avalanche's own loop: EWC beside edgecl.

    tools/examples/intents_avalanche.py ../shared/data/clinc150/data.jsonl

The argument is clinc150 as lines of JSON with "text", "label" and "split". Words and pairs of words, counted in 512
hashed columns, stand in for a text model: it shows the loop, not the best accuracy. Needs avalanche-lib and the
extra [sklearn].
"""

from __future__ import annotations

import json
import re
import sys
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from avalanche_strategy import EdgeStrategy, as_set, class_benchmark, followed, metrics, stepping

COLUMNS = 512
FIRST, THEN = ("balance", "transfer", "pay_bill"), ("weather", "alarm")


def hashed(texts: list[str]) -> NDArray[np.float32]:
    """Return counts of words and pairs of words (n, 512), each row of length 1."""
    rows = np.zeros((len(texts), COLUMNS), np.float32)
    for row, text in zip(rows, texts, strict=True):
        words = re.findall(r"\w+", text.lower())
        for word in (*words, *(f"{one} {other}" for one, other in pairwise(words))):
            row[zlib.crc32(word.encode()) % COLUMNS] += 1
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return rows


def intents(path: Path, *, for_test: bool) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return rows and numbers of the five intents, of the texts for training or of those for test."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    names = (*FIRST, *THEN)
    wanted = [one for one in lines if one["label"] in names and (one["split"] == "test") == for_test]
    return hashed([one["text"] for one in wanted]), np.array([names.index(one["label"]) for one in wanted])


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    path = Path(sys.argv[1])
    train, test = intents(path, for_test=False), intents(path, for_test=True)
    print(f"{len(train[1])} texts of {', '.join((*FIRST, *THEN))}")
    print(f"{'':10}{'first three':>12}{'then two':>10}{'all':>8}")
    for name in ("naive", "EWC", "edgecl"):
        order = list(range(len(FIRST) + len(THEN)))
        sizes = {0: len(FIRST), 1: len(THEN)}
        sets = as_set(*train), as_set(*test)
        benchmark = class_benchmark(*sets, 2, per_exp_classes=sizes, fixed_class_order=order)
        is_ours, evaluator = name == "edgecl", metrics()
        strategy = EdgeStrategy(5, evaluator=evaluator) if is_ours else stepping(name, COLUMNS, 5, evaluator)
        found = followed(strategy, benchmark)
        print(f"{name:10}{found['Exp000']:12.1%}{found['Exp001']:10.1%}{found['Top1_Acc_Stream']:8.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
