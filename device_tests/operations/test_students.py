"""Words that the student has a part in: what lessons keep of them, and what listening, status and doctor make of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecl.live.evaluating import evaluate_stream
from edgecl.live.inputs.chunks import Halt
from edgecl.live.inputs.sound_file import sound_file
from edgecl.live.listener import listen
from edgecl.live.options import Listening
from edgecl.live.scorer import scorer_of
from edgecl.model.exemplars import Exemplars
from edgecl.operations import references, teaching
from edgecl.operations.background import calibration
from edgecl.operations.judging import judge_with
from edgecl.operations.open_store import OpenStore
from edgecl.spotting import student
from edgecl.spotting.reference import Reference
from edgecl.spotting.student import Student, clip_frames, factory_student

from ..support.commands import clips, edgecl, voice_extractor, write_clips, write_wav
from ..support.listening import said

pytestmark = pytest.mark.native("teaches and follows streams")

WORDS = ("yes", "left")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that knows two words, taught with the student."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("students")
    assert edgecl("init", folder / "known", "--extractor", "voice").code == 0
    with pytest.MonkeyPatch.context() as without:
        without.setattr(references, "_hearing", lambda _: None)
        assert edgecl("learn", folder / "known", write_clips(folder / "clips", clips("teach", WORDS, most=5))).code == 0
    return folder / "known"


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, taught before there was a student."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("before")
    assert edgecl("init", folder / "known", "--extractor", "voice").code == 0
    with pytest.MonkeyPatch.context() as without:
        for name in ("voice_student", "_hearing"):
            without.setattr(references, name, lambda *_: None)
        assert edgecl("learn", folder / "known", write_clips(folder / "clips", clips("teach", WORDS, most=5))).code == 0
    return folder / "known"


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installation whose student cannot be read."""
    (tmp_path / "student_voice.npz").write_bytes(b"PK")
    monkeypatch.setattr(student, "FILE", tmp_path / "student_voice.npz")
    factory_student.cache_clear()
    yield
    factory_student.cache_clear()


def _stored(opened: OpenStore, label: str) -> np.ndarray:
    stored = opened.model()[1].exemplars[label].student
    assert stored is not None
    return stored


def _decided(store: Path) -> set[str]:
    return {one["decided_by"] for one in edgecl("status", store, "--json").value["spotting"].values()}


def test_a_lesson_keeps_what_the_student_makes_of_its_clips(known: Path) -> None:
    opened, net = OpenStore.open(known), factory_student()
    assert net is not None
    for label in WORDS:
        taught = clips("teach", (label,), most=5)
        answers = [net(clip_frames(one.signal, opened.extractor, [at % 4]))[0] for at, one in enumerate(taught)]
        np.testing.assert_allclose(_stored(opened, label), Reference.of(answers).array(), atol=2e-3)
        assert _stored(opened, label).nbytes <= 256
    assert _decided(known) == {"student"}
    assert "has a part in the score of all words" in edgecl("status", known).out


def test_a_later_lesson_adds_its_clips(known: Path, tmp_path: Path) -> None:
    opened = OpenStore.open(shutil.copytree(known, tmp_path / "store"))
    assert teaching.teach(opened, clips("teach", ("yes",), most=12)[5:8], force=True).finish().is_accepted
    assert (_stored(opened, "yes")[-1], _stored(opened, "left")[-1]) == (8, 5)
    assert edgecl("rollback", opened.store.path).code == 0
    assert _stored(OpenStore.open(opened.store.path), "yes")[-1] == 5


def test_a_clip_as_it_is_goes_through_the_extractor_once(
    known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, runs, net = OpenStore.open(shutil.copytree(known, tmp_path / "store")), [], factory_student()
    monkeypatch.setattr(references, "_hearing", lambda _: None)
    run, taught = opened.extractor._run_checked, clips("teach", ("up",), most=5)
    monkeypatch.setattr(opened.extractor, "_run_checked", lambda *given: (runs.append(given), run(*given))[1])
    assert teaching.teach(opened, taught).finish().is_accepted
    assert len(runs) == 5 + 3  # in noise are the second, third and fourth
    assert net is not None
    answers = [net(clip_frames(one.signal, opened.extractor, [at % 4]))[0] for at, one in enumerate(taught)]
    np.testing.assert_array_equal(_stored(opened, "up"), Reference.of(answers).array())


def test_words_that_were_taught_before_are_decided_by_the_first_stage_and_learn_on(older: Path, tmp_path: Path) -> None:
    opened = OpenStore.open(shutil.copytree(older, tmp_path / "store"))
    assert _decided(opened.store.path) == {"first stage"}
    assert "has no part in any word's score" in edgecl("status", opened.store.path).out
    before = list(listen(opened, [said(*WORDS)]))
    assert [one.label for one in before] == list(WORDS)
    assert teaching.teach(opened, clips("teach", ("yes",), most=12)[5:8], force=True).finish().is_accepted
    assert _stored(opened, "yes")[-1] == 3
    assert {
        label: one["decided_by"]
        for label, one in edgecl("status", opened.store.path, "--json").value["spotting"].items()
    } == {
        "yes": "student",
        "left": "first stage",
    }
    assert edgecl("rollback", opened.store.path).code == 0
    again = list(listen(OpenStore.open(opened.store.path), [said(*WORDS)]))
    assert [(one.label, one.span, one.confidence) for one in again] == [
        (one.label, one.span, one.confidence) for one in before
    ]


def test_an_edgecl_that_does_not_know_the_student_reads_past_its_reference(known: Path) -> None:
    kept = OpenStore.open(known).model()[1].exemplars["yes"]
    arrays = kept.arrays()
    assert arrays.keys() >= {"rows", "scales", "student"}
    without = Exemplars.from_arrays({name: one for name, one in arrays.items() if name != "student"})
    np.testing.assert_array_equal(without.rows, kept.rows)


def test_a_stream_is_evaluated_with_the_events_that_listening_reports(known: Path, tmp_path: Path) -> None:
    opened = OpenStore.open(known)
    file = write_wav(tmp_path / "heard.wav", said(*WORDS, "stop", "yes"))
    found = evaluate_stream(opened, file).finish()
    counts = []
    for at in (0, 12, 20, 29):
        how = Listening(found.thresholds[at])
        heard = list(listen(opened, sound_file(file, opened.extractor.contract, halt=Halt()), how=how))
        assert [(one.label, one.span, one.confidence) for one in found.false[at]] == [
            (one.label, one.span, one.confidence) for one in heard
        ]
        counts.append(len(heard))
    assert counts[1] >= len(WORDS)


def test_the_scores_of_a_stream_are_those_of_its_hops_computed_at_once(known: Path) -> None:
    opened, sound = OpenStore.open(known), said(*WORDS, "stop")
    contract = opened.extractor.contract
    scorer = scorer_of(opened, judge_with(opened, opened.model()[1]), None)[0]
    padding = np.zeros(contract.window_samples - contract.hop_samples, np.float32)
    signal = np.concatenate([padding, sound, padding])
    frames = opened.extractor.frames(signal)
    windows = np.lib.stride_tricks.sliding_window_view(frames, contract.pool_frames, axis=0).transpose(0, 2, 1)
    whole = scorer(opened.extractor.hop_latents(signal), windows)
    assert whole.asked is not None
    assert whole.asked.any()
    seen: list[tuple[str, float]] = []
    list(listen(opened, [sound], how=Listening(look=lambda look: seen.append((look.label, look.score)))))
    margins = whole.scores - scorer.thresholds
    for (label, score), hop in zip(seen, range(len(margins)), strict=False):
        if label:
            best = int(margins[hop].argmax())
            assert scorer.labels[best] == label
            assert score == pytest.approx(float(whole.scores[hop, best]), abs=0.05)


def test_without_a_student_that_can_be_read_the_first_stage_decides(
    known: Path, older: Path, damaged: None, tmp_path: Path
) -> None:
    opened = OpenStore.open(shutil.copytree(known, tmp_path / "store"))
    assert _decided(opened.store.path) == {"first stage"}
    events, before = ([one.label for one in listen(OpenStore.open(at), [said(*WORDS)])] for at in (known, older))
    assert events == before
    assert teaching.teach(opened, clips("teach", ("yes",), most=12)[5:8], force=True).finish().is_accepted
    assert _stored(opened, "yes")[-1] == 5


def test_another_extractor_has_no_student(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = factory_student()
    assert found is not None
    monkeypatch.setattr(student, "factory_student", lambda: replace(found, extractor="0" * 64))
    opened = OpenStore.open(known)
    assert calibration(opened) == calibration(opened, is_first_stage=True)


def test_an_exported_model_has_thresholds_of_the_first_stage(known: Path, older: Path) -> None:
    with_it, without = OpenStore.open(known), OpenStore.open(older)
    assert calibration(with_it, is_first_stage=True) == calibration(without)
    assert calibration(with_it) != calibration(without)


def test_a_reference_is_of_no_columns_and_stays_when_these_become_fewer(known: Path, tmp_path: Path) -> None:
    store = shutil.copytree(known, tmp_path / "store")
    done = edgecl("resize", store, "--memory", "160KiB")
    assert done.code == 0, done.err
    wide, narrow = OpenStore.open(known), OpenStore.open(store)
    assert narrow.settings.features.row_dimension < wide.settings.features.row_dimension
    for label in WORDS:
        np.testing.assert_array_equal(_stored(narrow, label), _stored(wide, label))
    assert _decided(store) == {"student"}


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A store that was taught with the first student that shipped, which answers in 64 directions."""
    store = shutil.copytree(Path(__file__).parents[1] / "data" / "store_student_64", tmp_path / "strange")
    shutil.copy(voice_extractor(), store / "extractor.onnx")
    return store


@pytest.fixture
def present() -> Student:
    found = factory_student()
    assert found is not None
    return found


def test_references_of_an_earlier_student_are_not_compared_with_the_one_that_is_here(
    strange: Path, present: Student
) -> None:
    opened = OpenStore.open(strange)
    assert all(_stored(opened, label).shape == (65,) for label in WORDS)
    assert not any(present.knows(one) for one in opened.model()[1].exemplars.values())
    assert calibration(opened) == calibration(opened, is_first_stage=True)
    assert [one.label for one in listen(opened, [said(*WORDS)])] == list(WORDS)
    assert _decided(strange) == {"first stage"}


def test_status_and_doctor_name_words_with_references_of_another_student(
    strange: Path, known: Path, tmp_path: Path
) -> None:
    fresh = shutil.copytree(known, tmp_path / "fresh")
    for label in WORDS:
        assert edgecl("forget", fresh, label).code == 0
    told = "references of another student, of left, yes, are not compared: teach these again, with some new clips"
    for command in ("status", "doctor"):
        assert told in " ".join(edgecl(command, strange).out.split())
        assert "another student" not in edgecl(command, fresh).out
    assert edgecl("status", strange, "--json").value["second_stage"]["other_student_words"] == ["left", "yes"]
    assert edgecl("doctor", strange, "--json").value["store"]["other_student_words"] == ["left", "yes"]


def test_the_next_lesson_makes_a_reference_of_this_student_in_place_of_another_ones(
    strange: Path, present: Student
) -> None:
    opened, taught = OpenStore.open(strange), clips("teach", ("yes",), most=12)[5:8]
    assert teaching.teach(opened, taught, force=True).finish().is_accepted
    answers = [present(clip_frames(one.signal, opened.extractor, [at]))[0] for at, one in enumerate(taught)]
    np.testing.assert_allclose(_stored(opened, "yes"), Reference.of(answers).array(), atol=2e-3)
    assert edgecl("status", strange, "--json").value["second_stage"]["other_student_words"] == ["left"]
    assert _decided(strange) == {"student", "first stage"}
    assert "has a part in the score of yes; references of another student" in edgecl("status", strange).out
    assert edgecl("rollback", strange).code == 0
    assert _decided(strange) == {"first stage"}
