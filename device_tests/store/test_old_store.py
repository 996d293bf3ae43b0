"""A store of edgecl 0.1.0, kept as data: it opens, answers as it did then, learns on and rolls back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgecl.store.body_kinds import (
    CentreBody,
    CentreNote,
    ForgetBody,
    Forgotten,
    RollbackBody,
    StreamBody,
    UncentreBody,
    body_of,
    read_entry,
)
from edgecl.store.records import InitBody, LessonBody, LessonNote, RepairBody
from edgecl.store.store import Store

from ..support.commands import edgecl

DATA = Path(__file__).resolve().parent.parent / "data"
REVISIONS = {
    1: InitBody,
    2: LessonBody,
    3: CentreBody,
    4: UncentreBody,
    5: StreamBody,
    6: StreamBody,
    7: StreamBody,
    8: RollbackBody,
    10: RepairBody,
    12: ForgetBody,
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return shutil.copytree(DATA / "store_0_1", tmp_path / "store_0_1")


def require_answers(store: Path, name: str) -> None:
    """Exact labels; probabilities to six digits, since another processor may round otherwise."""
    expected = json.loads((DATA / "store_0_1_answers.json").read_text())[name]
    answers = edgecl("predict", store, DATA / "ask.csv", "--json").lines
    assert len(expected) == 24
    assert [one["label"] for one in answers] == [one["label"] for one in expected]
    for member in ("confidence", "novelty"):
        assert [one[member] for one in answers] == pytest.approx([one[member] for one in expected], abs=1e-6)


def require_intact(store: Path) -> None:
    """As `edgecl doctor` checks it."""
    opened = Store.open(store)
    assert opened.check() == []
    assert opened.damage == []


def test_it_is_intact_and_answers_as_it_did(old: Path) -> None:
    require_intact(old)
    require_answers(old, "live")


def test_every_revision_can_be_rolled_back_to(old: Path) -> None:
    for number in [one for one in REVISIONS if one not in (1, 12)]:
        copy = shutil.copytree(old, old.with_name(f"back to {number}"))
        assert edgecl("rollback", copy, number).code == 0
        require_intact(copy)
        assert edgecl("predict", copy, DATA / "ask.csv", "--json").code == 0


def test_a_rolled_back_model_answers_as_it_did(old: Path) -> None:
    assert edgecl("rollback", old, 7).code == 0
    require_answers(old, "rolled_back")


def test_it_learns_on(old: Path) -> None:
    done = edgecl("learn", old, DATA / "new.csv", "--json")
    assert (done.code, done.value["revision"]) == (0, 13)
    require_intact(old)
    require_answers(old, "learnt")


def test_it_forgets_a_class_from_the_revisions_of_then(old: Path) -> None:
    assert edgecl("forget", old, "blocked").code == 0
    require_intact(old)
    assert Store.open(old).revisions() == [1, 2, 3, 4, 5, 6, 7, 8, 13]


def test_history_lists_every_decision(old: Path) -> None:
    done = edgecl("history", old)
    assert done.code == 0
    for text in ("init", "nothing new", "REJECTED", "centred", "no longer centred", "before the drift", "drift at"):
        assert text in done.out
    assert "rollback to 4" in done.out
    assert "lesson, its details forgotten" in done.out


def written(members: Any) -> str:
    """As a revision or a journal line is written, so that the order of the members counts."""
    return json.dumps(members, separators=(",", ":"))


def test_every_body_is_of_its_class_and_is_written_as_it_was() -> None:
    store = Store.open(DATA / "store_0_1")
    assert store.revisions() == list(REVISIONS)
    for number, kind in REVISIONS.items():
        body = body_of(store.revision(number))
        assert type(body) is kind
        assert written(body.as_dict()) == written(store.revision(number).body)


def test_every_journal_line_is_of_its_class_and_is_written_as_it_was() -> None:
    journal = Store.open(DATA / "store_0_1").journal()
    others = [one for one in journal if "body" not in one]
    assert [type(read_entry(one)) for one in others] == [LessonNote, LessonNote, CentreNote, Forgotten]
    assert [one["kind"] for one in others] == ["unchanged", "rejected", "rejected", "lesson"]
    for one in others:
        assert written({"line": one["line"], **read_entry(one).as_dict()}) == written(one)
    for one in journal:
        assert one in others or written(read_entry(one).as_dict()) == written(one["body"])
