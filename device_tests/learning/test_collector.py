"""A lesson's rows: the same whether they fit in memory or were spooled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError, EdgeclError
from edgecl.learning.collector import LessonCollector
from edgecl.model.exemplars import FeatureMap
from edgecl.model.model import Lesson

FEATURES = FeatureMap(16, 0, 0, 0)


def collect(spool: Path, limit_bytes: int, rng: np.random.Generator) -> Lesson:
    collector = LessonCollector(FEATURES, limit_bytes=limit_bytes, spool=spool)
    for index in range(40):
        collector.add("ab"[index % 2], rng.standard_normal((3, 16)).astype(np.float32))
    assert collector.count == 120
    return collector.finish()


def test_a_spooled_lesson_has_the_same_rows(tmp_path: Path) -> None:
    held = collect(tmp_path / "unused", 1 << 20, np.random.default_rng(1))
    spooled = collect(tmp_path, 200, np.random.default_rng(1))
    assert held.count == spooled.count == 120
    assert held.nbytes > 0
    assert spooled.nbytes == 0
    for label in "ab":
        assert np.array_equal(held.rows[label].rows, spooled.rows[label].rows)
        assert np.array_equal(held.rows[label].scales, spooled.rows[label].scales)
    assert list(tmp_path.iterdir()) == []


def test_a_spool_has_no_name_that_a_killed_process_would_leave_behind(tmp_path: Path) -> None:
    collector = LessonCollector(FEATURES, limit_bytes=10, spool=tmp_path)
    collector.add("a", np.ones((5, 16), np.float32))
    assert list(tmp_path.iterdir()) == []
    assert len(collector.finish().rows["a"]) == 5


def test_a_latent_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    collector = LessonCollector(FEATURES, limit_bytes=1 << 20, spool=tmp_path)
    with pytest.raises(DataError, match="not finite"):
        collector.add("a", np.full((1, 16), np.nan, np.float32))


def test_a_spool_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    collector = LessonCollector(FEATURES, limit_bytes=10, spool=tmp_path / "file")
    with pytest.raises(EdgeclError, match="spooled"):
        collector.add("a", np.ones((1, 16), np.float32))


def test_an_empty_lesson_has_no_rows(tmp_path: Path) -> None:
    assert LessonCollector(FEATURES, limit_bytes=10, spool=tmp_path).finish().count == 0
