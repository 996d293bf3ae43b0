"""Bodies and notes: stores made through the command line, and what no edgecl wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgecl.errors import StoreDamagedError
from edgecl.model.model import Alike, Model
from edgecl.model.settings import Settings
from edgecl.store.body_kinds import (
    BackgroundBody,
    ForgetBody,
    Forgotten,
    InitBody,
    RollbackBody,
    StreamBody,
    StreamNote,
    UncentreBody,
    body_of,
    read_body,
    read_entry,
    read_note,
)
from edgecl.store.records import MODEL_MEMBERS, LessonBody, LessonNote, ModelBody
from edgecl.store.store import Store

from ..support.commands import clips, edgecl, noise, voice_extractor, write_clips, write_wav

pytestmark = pytest.mark.native("teaches a store for each kind of revision")

DATA = Path(__file__).resolve().parent.parent / "data"
MODEL: dict[str, Any] = {
    "classes": {"a": 3},
    "exemplars": {"a": 2},
    "taught": {"a": ""},
    "head": None,
    "ewc_classes": [],
}
VERDICT: dict[str, Any] = {"accepted": True, "reasons": []}

UNSAID = ("unknown_above", "settings", "timed", "others", "priorities", "use", "mine", "extractor", "gravity")


def written(members: Any) -> str:
    """As a revision or a journal line is written, so that the order of the members counts."""
    return json.dumps(members, separators=(",", ":"))


def require_written_as_it_was(store: Store) -> list[type]:
    """Read every revision and journal line, compare what each class writes, and return the revisions' classes."""
    kinds = []
    for number in store.revisions():
        revision = store.revision(number)
        kinds.append(type(body_of(revision)))
        assert written(body_of(revision).as_dict()) == written(revision.body)
    for entry in store.journal():
        stated = read_entry(entry)
        if "body" in entry:
            assert written(stated.as_dict()) == written(entry["body"])
        else:
            assert written({"line": entry["line"], **stated.as_dict()}) == written(entry)
    return kinds


def ran(*arguments: object, code: int = 0) -> None:
    done = edgecl(*arguments)
    assert done.code == code, done.err + done.out


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    """A voice store that was taught two words."""
    ran("init", tmp_path / "kitchen", "--extractor", voice_extractor())
    ran("learn", tmp_path / "kitchen", write_clips(tmp_path / "first", clips("teach", ("yes", "no"), most=5)))
    return tmp_path / "kitchen"


def test_a_background_carries_what_a_forgetting_states(kitchen: Path, tmp_path: Path) -> None:
    room = write_wav(tmp_path / "room.wav", noise(4))
    ran("learn", kitchen, "--background", room)
    ran("learn", kitchen, "--background", room)
    ran("rollback", kitchen, 2)
    ran("learn", kitchen, "--background", room)
    ran("rollback", kitchen, 6)
    ran("forget", kitchen, "no")
    ran("learn", kitchen, "--background", room)
    store = Store.open(kitchen)
    assert require_written_as_it_was(store) == [InitBody, ForgetBody, BackgroundBody]
    body = body_of(store.current())
    assert isinstance(body, BackgroundBody)
    assert list(body.carried) == ["forgets", "lesson", "strategy", "room_hops"]
    assert [type(read_entry(one)) for one in store.journal()] == [
        InitBody,
        *6 * [Forgotten],
        ForgetBody,
        BackgroundBody,
    ]


def test_a_background_over_lessons_and_rollbacks_is_written_as_it_was(kitchen: Path, tmp_path: Path) -> None:
    room = write_wav(tmp_path / "room.wav", noise(4))
    ran("learn", kitchen, "--background", room)
    ran("rollback", kitchen, 2)
    ran("learn", kitchen, "--background", room)
    ran("rollback", kitchen, 5)
    kinds = require_written_as_it_was(Store.open(kitchen))
    assert kinds == [InitBody, LessonBody, BackgroundBody, RollbackBody, BackgroundBody, RollbackBody]


def test_a_forced_and_a_rejected_lesson_are_written_as_they_were(kitchen: Path, tmp_path: Path) -> None:
    wrong = write_clips(tmp_path / "wrong", clips("teach", ("yes",), most=12))
    (wrong / "yes").rename(wrong / "no")
    ran("learn", kitchen, wrong, code=3)
    ran("learn", kitchen, wrong, "--force")
    ran("learn", kitchen, wrong, "--strategy", "replay", "--force", "--again")
    store = Store.open(kitchen)
    assert require_written_as_it_was(store) == [InitBody, LessonBody, LessonBody, LessonBody]
    body = body_of(store.revision(3))
    assert isinstance(body, LessonBody)
    assert (body.forced, body.lesson, body.classes) == (True, {"no": 12}, {"no": 17, "yes": 5})
    (note,) = [one for one in store.journal() if "revision" not in one]
    assert isinstance(read_note(note), LessonNote)


def test_a_stream_that_is_rejected_is_written_as_it_was(tmp_path: Path) -> None:
    store = tmp_path / "pump"
    ran("init", store, "--extractor", DATA / "store_0_1" / "extractor.onnx")
    lines = (DATA / "new.csv").read_text().splitlines()
    unlabelled = tmp_path / "unlabelled.csv"
    unlabelled.write_text("\n".join([lines[0], *(line.rpartition(",")[0] + "," for line in lines[1:])]) + "\n")
    ran("learn", store, unlabelled, "--prequential", code=3)
    ran("learn", store, DATA / "new.csv", "--prequential")
    opened = Store.open(store)
    assert require_written_as_it_was(opened) == [InitBody, StreamBody]
    (note,) = [read_note(one) for one in opened.journal() if "revision" not in one]
    assert isinstance(note, StreamNote)
    assert (note.lesson, note.accuracy) == ({}, 0.0)


def test_the_members_of_a_model_are_those_that_the_model_writes() -> None:
    settings = Settings(
        memory_bytes=1 << 20, disk_bytes=1 << 24, max_classes=4, latent_dimension=4, shrinkage_floor=0.1
    )
    body = Model(settings).body()
    assert tuple(body) == tuple(name for name in MODEL_MEMBERS if name not in ("alike", "distinct", *UNSAID))
    said = Model(settings, alike={"b": Alike("a", 0.5)}, distinct=frozenset({("a", "b")})).body()
    assert tuple(said) == tuple(name for name in MODEL_MEMBERS if name not in UNSAID)
    assert tuple(Model(settings, unknown_above=0.6).body())[-1] == "unknown_above"
    assert written(InitBody(**said).as_dict()) == written(said)
    assert written(InitBody(**body).as_dict()) == written(body)


def test_a_body_of_an_early_version_has_no_time_of_the_last_lesson() -> None:
    early = {name: value for name, value in MODEL.items() if name != "taught"}
    body = read_body("init", early)
    assert body.taught is None
    assert written(body.as_dict()) == written(early)


def test_bodies_are_compared_by_class_and_members() -> None:
    assert read_body("init", MODEL) == InitBody(**MODEL)
    assert read_body("init", MODEL) != read_body("repair", MODEL)
    assert read_body("lesson", {**MODEL, "lesson": {}, "strategy": "uncentre"}) == UncentreBody(**MODEL)


LESSON = {**MODEL, "lesson": {"a": 3}, "strategy": "closed-form", "verdict": VERDICT, "forced": False, "bytes": {}}


@pytest.mark.parametrize("name", ["lesson", "strategy", "verdict", "forced", "bytes", "classes", "ewc_classes"])
def test_a_lesson_that_lacks_a_member_or_has_another_type_is_damage(name: str) -> None:
    assert isinstance(read_body("lesson", LESSON), LessonBody)
    with pytest.raises(StoreDamagedError, match=r"body of the revision"):
        read_body("lesson", {one: value for one, value in LESSON.items() if one != name})
    with pytest.raises(StoreDamagedError, match=r"body of the revision"):
        read_body("lesson", {**LESSON, name: 0.5})


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("rollback", {"rolled_back_to": "2"}),
        ("rollback", {}),
        ("forget", {"forgets": {"revisions": [1]}}),
        ("forget", {"forgets": []}),
        ("lesson", {"room_hops": "many"}),
        ("lesson", {"accuracy": "good", "lesson": {}, "bytes": {}}),
        ("lesson", {"accuracy": 0.5, "lesson": {}, "bytes": {}, "drift": 7}),
        ("lesson", {"verdict": {}, "forced": True, "bytes": {}, "centred_on": None}),
    ],
)
def test_members_of_another_type_are_damage(kind: str, members: dict[str, Any]) -> None:
    with pytest.raises(StoreDamagedError, match="body of the revision has no"):
        read_body(kind, {**MODEL, **members})


@pytest.mark.parametrize(
    "members",
    [
        {"classes": {"a": -1}},
        {"classes": {"a": "3"}},
        {"exemplars": {"b": 1}},
        {"taught": {"a": 5}},
        {"taught": None},
        {"ewc_classes": [1]},
        {"head": 3},
    ],
)
def test_a_model_that_does_not_fit_itself_is_damage(members: dict[str, Any]) -> None:
    with pytest.raises(StoreDamagedError, match="is not that of a model"):
        ModelBody.members_of({**MODEL, **members})


@pytest.mark.parametrize("name", ["time", "verdict", "lesson", "strategy", "forced", "kind"])
def test_a_note_that_lacks_a_member_is_damage(name: str) -> None:
    note = {"kind": "rejected", "time": "", "lesson": {}, "strategy": "auto", "verdict": VERDICT, "forced": False}
    assert isinstance(read_note(note), LessonNote)
    with pytest.raises(StoreDamagedError, match=name):
        read_note({one: value for one, value in note.items() if one != name})
