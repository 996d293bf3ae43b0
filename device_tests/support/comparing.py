"""Recordings of made-up people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecl.compare.results import Comparison, Options, Result
from edgecl.compare.run import Progress, compare
from edgecl.compare.streams import Recordings, recordings
from edgecl.model.settings import Settings

from .learning import DIMENSION, Words, settings


def spoken(classes: int = 6, *, people: int = 6, each: int = 6, seed: int = 0) -> Recordings:
    """Words by people who each shift all of theirs a little."""
    words = Words(classes, seed=seed)
    shift = np.random.default_rng(seed).standard_normal((people, DIMENSION)) * 0.1
    rows, labels, groups = [], [], []
    for label in words.labels:
        for person in range(people):
            rows.append(words.say(label, each) + shift[person].astype(np.float32))
            labels += [label] * each
            groups += [f"person {person}"] * each
    return recordings(np.concatenate(rows), labels, groups)


def run(data: Recordings, options: Options, given: Settings | None = None) -> tuple[Comparison, list[Progress]]:
    playing = compare(data, given or settings(), options)
    steps = list(playing)
    return playing.report, steps


def row(name: str, accuracy: Sequence[float], *, memory: int = 0, ms: Sequence[float] = (1.0,)) -> Result:
    values = dict.fromkeys(
        ("old", "new", "forgetting", "bwt", "joint_loss", "disk_bytes", "ms", "exemplars", "refused"),
        np.zeros(len(accuracy)),
    )
    given = {"accuracy": np.array(accuracy), "memory_bytes": np.full(len(accuracy), float(memory))}
    return Result(name, {**values, **given}, np.tile(np.array(ms), (len(accuracy), 1)))
