"""Create: what no lesson could commit is refused at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecl.errors import SettingError
from edgecl.learner import Learner
from edgecl.operations.creation import MOST_CLASSES
from edgecl.store.records import MAX_BYTES, Revision, encode_revision

from ..support.commands import edgecl, voice_extractor


def test_as_many_classes_as_are_accepted_fit_a_revision_under_names_of_any_length() -> None:
    names = [f"{number:064d}" for number in range(MOST_CLASSES)]
    objects = {f"{role}/{one}": "0" * 64 for one in names for role in ("statistics", "exemplars")}
    body = {part: dict.fromkeys(names, 1000) for part in ("classes", "exemplars")}
    body["taught"] = dict.fromkeys(names, "2026-11-28T00:00:00+00:00")  # type: ignore[arg-type]
    revision = Revision(2, 1, "lesson", "2026-11-28T00:00:00+00:00", objects, body)
    assert len(encode_revision(revision, store_digest="0" * 64)) <= MAX_BYTES


def test_more_classes_are_refused_however_much_room_there_is(tmp_path: Path) -> None:
    voice_extractor()
    with pytest.raises(SettingError, match="a revision's file has room for"):
        Learner.create(
            tmp_path / "k", extractor="voice", max_classes=MOST_CLASSES + 1, memory_bytes=1 << 36, disk_bytes=1 << 36
        )
    done = edgecl("init", tmp_path / "k", "--extractor", "voice", "--max-classes", MOST_CLASSES + 1)
    assert done.code == 2
    assert "--max-classes" in done.err
    assert not (tmp_path / "k").exists()


def test_a_lift_that_would_overflow_is_refused_from_python(tmp_path: Path) -> None:
    voice_extractor()
    with pytest.raises(SettingError, match="a number of 401 digits"):
        Learner.create(tmp_path / "k", extractor="voice", lift_width=10**400)
    assert not (tmp_path / "k").exists()
