"""What a lesson leaves out: it waits in the inbox, is answered, and then taught."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecl import Learner
from edgecl.errors import SettingError
from edgecl.operations.inbox import QUESTION, SET_ASIDE
from edgecl.operations.kept_signals import HELD_BYTES, KeptSignals
from edgecl.operations.open_store import OpenStore
from edgecl.sources.samples import Sample

from ..support.commands import Result, clips, edgecl, voice_extractor, write_clips

pytestmark = pytest.mark.native("teaches a store for each answer")

KNOWN = ("yes", "no", "up", "down", "stop")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that knows five words."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("waiting") / "kitchen"
    learner = Learner.create(folder, extractor="voice")
    assert learner.learn(clips("teach", KNOWN, most=14)).is_accepted
    return folder


@pytest.fixture
def kitchen(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "kitchen")
    return tmp_path / "kitchen"


def fresh(word: str, *, count: int = 5) -> list[Sample]:
    """Clips of a word that the store has not been taught."""
    return clips("teach", (word,))[14 : 14 + count]


def called(samples: list[Sample], name: str) -> list[Sample]:
    return [replace(one, label=name) for one in samples]


def stray_lesson() -> list[Sample]:
    """A new word, one of whose clips is another."""
    return [*clips("new", ("coffee",)), *called(fresh("no", count=1), "coffee")]


def test_a_sample_that_is_set_aside_waits_with_the_name_it_probably_has(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    report = learner.learn(stray_lesson())
    (one,) = report.set_aside
    assert (one.label, one.like) == ("coffee", "no")
    assert report.revision == 3
    (item,) = learner.inbox().items()
    assert (item.kind, item.called, item.label, item.source) == (SET_ASIDE, "coffee", "no", one.source)
    np.testing.assert_allclose(learner.inbox().signal(item), stray_lesson()[-1].signal, atol=1e-4)
    assert learner.status()["classes"]["coffee"]["samples"] == 5
    assert learner.status()["waiting"] == {"set_aside": 1, "questions": []}
    assert report.as_dict()["set_aside"][0]["like"] == "no"
    assert (report.as_dict()["waiting"], report.unkept) == ([item.id], 0)


def test_a_sample_that_is_named_from_the_inbox_is_taught_and_not_doubted_again(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    learner.learn(stray_lesson())
    report = learner.learn_items(learner.inbox().items(), label="coffee")
    assert not report.set_aside
    assert report.is_accepted
    assert learner.inbox().items() == []
    assert learner.status()["classes"]["coffee"]["samples"] == 6


def test_a_question_waits_and_same_as_teaches_the_known_class(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    report = learner.learn([*called(fresh("yes"), "yeah"), *fresh("no")])
    (ask,) = report.asks
    assert (ask.label, ask.like, ask.samples) == ("yeah", "yes", 5)
    assert report.new_classes == ()
    assert learner.status()["waiting"]["questions"] == [{"label": "yeah", "like": "yes", "samples": 5, "live": False}]
    before = learner.status()["classes"]["yes"]["samples"]
    answered = learner.answer("yeah", same_as="yes")
    assert answered.is_accepted
    assert learner.status()["classes"]["yes"]["samples"] == before + 5
    assert "yeah" not in learner.classes
    assert learner.inbox().items() == []


def test_distinct_makes_it_a_class_and_is_remembered_for_the_pair(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    assert not learner.learn(called(fresh("yes"), "yeah")).is_accepted
    answered = learner.answer("yeah", distinct=True)
    assert not [one for one in answered.asks if one.like == "yes"]
    if answered.is_accepted:
        _, model = OpenStore(learner.store).model()
        assert model.are_distinct("yes", "yeah")
        assert Learner.open(kitchen).learn(called(fresh("yes", count=3), "yeah")).asks == ()


def test_an_answer_to_nothing_or_of_both_kinds_is_refused(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    with pytest.raises(SettingError, match="nothing called 'yeah' waits"):
        learner.answer("yeah", same_as="yes")
    for both in ({}, {"same_as": "yes", "distinct": True}):
        with pytest.raises(SettingError, match="say which"):
            learner.answer("yeah", **both)  # type: ignore[arg-type]


def test_what_waits_is_kept_once_and_goes_with_the_answer_in_a_later_lesson(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    for _ in range(2):
        learner.learn(called(fresh("yes"), "yeah"))
    items = learner.inbox().items(QUESTION)
    assert [one.count for one in items] == [2] * 5
    learner.learn(called(fresh("yes"), "yeah"), same_as="yes")
    assert learner.inbox().items(QUESTION) == []


def test_nothing_is_kept_of_a_trial_or_of_a_rejected_lesson(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    assert learner.learn(called(fresh("yes"), "yeah"), dry_run=True).asks
    swapped = [*called(fresh("yes"), "no"), *called(fresh("no"), "yes")]
    assert learner.learn(swapped).verdict.is_refused
    assert learner.inbox().items() == []


def test_a_name_that_is_live_becomes_part_of_the_other_or_is_remembered(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    learner.learn(called(fresh("yes"), "yeah"), force=True)
    with pytest.raises(SettingError, match="nothing called"):
        learner.answer("yeah", same_as="yes")  # it was never asked about


def test_a_long_lesson_spools_its_signals(rng: np.random.Generator) -> None:
    signals, made = KeptSignals(None), []
    for number in range(7):
        made.append(rng.standard_normal((HELD_BYTES // 16, 1)).astype(np.float32))
        signals.add("yes" if number % 2 else "no", Sample(str(number), None, made[-1], None), made[-1][:1])
    for number, one in enumerate(made):
        kept = signals.get("yes" if number % 2 else "no", number // 2)
        assert kept is not None
        np.testing.assert_array_equal(kept, one)
    assert signals.frames("no", 0) is not None
    assert signals.frames("no", 3) is None  # of what is spooled they are computed again
    signals.close()


# The command line


def lesson(folder: Path, samples: list[Sample]) -> Path:
    return write_clips(folder / "lesson", samples)


def learnt(kitchen: Path, folder: Path, *options: str, code: int) -> Result:
    done = edgecl("learn", kitchen, folder, *options)
    assert done.code == code, done.out
    return done


def test_the_command_says_what_waits_and_with_which_command_it_is_taught(kitchen: Path, tmp_path: Path) -> None:
    folder = lesson(tmp_path, [*stray_lesson(), *called(fresh("yes"), "yeah")])
    done = learnt(kitchen, folder, code=0)
    text = " ".join(done.out.split())
    assert "SET ASIDE 1 of 11 samples does not fit its name" in text
    assert f'`edgecl inbox {kitchen} label 1 "coffee"`' in text
    assert 'ASKS the 5 samples called "yeah" are like "yes"' in text
    assert f'`edgecl inbox {kitchen} answer "yeah" --same-as "yes"`' in text
    assert 'is "yeah" the same as "yes"?, 1 sample set aside' in " ".join(edgecl("status", kitchen).out.split())
    assert "coffee" in edgecl("inbox", kitchen).out
    answered = edgecl("inbox", kitchen, "answer", "yeah", "--same-as", "yes", "--json")
    assert (answered.code, answered.value["verdict"]) in ((0, "accepted"), (0, "unproven"))
    assert edgecl("inbox", kitchen, "label", "1", "coffee").code == 0
    assert edgecl("inbox", kitchen, "--json").value["items"] == []


def test_the_exit_code_is_three_where_all_waits_and_json_says_why(kitchen: Path, tmp_path: Path) -> None:
    folder = lesson(tmp_path, called(fresh("yes"), "yeah"))
    done = learnt(kitchen, folder, "--json", code=3)
    assert done.value["verdict"] == "asks"
    (ask,) = done.value["asks"]
    assert {name: ask[name] for name in ("label", "like", "samples")} == {"label": "yeah", "like": "yes", "samples": 5}
    assert not done.value["accepted"]
    assert "ASKS first, nothing is taught" in edgecl("learn", kitchen, folder).out
    same = learnt(kitchen, folder, "--same-as", "yes", "--json", code=0)
    assert same.value["asks"] == []


def test_two_answers_are_a_mistake_of_usage(kitchen: Path, tmp_path: Path) -> None:
    folder = lesson(tmp_path, called(fresh("yes"), "yeah"))
    assert edgecl("learn", kitchen, folder, "--same-as", "yes", "--distinct").code == 2
    assert edgecl("inbox", kitchen, "answer", "yeah").code == 2
    refused = edgecl("learn", kitchen, folder, "--same-as", "maybe")
    assert refused.code == 2
    assert "--same-as" in refused.err


def test_an_answer_on_a_terminal_is_a_prompt(
    kitchen: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgecl.cli.commands import _prompt

    learner, questions = Learner.open(kitchen), []
    report = learner.learn(
        [*called(fresh("yes"), "yeah"), *called(fresh("no", count=1), "coffee"), *clips("new", ("coffee",), most=4)]
    )
    assert [one.is_asked for one in report.set_aside] == [True]

    def prompted(text: str, **_: Any) -> str:
        questions.append(text)
        return "same"

    monkeypatch.setattr(_prompt.click, "prompt", prompted)
    monkeypatch.setattr(_prompt.click, "confirm", lambda text, **_: questions.append(text) or True)
    assert _prompt.ask(learner, report)
    assert questions == ['Is "yeah" the same as "yes"?', 'Teach the 1 that do not fit as "coffee" all the same?']
    assert learner.inbox().items() == []
    assert not _prompt.is_possible()
    capsys.readouterr()


def test_what_was_learnt_survives_being_read_as_json(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    learner.learn(stray_lesson())
    body = learner.store.current().body
    assert body["verdict"]["set_aside"][0]["label"] == "coffee"
    json.dumps(body)
