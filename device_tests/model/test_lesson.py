"""A lesson made of latents, for those who have no store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecl import Lesson, LessonCollector, MemoryObjects, Model, Settings, learn
from edgecl.errors import DataError
from edgecl.learning.loop import Stage

SETTINGS = Settings(
    memory_bytes=1 << 20, disk_bytes=1 << 24, max_classes=4, latent_dimension=8, shrinkage_floor=0.1
)  # fmt: skip
GENERATOR = np.random.default_rng(0)
LATENTS = {
    "yes": GENERATOR.normal(size=(6, 8)).astype(np.float32) + 3 * np.eye(8, dtype=np.float32)[0],
    "no": GENERATOR.normal(size=(5, 8)).astype(np.float32) - 3 * np.eye(8, dtype=np.float32)[0],
}


def test_it_has_the_rows_that_a_collector_makes() -> None:
    collector = LessonCollector(SETTINGS.features, limit_bytes=1 << 20, spool=None)
    for label, latents in LATENTS.items():
        collector.add(label, latents)
    collected, made = collector.finish(), Lesson.of(LATENTS, SETTINGS)
    assert made.count == collected.count == 11
    for label, rows in collected.rows.items():
        np.testing.assert_array_equal(made.rows[label].rows, rows.rows)
        np.testing.assert_array_equal(made.rows[label].scales, rows.scales)


def test_one_latent_is_a_row_and_none_is_left_out() -> None:
    made = Lesson.of({"yes": LATENTS["yes"][0], "no": np.empty((0, 8))}, SETTINGS)
    assert {label: len(rows) for label, rows in made.rows.items()} == {"yes": 1}


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        ({}, "nothing to learn"),
        ({"yes": np.empty((0, 8))}, "nothing to learn"),
        ({"yes": np.ones((3, 7))}, r"shape \(3, 7\), wanted \(n, 8\)"),
        ({"yes": np.full((3, 8), np.nan)}, "not finite"),
        ({3: np.ones((3, 8))}, "the label 3 cannot be used: labels are strings"),
        ({"": np.ones((3, 8))}, "the label ''"),
    ],
)
def test_what_is_no_lesson_is_refused(latents: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Lesson.of(latents, SETTINGS)


@pytest.mark.parametrize("objects", [None, MemoryObjects()])
def test_it_is_learnt_at_once_and_without_a_store(objects: MemoryObjects | None) -> None:
    seen: list[Stage] = []
    outcome = learn(Model(SETTINGS), Lesson.of(LATENTS, SETTINGS), objects=objects, progress=seen.append)
    assert [one.name for one in seen] == ["sift", "statistics", "update", "judge"]
    assert outcome.model is not None
    assert outcome.model.predict(LATENTS["yes"]).labels == ["yes"] * 6
    again = learn(outcome.model, Lesson.of({"maybe": LATENTS["yes"][:, ::-1]}, SETTINGS), objects=objects)
    assert again.model is not None
    assert again.model.labels == ("maybe", "no", "yes")
