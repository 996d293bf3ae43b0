#!/usr/bin/env python3
"""Learn support intents month by month, and see that the old ones stay.

    tools/examples/monthly_intents.py               words counted in 256 hashed columns stand in for a text model
    tools/examples/monthly_intents.py text.onnx     the text extractor of `edgecl export text` (extra [text])

The stand-in knows words and no meaning: it shows the loop, not the accuracy on real questions. The questions are
made from templates. Needs the extra [export] for the stand-in.
"""

from __future__ import annotations

import re
import sys
import tempfile
import zlib
from itertools import product
from pathlib import Path

import numpy as np
from edgecl_export import export_identity
from numpy.typing import NDArray

import edgecl

COLUMNS = 256
OPENINGS = ("please", "hello,", "hi there,", "can you help me:", "urgent:", "quick question,", "sorry,", "again,")
MONTHS: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        "lost card": ("i lost my card", "my card is gone", "someone stole my card", "i cannot find my card"),
        "balance": ("how much money do i have", "what is my balance", "show the balance", "is there money left"),
        "opening hours": ("when do you open", "are you open on sunday", "opening hours", "until when are you open"),
    },
    {"refund": ("i want a refund", "give me back what i paid", "refund the order", "i was charged twice, refund")},
    {"change address": ("i moved", "my address changed", "update my address", "new street, new house number")},
)


def questions(intents: dict[str, tuple[str, ...]], openings: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return texts and their intents."""
    pairs = [(f"{start} {text}", name) for name, texts in intents.items() for start, text in product(openings, texts)]
    return [text for text, _ in pairs], [name for _, name in pairs]


def hashed(texts: list[str]) -> NDArray[np.float32]:
    """Return counts of words (n, 256), each row of length 1."""
    rows = np.zeros((len(texts), COLUMNS), np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in re.findall(r"\w+", text):
            row[zlib.crc32(word.encode()) % COLUMNS] += 1
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        extractor, is_stand_in = Path(folder, "hashed.onnx"), len(sys.argv) < 2
        if is_stand_in:
            export_identity(extractor, [f"word{number}" for number in range(COLUMNS)])
        else:
            extractor = Path(sys.argv[1])
        learner = edgecl.Learner.create(Path(folder, "desk"), extractor=extractor, max_classes=32)
        for number, month in enumerate(MONTHS, start=1):
            texts, intents = questions(month, OPENINGS[:5])
            report = learner.learn(hashed(texts) if is_stand_in else texts, intents)
            known = {name: found for one in MONTHS[:number] for name, found in one.items()}
            texts, intents = questions(known, OPENINGS[5:])
            found = learner.evaluate(hashed(texts) if is_stand_in else texts, intents)
            print(
                f"month {number}: {', '.join(month)}; accepted {report.verdict.accepted}; "
                f"{len(known)} intents, accuracy {found.balanced_accuracy:.1%}"
            )


if __name__ == "__main__":
    main()
