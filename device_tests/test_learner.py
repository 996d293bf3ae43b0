"""The public object: what it takes, what it does at once, and what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl import Learner, Run, Sample, Skip
from edgecl.errors import DataError, ModelError, SettingError, StoreMissingError
from edgecl.live.events import Event
from edgecl.operations.answering import Answer

from .support.commands import clips, voice_extractor

WORDS = ("yes", "no")
SILENT = np.zeros(16000, np.float32)


def signals(split: str, word: str, most: int = 6) -> list[NDArray[np.float32]]:
    return [one.signal for one in clips(split, [word], most=most)]


@pytest.fixture(scope="module")
def taught_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    voice_extractor()
    path = tmp_path_factory.mktemp("learner") / "kitchen"
    assert Learner.create(path, extractor="voice").learn({one: signals("teach", one) for one in WORDS}).is_accepted
    return path


@pytest.fixture
def learner(taught_folder: Path, tmp_path: Path) -> Learner:
    shutil.copytree(taught_folder, tmp_path / "kitchen")
    return Learner.open(tmp_path / "kitchen")


@pytest.fixture
def empty(tmp_path: Path) -> Learner:
    voice_extractor()
    return Learner.create(tmp_path / "empty", extractor="voice")


def labels_of(answers: Sequence[Answer | Skip]) -> list[str]:
    return [one.label for one in answers if isinstance(one, Answer)]


# What it does


def test_a_call_does_the_work_and_returns_the_report(learner: Learner) -> None:
    report = learner.learn({"stop": signals("teach", "stop")})
    assert report.verdict.accepted
    assert report.verdict is report.outcome.verdict
    assert report.revision == learner.revision == 3
    assert learner.classes == ("no", "stop", "yes")


@pytest.mark.native("embeds clips")
def test_a_lesson_is_watched_by_a_callback_or_by_a_loop(learner: Learner) -> None:
    lesson, seen = {"stop": signals("teach", "stop")}, list[Any]()
    learner.learn(lesson, dry_run=True, progress=seen.append)
    run = learner.run.learn(lesson, dry_run=True)
    assert isinstance(run, Run)
    names = [getattr(one, "name", "embedded") for one in run]
    assert (
        names
        == [getattr(one, "name", "embedded") for one in seen]
        == ["embedded", "sift", "statistics", "update", "judge"]
    )
    assert run.report.verdict.accepted
    assert learner.revision == 2


def test_a_lesson_that_nobody_runs_says_so(learner: Learner) -> None:
    run = learner.run.learn({"stop": signals("teach", "stop")})
    with pytest.warns(ResourceWarning, match="dropped before its end"):
        del run
    assert learner.revision == 2


@pytest.mark.native("embeds many clips")
def test_the_same_clips_in_any_form_make_the_same_revision(tmp_path: Path) -> None:
    voice_extractor()
    samples = clips("teach", WORDS, most=5)
    raw, names = [one.signal for one in samples], [str(one.label) for one in samples]
    forms: dict[str, tuple[Any, ...]] = {
        "samples": (samples,),
        "lists": ([one[:, 0] for one in raw], names),
        "mapping": ({word: [one for one, name in zip(raw, names, strict=True) if name == word] for word in WORDS},),
    }
    objects: list[tuple[str, str, dict[str, bytes]]] = []
    for name, arguments in forms.items():
        one = Learner.create(tmp_path / name, extractor="voice")
        one.learn(*arguments)
        kept = one.store.current().objects
        arrays = {role: one.store.read(digest) for role, digest in kept.items()}
        for role, members in arrays.items():
            members.pop("people", None)  # samples alone say who gave them
            objects.append((name, role, {key: value.tobytes() for key, value in members.items()}))
    first = [one[1:] for one in objects if one[0] == "samples"]
    assert first
    for name in forms:
        assert [one[1:] for one in objects if one[0] == name] == first


@pytest.mark.native("embeds many clips")
def test_latents_are_taught_and_answered_without_the_extractor(tmp_path: Path) -> None:
    voice_extractor()
    direct, through = (Learner.create(tmp_path / name, extractor="voice") for name in ("direct", "through"))
    lesson = {word: signals("teach", word) for word in WORDS}
    through.learn(lesson)
    direct.learn({word: through.extractor.latents(found) for word, found in lesson.items()}, latents=True)
    for role, digest in through.store.current().objects.items():
        arrays, same = through.store.read(digest), direct.store.read(direct.store.current().objects[role])
        assert arrays.keys() - same.keys() <= {"student"}  # of latents there is no sound that it could answer to
        for name, array in same.items():
            np.testing.assert_array_equal(array, arrays[name])
    asked = signals("test", "yes", 3)
    latents = direct.extractor.latents(asked)
    np.testing.assert_array_equal(direct.predict_proba(latents, latents=True), through.predict_proba(asked))
    assert labels_of(direct.predict(latents[0], latents=True)) == labels_of(through.predict(asked[0]))


def test_arrays_are_answered_with_labels(learner: Learner) -> None:
    asked = [*signals("test", "yes", 3), *signals("test", "no", 3)]
    said = learner.predict(asked)
    assert labels_of(said) == ["yes"] * 3 + ["no"] * 3
    assert labels_of(learner.predict(asked[0])) == ["yes"]
    assert labels_of(learner.predict(np.resize(asked[0][:, 0], (2, 16000)))) == ["yes", "yes"]
    assert learner.predict([]) == []


@pytest.mark.native("embeds many clips")
def test_probabilities_have_a_row_a_sample_and_a_column_a_class(learner: Learner) -> None:
    asked = [*signals("test", "yes", 2), *signals("test", "no", 2)]
    found = learner.predict_proba(asked)
    assert found.shape == (4, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    said = learner.predict(asked)
    assert [learner.classes[one] for one in found.argmax(axis=1)] == labels_of(said)
    confidence = [one.confidence for one in said if isinstance(one, Answer)]
    np.testing.assert_allclose(found.max(axis=1), confidence, rtol=1e-6)


@pytest.mark.native("embeds many clips")
def test_accuracy_of_arrays_is_measured(learner: Learner) -> None:
    asked = [*signals("test", "yes", 3), *signals("test", "no", 3)]
    assert learner.evaluate(asked, ["yes"] * 3 + ["no"] * 3).accuracy == 1.0
    assert learner.evaluate(asked, ["no"] * 3 + ["yes"] * 3).accuracy == 0.0


def test_a_stream_of_arrays_is_listened_to(learner: Learner) -> None:
    pause = np.zeros((16000, 1), np.float32)
    sound = np.concatenate([pause, signals("teach", "yes", 1)[0], pause, pause])
    chunks = [sound[start : start + 1000, 0] for start in range(0, len(sound), 1000)]
    events = list(learner.listen(chunks))
    assert all(isinstance(one, Event) for one in events)
    assert [one.label for one in events] == ["yes"]
    assert events == list(learner.listen([sound]))


@pytest.mark.parametrize(
    ("chunk", "message"), [(np.ones((10, 2)), "wrong channel count"), (np.array([np.nan] * 10), "NaN or infinity")]
)
def test_a_chunk_that_does_not_fit_is_refused(learner: Learner, chunk: NDArray[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(learner.listen([chunk]))


def test_what_a_store_is_can_be_asked(learner: Learner, tmp_path: Path) -> None:
    assert learner.path == tmp_path / "kitchen"
    assert learner.contract.modality == "voice"
    assert learner.settings.max_classes == 64
    assert learner.status()["revision"] == 2
    told = learner.history()
    assert (told["revision"], told["revisions"]) == (2, [1, 2])
    assert [one["kind"] for one in told["journal"]] == ["init", "lesson"]
    assert learner.check() == learner.repair() == []
    assert learner.inbox().items() == []
    assert learner.calibration().keys() == set(WORDS)
    assert learner.calibration(WORDS[:1]) == {WORDS[0]: learner.calibration()[WORDS[0]]}


@pytest.mark.native("embeds many clips")
def test_a_lesson_is_taken_back_and_a_class_forgotten(learner: Learner) -> None:
    learner.learn({"stop": signals("teach", "stop")})
    assert learner.rollback().body["rolled_back_to"] == 2
    assert learner.forget(older_than=timedelta(days=1)) is None
    receipt = learner.forget(" yes ")
    assert receipt is not None
    assert receipt.classes == {"yes": 6}
    assert learner.classes == ("no",)


def test_a_room_without_words_is_learnt(learner: Learner) -> None:
    noise = np.random.default_rng(0).normal(scale=0.01, size=48000).astype(np.float32)
    assert learner.learn_background(noise).hops > 0


# What it refuses


@pytest.mark.parametrize("nothing", [[], {}, np.empty((0, 16000), np.float32), {"yes": []}])
def test_nothing_is_no_lesson(learner: Learner, nothing: Any) -> None:
    with pytest.raises(DataError, match="nothing to learn"):
        learner.learn(nothing, None if isinstance(nothing, dict) else [])
    assert learner.revision == 2


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], r"\[0\]: the label 0 is of type int, and labels are strings"),
        (np.array([0, 1]), "labels are strings"),
        (["stop\n\x1b[2J", "stop"], "control characters"),
        (["", "stop"], "it is empty"),
        (["s" * 65, "stop"], "at most 64"),
        ([None, "stop"], r"\[0\] has no label"),
        (["stop"], "2 signals and 1 labels"),
    ],
)
def test_labels_that_cannot_be_stored_are_refused_before_anything_is(
    learner: Learner, labels: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        learner.learn(signals("teach", "stop", 2), labels)
    assert learner.revision == 2
    assert len(learner.history()["journal"]) == 2


def test_samples_without_a_label_are_no_lesson(learner: Learner) -> None:
    with pytest.raises(DataError, match="has no label"):
        learner.learn(signals("teach", "stop", 2))


@pytest.mark.native("embeds many clips")
def test_silent_and_damaged_clips_are_skipped_however_they_come(learner: Learner) -> None:
    damaged = np.full(16000, np.nan, np.float32)
    report = learner.learn({"stop": [*signals("teach", "stop"), SILENT, damaged]})
    assert report.samples == 6
    assert [one.reason.partition(":")[0] for one in report.skipped] == ["silent", "not finite"]
    silent = Sample("a clip", "stop", SILENT[:, None], None)
    report = learner.learn([*clips("teach", ["stop"], most=3), silent], dry_run=True, again=True)
    assert [(one.source, one.reason) for one in report.skipped] == [
        ("a clip", "silent: all samples are zero, wanted above -60 dBFS")
    ]
    with pytest.raises(DataError, match="nothing to learn: 1 skipped, a clip for one: silent"):
        learner.learn([silent])
    with pytest.raises(DataError, match="nothing of the data can be used: 2 silent"):
        learner.learn({"stop": [SILENT, SILENT]})


def test_a_clip_that_cannot_be_answered_stands_as_a_skip_in_its_place(learner: Learner) -> None:
    said = learner.predict([*signals("test", "yes", 1), SILENT, *signals("test", "no", 1)])
    assert [type(one) for one in said] == [Answer, Skip, Answer]
    with pytest.raises(DataError, match=r"\[1\].*silent"):
        learner.predict_proba([*signals("test", "yes", 1), SILENT])


def test_what_are_no_samples_is_no_answer(learner: Learner) -> None:
    with pytest.raises(DataError, match="can be used"):
        learner.predict([object()])


def test_an_untaught_store_answers_nothing(empty: Learner) -> None:
    assert empty.classes == ()
    for ask in (empty.predict, empty.predict_proba):
        with pytest.raises(ModelError, match="learnt nothing yet") as caught:
            ask(signals("test", "yes", 1))
        assert caught.value.remedy == "learn"


def test_settings_that_contradict_each_other_are_refused(learner: Learner) -> None:
    with pytest.raises(SettingError, match="choose one"):
        learner.learn({"stop": signals("teach", "stop")}, force=True, require_proof=True)
    with pytest.raises(SettingError, match="one of the two"):
        learner.forget()
    with pytest.raises(SettingError, match="one of the two"):
        learner.forget("yes", older_than=timedelta(days=1))
    with pytest.raises(SettingError, match="it is not centred"):
        learner.centre(signals("teach", "yes"))
    with pytest.raises(SettingError, match="is not centred"):
        learner.uncentre()


def test_a_path_without_a_store_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(StoreMissingError):
        Learner.open(tmp_path / "nothing")
