"""A store of edgecl 0.1.0, kept as data: it opens, answers as it did then, learns on and rolls back."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecl.errors import ModelError
from edgecl.store.body_kinds import (
    CentreBody,
    CentreNote,
    ForgetBody,
    Forgotten,
    InitBody,
    RepairBody,
    RollbackBody,
    StreamBody,
    UncentreBody,
    body_of,
    read_entry,
)
from edgecl.store.records import (
    DIGEST,
    Header,
    LessonBody,
    LessonNote,
    decode_header,
    encode_header,
    identity,
    sha256,
    upgraded,
)
from edgecl.store.store import Store

from ..support.commands import edgecl
from ..support.stores import TIME, Calls, Cut, counted, killed_at

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
    assert [one["confidence"] for one in answers] == pytest.approx([one["confidence"] for one in expected], abs=1e-6)
    assert all(0 <= one["novelty"] <= 1 for one in answers)  # which is measured in another way since


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
    for text in ("init", "NOTHING NEW", "REJECTED", "centred", "no longer centred", "before the drift", "drift at"):
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


def commit_again(store: Store) -> None:
    live = store.current()
    with store.writer() as writer:
        writer.commit(kind="lesson", objects=live.objects, body=live.body, time=TIME)


def test_the_first_commit_upgrades_it_and_older_revisions_stay_valid(old: Path) -> None:
    before = (old / "store.json").read_bytes()
    store = Store.open(old)
    assert json.loads(before)["format"] == 1
    commit_again(store)
    after = json.loads((old / "store.json").read_bytes())
    assert (after["format"], after["first"]) == (3, sha256(before))
    commit_again(store)  # a store that was opened before the upgrade commits on
    require_intact(old)
    assert edgecl("rollback", old, 7).code == 0
    require_answers(old, "rolled_back")


@pytest.mark.parametrize("was_first", [False, True])
def test_a_store_of_format_2_keeps_the_name_that_its_revisions_state(was_first: bool) -> None:
    first = Header("a store", "extractor.onnx", "0" * 64, 10, {}, format=1 if was_first else 2)
    second = replace(first, format=2, first=sha256(encode_header(first))) if was_first else first
    data = bytearray(encode_header(second))
    header = decode_header(data)
    new = upgraded(header)
    assert new.format == 3
    assert identity(new, encode_header(new)) == identity(header, data) == sha256(encode_header(first))
    assert decode_header(bytearray(encode_header(new))) == new
    with pytest.raises(ValueError, match="does not fit the text that it was upgraded from"):
        decode_header(bytearray(encode_header(replace(new, name="another"))))


def test_reading_and_a_note_do_not_upgrade_it(old: Path) -> None:
    before = (old / "store.json").read_bytes()
    with Store.open(old).writer() as writer:
        writer.note({"kind": "rejected"})
    require_answers(old, "live")
    assert (old / "store.json").read_bytes() == before


def test_an_upgraded_header_is_checked_against_the_text_it_came_from(old: Path) -> None:
    commit_again(Store.open(old))
    fields = DIGEST.open(bytearray((old / "store.json").read_bytes()))
    changed = DIGEST.close({**fields, "settings": {**fields["settings"], "keep_revisions": 99}})
    with pytest.raises(ValueError, match="does not fit the text that it was upgraded from"):
        decode_header(bytearray(changed))


def test_a_newer_format_is_refused_with_its_number() -> None:
    with pytest.raises(ModelError, match="the store has format 7, this edgecl reads format 6: update edgecl"):
        decode_header(bytearray(DIGEST.close({"format": 7})))


def test_killed_before_any_call_of_the_upgrade_the_old_or_the_new_model_is_whole(old: Path) -> None:
    calls = Calls(lambda number, name: None)
    counting = Store.open(shutil.copytree(old, old.with_name("counted")))
    with counted(calls):
        commit_again(counting)
    formats = set()
    for count in range(1, len(calls.names) + 1):
        copy = shutil.copytree(old, old.with_name(f"cut {count}"))
        with pytest.raises(Cut), counted(killed_at(count)):
            commit_again(Store.open(copy))
        store = Store.open(copy)
        number = store.current().number
        formats.add((json.loads((copy / "store.json").read_bytes())["format"], number))
        commit_again(store)
        assert store.current().number == number + 1
        require_intact(copy)
        shutil.rmtree(copy)
    assert formats == {(1, 12), (3, 12), (3, 13)}  # never a new revision that earlier software would open
