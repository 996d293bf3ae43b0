"""A known class in another spelling: every door by which a label comes in refuses it, and takes what settles it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecl import Learner
from edgecl.cli.options import EDGECL
from edgecl.errors import DataError, SettingError
from edgecl.operations import streaming
from edgecl.operations.inbox import Item
from edgecl.operations.late_labels import LateLabel, Row, follow_by_id
from edgecl.service.commands import Commands
from edgecl.service.control import Control
from edgecl.service.lessons import Lessons
from edgecl.values import replace

from ..service.test_control import asked
from ..support.commands import clips, edgecl, voice_extractor, write_clips
from ..support.page import served

pytestmark = pytest.mark.native("teaches a store by every door")

KNOWN = "the class 'yes' is known"
OPTION = "--label-case keep|lower"


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    voice_extractor()
    folder = tmp_path_factory.mktemp("spellings") / "kitchen"
    learner = Learner.create(folder, extractor="voice")
    assert learner.learn(clips("teach", ("yes", "no"), most=8)).is_accepted
    return folder


@pytest.fixture
def kitchen(taught: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(taught, tmp_path / "kitchen"))


def kept(store: Path, *, kind: str = "surprise") -> Item:
    """One clip of yes that waits in the inbox."""
    signal = clips("test", ("yes",))[0].signal
    inbox = Learner.open(store).inbox()
    return inbox.keep(signal, kind=kind, time=0.0, label="no", confidence=0.5, novelty=0.5)


def classes(store: Path) -> set[str]:
    return set(Learner.open(store).classes)


def test_arrays_of_a_program(kitchen: Path) -> None:
    learner, signals = Learner.open(kitchen), [one.signal for one in clips("test", ("yes",))[:3]]
    for run in (learner.learn, learner.evaluate):
        with pytest.raises(DataError, match=KNOWN) as raised:
            run({"Yes": signals})
        assert raised.value.parameter == "label_case"
    assert set(learner.evaluate({"YES": signals}, label_case="lower").labels) == {"no", "yes"}
    assert learner.learn({"YES": signals}, label_case="lower").counts == {"yes": 3}
    assert learner.learn({"YES": signals}, label_case="keep", again=True, dry_run=True, force=True).counts == {"YES": 3}


def test_a_label_of_the_command_line_and_one_of_a_listener_that_teaches(kitchen: Path, tmp_path: Path) -> None:
    lesson = write_clips(tmp_path / "more", clips("test", ("yes",), most=3)) / "yes"
    done = edgecl("learn", kitchen, lesson, "--label", " YES ")
    assert (done.code, KNOWN in done.err, OPTION in done.err) == (4, True, True)
    request = {"learn": str(lesson), "label": "YES"}
    with Control(tmp_path / "control", kitchen, command=EDGECL):
        refused = asked(tmp_path / "control", json.dumps(request))
        accepted = asked(tmp_path / "control", json.dumps({**request, "label_case": "lower"}))
    assert (refused["exit_code"], KNOWN in refused["error"]) == (4, True)
    assert accepted["exit_code"] == 0
    assert classes(kitchen) == {"no", "yes"}


def test_a_recording_of_the_inbox(kitchen: Path) -> None:
    item = kept(kitchen)
    done = edgecl("inbox", kitchen, "label", item.id, "Yes")
    assert (done.code, KNOWN in done.err, OPTION in done.err) == (4, True, True)
    assert edgecl("inbox", kitchen, "label", "--label-case", "lower", item.id, "Yes").code == 0
    assert classes(kitchen) == {"no", "yes"}


def test_a_detection_that_was_wrong(kitchen: Path) -> None:
    kept(kitchen, kind="detection")
    done = edgecl("wrong", kitchen, "--label", "Yes")
    assert (done.code, KNOWN in done.err, OPTION in done.err) == (4, True, True)
    assert edgecl("wrong", kitchen, "--label", "Yes", "--label-case", "lower").code == 0
    assert classes(kitchen) == {"no", "yes"}


@pytest.mark.parametrize("command", [{"command": "learn", "items": ["000001"], "label": "Yes"}, {"command": "wrong"}])
def test_a_command_of_home_assistant(kitchen: Path, command: dict[str, Any]) -> None:
    kept(kitchen, kind="detection")
    obey = Commands(Lessons(EDGECL, kitchen))
    refused = obey({**command, "label": "Yes"})
    assert (refused["outcome"], KNOWN in refused["error"]) == ("error", True)
    assert obey({**command, "label": "Yes", "label_case": "lower"})["outcome"] in ("accepted", "unproven")
    assert classes(kitchen) == {"no", "yes"}


def test_a_label_that_is_typed_on_the_page(kitchen: Path, tmp_path: Path) -> None:
    content = next(write_clips(tmp_path / "one", clips("test", ("yes",), most=1)).rglob("*.wav")).read_bytes()
    item = kept(kitchen, kind="detection")
    with served(kitchen, state=tmp_path / "state") as page:
        page.pair()
        replies = [
            page.ask("/api/takes?label=Yes", content),
            page.ask("/api/lessons", {"items": [item.id], "label": "Yes"}),
            page.ask(f"/api/inbox/{item.id}/label", {"label": "YES"}),
            page.ask("/api/wrong", {"label": "Yes"}),
        ]
        assert page.ask("/api/takes?label=yes", content).status == 201
    assert [reply.status for reply in replies] == [422] * 4
    assert all(KNOWN in reply.value["error"] for reply in replies)


def test_the_answer_to_a_question_is_a_class_that_is_known(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    signal = clips("test", ("yes",))[0].signal
    learner.inbox().keep(
        signal, kind="question", time=0.0, label="yes", confidence=0.5, novelty=0.5, called="yeah", source="x"
    )
    for same_as in ("Yes", "yess"):
        with pytest.raises(SettingError, match="is not another class that is known") as raised:
            learner.answer("yeah", same_as=same_as)
        assert raised.value.parameter == "same_as"
    assert classes(kitchen) == {"no", "yes"}


def test_a_class_that_was_taught_in_two_spellings_is_taken_in_both(kitchen: Path, tmp_path: Path) -> None:
    learner, signals = Learner.open(kitchen), [one.signal for one in clips("teach", ("yes",), most=3)]
    assert learner.learn({"Yes": signals}, label_case="keep", again=True, force=True).is_accepted
    first, second = clips("test", ("yes",), most=2)
    both = write_clips(tmp_path / "both", [first, replace(second, label="Yes")])
    for command in (("eval", kitchen, both), ("learn", kitchen, both, "--dry-run", "--force")):
        assert edgecl(*command).code == 0


def test_an_answer_need_not_settle_the_spelling_again(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    signal = clips("test", ("yes",))[0].signal
    learner.inbox().keep(
        signal, kind="question", time=0.0, label="yes", confidence=0.5, novelty=0.5, called="Yes", source="x"
    )
    assert learner.answer("Yes", distinct=True, dry_run=True).counts == {"Yes": 1}


@pytest.fixture
def shop(tmp_path: Path) -> Learner:
    """A store of rows that knows the classes small and large."""
    export = pytest.importorskip("edgecl_export")
    like = table(tmp_path / "like.csv", ("small", "large"))
    export.export_table(tmp_path / "table.onnx", like)
    learner = Learner.create(tmp_path / "shop", extractor=tmp_path / "table.onnx", max_classes=4)
    for amount in range(40):
        learner.learn_one({"amount": amount, "hour": 3}, "large" if amount > 20 else "small")
    learner.commit()
    return Learner.open(learner.path)


def table(path: Path, names: tuple[str, str]) -> Path:
    amounts = np.random.default_rng(0).integers(40, size=200)
    lines = [f"{amount},{index % 24},{names[int(amount > 20)]}" for index, amount in enumerate(amounts)]
    path.write_text("\n".join(["amount,hour,label", *lines]) + "\n")
    return path


def test_a_row_of_a_program(shop: Learner) -> None:
    with pytest.raises(DataError, match="the class 'small' is known") as raised:
        shop.learn_one({"amount": 1, "hour": 2}, "Small ")
    assert raised.value.parameter == "label_case"
    assert shop.learn_one({"amount": 1, "hour": 2}, " small ").classes == ("large", "small")


@pytest.mark.parametrize("command", [("follow",), ("learn", "--prequential")])
def test_a_stream_of_a_file(shop: Learner, tmp_path: Path, command: tuple[str, ...]) -> None:
    stream = table(tmp_path / "stream.csv", ("Small", "large"))
    done = edgecl(command[0], shop.path, stream, *command[1:])
    assert (done.code, "the class 'small' is known" in done.err, OPTION in done.err) == (4, True, True)
    assert edgecl(command[0], shop.path, stream, *command[1:], "--label-case", "lower").code == 0
    assert classes(shop.path) == {"large", "small"}


@pytest.mark.parametrize(
    ("names", "is_named"), [(("0", "1"), True), (("0", "large"), False), (("small", "large"), False)]
)
def test_a_stream_that_has_other_names_for_its_classes_is_named(
    shop: Learner, tmp_path: Path, names: tuple[str, str], is_named: bool
) -> None:
    done = edgecl("follow", shop.path, table(tmp_path / "stream.csv", names), "--dry-run")
    said = "no row has a label that was known (large, small), only new ones (0, 1)"
    assert (done.code, said in done.err) == (0, is_named)
    rows = [Row(str(at), {"amount": str(at), "hour": "3"}) for at in range(4)]
    late = [LateLabel(str(at), names[at % 2]) for at in range(4)]
    with pytest.MonkeyPatch.context() as patch:
        notes: list[str] = []
        patch.setattr(streaming.logger, "warning", lambda message, *arguments: notes.append(message % arguments))
        follow_by_id(shop.opened, iter([*rows, *late]), dry_run=True).finish()
    assert any(said in note for note in notes) == is_named


def test_labels_that_come_late_are_skipped_by_name(shop: Learner, tmp_path: Path) -> None:
    arrivals = [
        *(Row(str(at), {"amount": str(at), "hour": "3"}) for at in range(4)),
        *(LateLabel(str(at), label) for at, label in enumerate(("small", "SMALL", "Small", "small"))),
    ]
    report = follow_by_id(shop.opened, iter(arrivals)).finish()
    assert (report.tally.labelled, [one.source for one in report.skipped]) == (2, ["label of row 1", "label of row 2"])
    rows, labels = tmp_path / "rows.csv", tmp_path / "labels.csv"
    rows.write_text("id,amount,hour\n1,3,2\n")
    labels.write_text("id,label\n1,SMALL\n")
    how = ("--id-column", "id", "--labels", labels)
    assert "--label-case" in edgecl("follow", shop.path, rows, *how).err
    assert "1: is small" in edgecl("follow", shop.path, rows, *how, "--label-case", "lower").out


@pytest.mark.parametrize("option", [("--watch", "SMALL", "--cost", "missed=2,false=1"), ("--prior", "SMALL=0.5")])
def test_a_class_that_is_watched_for_or_has_a_prior(shop: Learner, tmp_path: Path, option: tuple[str, ...]) -> None:
    stream = table(tmp_path / "stream.csv", ("small", "large"))
    done = edgecl("follow", shop.path, stream, *option)
    assert (done.code, "the class 'small' is known" in done.err, OPTION in done.err) == (4, True, True)
    assert edgecl("follow", shop.path, stream, *option, "--label-case", "lower").code == 0


def test_a_class_that_is_watched_for_and_never_comes_is_named(shop: Learner, tmp_path: Path) -> None:
    stream = table(tmp_path / "stream.csv", ("small", "large"))
    done = edgecl("follow", shop.path, stream, "--watch", "fraud", "--cost", "missed=2,false=1")
    assert "no row had that label" in " ".join(done.out.split())
    assert "'fraud', the class to watch for, is not known: there are large, small" in done.err
    assert "is not known" not in edgecl("follow", shop.path, stream, "--watch", "small").err


def test_a_class_that_has_a_prior_and_is_not_known_is_named(shop: Learner, tmp_path: Path) -> None:
    stream = table(tmp_path / "stream.csv", ("small", "large"))
    done = edgecl("follow", shop.path, stream, "--prior", "smal=0.1,large=0.9")
    assert "'smal', which the prior has, is not known: there are large, small" in done.err
    assert "is not known" not in edgecl("follow", shop.path, stream, "--prior", "small=0.1").err


def test_labels_of_a_table_of_other_delimiters_meet_their_rows(shop: Learner, tmp_path: Path) -> None:
    rows, labels = tmp_path / "rows.csv", tmp_path / "labels.csv"
    rows.write_text("id;amount;hour\n1;3;2\n")
    labels.write_text("ID;Label\n1;small\n")
    assert "1: is small" in edgecl("follow", shop.path, rows, "--id-column", "id", "--labels", labels).out
