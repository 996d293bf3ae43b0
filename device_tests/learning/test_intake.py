"""What is kept of a lesson, within the memory that was granted."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from edgecl.learning.loop import learn
from edgecl.model.model import MemoryObjects, Model

from ..support.learning import ANYTHING, FileObjects, Words, as_lesson, reloaded, settings, taught, teach

pytestmark = pytest.mark.native("sifts many lessons")


def test_exemplars_stay_within_their_capacity_as_classes_come() -> None:
    many = Words(20)
    model = Model(settings(memory_bytes=64 << 10, max_classes=20))
    for label in many.labels:
        model = taught(model, {label: many.say(label, 60)})
        held = sum(one.nbytes for one in model.exemplars.values())
        assert held <= model.plan().exemplars
        assert model.bytes()["total"] <= model.settings.memory_bytes
    assert all(len(one) for one in model.exemplars.values())


def test_a_refined_model_with_full_exemplars_stays_within_the_memory() -> None:
    many = Words(8)
    objects, model = MemoryObjects(), Model(settings(memory_bytes=192 << 10, max_classes=8))
    for first in (0, 4):
        lesson = many.lesson(400, many.labels[first : first + 4])
        outcome = teach(model, lesson, objects=objects, strategy="ewc-replay", policy=ANYTHING)
        assert outcome.model is not None, outcome.verdict.reasons
        model = outcome.model
    assert model.ewc is not None
    assert model.bytes()["total"] <= model.settings.memory_bytes


PYTHON_OBJECTS = 96 << 10  # what frames, strings and dictionaries take: not learner state


@pytest.mark.parametrize(
    ("dimension", "classes", "memory_bytes"),
    [
        (96, 30, 1 << 20),
        (96, 30, 512 << 10),
        (400, 12, 3 << 20),
        pytest.param(200, 60, 2 << 20, marks=pytest.mark.native("its gradient steps take 20 s there")),
    ],
)
def test_a_lesson_allocates_no_more_than_the_memory_granted(
    tmp_path: Path, dimension: int, classes: int, memory_bytes: int
) -> None:
    words = Words(classes, dimension=dimension)
    objects = FileObjects(tmp_path)
    model = Model(settings(dimension=dimension, memory_bytes=memory_bytes, max_classes=classes, precision="float32"))
    for part in np.array_split(words.labels, 3):
        lesson = as_lesson(model, words.lesson(20, list(part)), spool=tmp_path)
        learn(model, lesson, objects=objects, policy=ANYTHING)  # what is compiled on the way stays
        model = reloaded(model, objects)
        tracemalloc.start()
        outcome = learn(model, lesson, objects=objects, policy=ANYTHING)
        held = model.bytes()
        peak = tracemalloc.get_traced_memory()[1] + held["statistics"] + held["head"] // 2
        tracemalloc.stop()
        assert outcome.model is not None
        model = outcome.model
        assert peak + lesson.nbytes <= memory_bytes + PYTHON_OBJECTS
