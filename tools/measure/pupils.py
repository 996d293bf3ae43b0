"""Learners that go through lessons: a model of ours, and other people's in a process of their own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.splits import (
    lessons,
)
from edgecl.learning.admission import Answer
from edgecl.learning.collector import LessonCollector
from edgecl.learning.loop import lesson_stages
from edgecl.metrics import balanced_accuracy
from edgecl.model.model import Lesson, MemoryObjects, Model
from edgecl.model.settings import Settings
from measure.cases import UNLIMITED, Case

DEFAULT = "auto"  # the only one that is played without --force: the gate may reject its lessons
DISTINCT = Answer(distinct=True)


class Pupil:
    """A model that goes through lessons; a rejected one leaves it as it was.

    It answers as a user would who means every class: what the gate asks about is a class of its own, as with
    `edgecl learn --distinct`.
    """

    def __init__(self, settings: Settings) -> None:
        self.model = Model(settings)
        self.used: list[str] = []  # the strategy that made the head, lesson by lesson, or "rejected"
        self.asked = 0  # times that the gate asked about a class
        self._objects = MemoryObjects()

    def learn(self, lesson: Lesson, *, strategy: str = DEFAULT) -> None:
        before, is_forced = self.model.distinct, strategy != DEFAULT
        outcome = lesson_stages(
            self.model, lesson, objects=self._objects, strategy=strategy, force=is_forced, answer=DISTINCT
        ).finish()
        self.model = outcome.model or self.model
        self.asked += len(self.model.distinct - before) + len(outcome.verdict.asks)
        self.used.append(outcome.strategy if outcome.model else "rejected")

    @property
    def rejected(self) -> int:
        return self.used.count("rejected")


def play(settings: Settings, taught: Sequence[Lesson], *, strategy: str = DEFAULT) -> Pupil:
    """Lessons one after another."""
    pupil = Pupil(settings)
    for lesson in taught:
        pupil.learn(lesson, strategy=strategy)
    return pupil


def collect(case: Case, settings: Settings, rows: NDArray[np.intp]) -> Lesson:
    """The rows as a lesson, in their order."""
    collector = LessonCollector(settings.features, limit_bytes=UNLIMITED, spool=case.scratch)
    for row in rows:
        collector.add(str(case.latents.labels[row]), case.latents.x[row : row + 1])
    return collector.finish()


def stream(case: Case, settings: Settings, order: Sequence[str]) -> list[Lesson]:
    """All that is taught, in lessons of an order."""
    return [collect(case, settings, case.taught(part)) for part in lessons(order)]


def accuracy(case: Case, model: Model, rows: NDArray[np.intp]) -> float:
    """Balanced accuracy of a model on rows; a class that it was not taught is answered wrong."""
    if model.head is None:
        return 0.0
    where = {label: index for index, label in enumerate(case.classes)}
    answers = np.array([where[label] for label in model.predict(case.latents.x[rows]).labels])
    return balanced_accuracy(case.numbers(rows), answers)


class Peers:
    """tools/peers on the same latents, in a process beside ours."""

    def __init__(self, python: Path, jobs: Sequence[dict[str, Any]], *, scratch: Path, script: str = "run.py") -> None:
        self._script = script
        file, self._output = (scratch / f"{script}.{kind}" for kind in ("json", "jsonl"))
        file.write_text(json.dumps(jobs))
        runner = Path(__file__).resolve().parents[1] / "peers" / script
        with self._output.open("w") as output:
            command = [str(python), str(runner), str(file)]
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True)

    def results(self) -> list[dict[str, Any]]:
        """Wait, then give what every peer reached.

        Raises
        ------
        RuntimeError
            When the process failed.
        """
        _, complaints = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"tools/peers/{self._script} failed: {complaints[-2000:]}")
        return [json.loads(line) for line in self._output.read_text().splitlines()]
