"""References of taught words: made by lessons where the network is installed, kept, and forgotten with their class."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.live.evaluating import evaluate_stream
from edgecl.live.inputs.chunks import Halt
from edgecl.live.inputs.sound_file import sound_file
from edgecl.live.listener import listen
from edgecl.live.options import Listening
from edgecl.operations import references, status, teaching
from edgecl.operations.open_store import OpenStore
from edgecl.spotting import second_stage
from edgecl.spotting.reference import Directions, Reference

from ..support.commands import clips, edgecl, voice_extractor, write_clips, write_wav
from ..support.listening import said

pytestmark = pytest.mark.native("teaches and follows streams")

K = 4
WORDS = ("yes", "left")
SPACE = np.zeros(K, np.float32), np.eye(K, dtype=np.float32)
DIRECTIONS = Directions(*SPACE, np.tile(np.eye(K)[3], (1200, 1)), np.arange(1200), 1.0)


class Ear:
    """A network to which every sound that is loud in the middle is like one direction, until it is turned."""

    def __init__(self) -> None:
        self.heard = 0
        self.direction = np.eye(K, dtype=np.float32)[0]
        self.sideways = np.float32(0)

    def __call__(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        assert window.shape == (24_000,)
        self.heard += 1
        if self.sideways:
            return np.array([1, self.sideways * np.abs(window).mean(), 0, 0], np.float32)
        return self.direction if np.abs(window[8000:16_000]).max() > 0.06 else np.eye(K, dtype=np.float32)[1]


@pytest.fixture
def ear(monkeypatch: pytest.MonkeyPatch) -> Ear:
    one = Ear()
    monkeypatch.setattr(references, "_hearing", lambda _: one)
    monkeypatch.setattr(second_stage, "hearing", lambda: one)
    for module in (references, second_stage):
        monkeypatch.setattr(module, "factory_directions", lambda: DIRECTIONS)
    return one


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that knows two words, taught without the network."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("references")
    assert edgecl("init", folder / "plain", "--extractor", "voice").code == 0
    with pytest.MonkeyPatch.context() as without:
        without.setattr(references, "_hearing", lambda _: None)
        assert edgecl("learn", folder / "plain", write_clips(folder / "known", clips("teach", WORDS, most=5))).code == 0
    return folder / "plain"


def _taught(plain: Path, folder: Path, *, first: int = 5) -> OpenStore:
    """A copy that is taught three more clips of each word."""
    opened = OpenStore.open(shutil.copytree(plain, folder / "store"))
    more = [one for word in WORDS for one in clips("teach", (word,), most=12)[first : first + 3]]
    assert teaching.teach(opened, more, force=True).finish().is_accepted
    return opened


def _reference(opened: OpenStore, label: str) -> Reference:
    stored = opened.model()[1].exemplars[label].reference
    assert stored is not None
    return Reference.from_array(stored)


def test_a_lesson_makes_references_of_its_words(plain: Path, tmp_path: Path, ear: Ear) -> None:
    opened = _taught(plain, tmp_path)
    for label in WORDS:
        assert _reference(opened, label).clips == 3
        np.testing.assert_allclose(_reference(opened, label).direction, ear.direction, atol=1e-3)
    assert ear.heard == 2 * 3 * 3  # words, clips, versions
    assert edgecl("status", opened.store.path, "--json").value["second_stage"]["words"] == sorted(WORDS)
    assert edgecl("doctor", opened.store.path, "--json").value["store"]["damage"] == []


def test_clips_that_are_taught_as_a_known_word_reach_its_reference(plain: Path, tmp_path: Path, ear: Ear) -> None:
    opened = _taught(plain, tmp_path)
    more = clips("teach", ("yes", "left"), most=12)
    yeah = [replace(one, label="yeah") for one in more if one.label == "yes"][8:12]
    left = [one for one in more if one.label == "left"][8:10]
    report = teaching.teach(opened, [*yeah, *left], same_as="yes").finish()
    assert report.is_accepted
    assert "yeah" not in opened.model()[1].exemplars
    assert _reference(opened, "yes").clips == 3 + 4
    assert _reference(opened, "left").clips == 3 + 2


def test_status_says_which_stage_its_promises_are_of(
    plain: Path, tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = "Shares, scores and thresholds are of the first stage"
    monkeypatch.setattr(status, "verifier_file", lambda: Path("the network"))
    assert note not in edgecl("status", plain).out
    opened = _taught(plain, tmp_path)
    assert f"{note}; the second decides on left, yes" in edgecl("status", opened.store.path).out.replace("\n", " ")
    assert {one["decided_by"] for one in edgecl("status", opened.store.path, "--json").value["spotting"].values()} == {
        "second stage"
    }
    monkeypatch.setattr(status, "verifier_file", lambda: None)
    assert note not in edgecl("status", opened.store.path).out
    assert {one["decided_by"] for one in edgecl("status", opened.store.path, "--json").value["spotting"].values()} == {
        "student"
    }


def test_a_lesson_without_the_network_leaves_references_as_they_are(
    plain: Path, tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, before = _taught(plain, tmp_path), ear.heard
    monkeypatch.setattr(references, "_hearing", lambda _: None)
    more = [one for word in WORDS for one in clips("teach", (word,), most=12)[8:10]]
    assert teaching.teach(opened, more, force=True).finish().is_accepted
    assert ear.heard == before
    assert _reference(opened, "yes").clips == 3


def test_what_is_forgotten_has_no_reference_left(plain: Path, tmp_path: Path, ear: Ear) -> None:
    opened = _taught(plain, tmp_path)
    assert edgecl("forget", opened.store.path, "yes").code == 0
    opened = OpenStore.open(opened.store.path)
    assert set(opened.model()[1].exemplars) == {"left"}
    assert _reference(opened, "left").clips == 3


def test_a_store_that_was_taught_without_the_network_is_decided_without_it(
    plain: Path, tmp_path: Path, ear: Ear
) -> None:
    opened = OpenStore.open(plain)
    assert [one.label for one in listen(opened, [said(*WORDS)])] == list(WORDS)
    assert ear.heard == 0


def test_words_are_heard_where_the_network_agrees_and_not_where_it_does_not(
    plain: Path, tmp_path: Path, ear: Ear
) -> None:
    opened = _taught(plain, tmp_path)
    first = [(one.label, one.span) for one in listen(OpenStore.open(plain), [said(*WORDS)])]
    heard = list(listen(opened, [said(*WORDS)]))
    assert [one.label for one in heard] == [label for label, _ in first] == list(WORDS)
    ear.direction = -ear.direction
    assert list(listen(opened, [said(*WORDS)])) == []


def test_the_wake_word_is_what_the_network_decides_on(plain: Path, tmp_path: Path, ear: Ear) -> None:
    opened, how = _taught(plain, tmp_path), Listening(wake="yes", span_s=4)
    assert [one.label for one in listen(opened, [said(*WORDS)], how=how)] == list(WORDS)
    windows = ear.heard
    ear.direction = -ear.direction
    assert list(listen(opened, [said(*WORDS)], how=how)) == []
    assert ear.heard > windows


def test_a_stream_is_evaluated_with_the_events_that_listening_reports(plain: Path, tmp_path: Path, ear: Ear) -> None:
    opened, ear.sideways = _taught(plain, tmp_path), np.float32(50)  # the louder, the less like
    file = write_wav(tmp_path / "heard.wav", said(*WORDS, "stop", "yes"))
    heard_at = []
    found = evaluate_stream(opened, file).finish()
    for at in (0, 12, 20, 29):
        threshold = found.thresholds[at]
        heard = list(listen(opened, sound_file(file, opened.extractor.contract, halt=Halt()), how=Listening(threshold)))
        assert [(one.label, one.span, one.confidence) for one in found.false[at]] == [
            (one.label, one.span, one.confidence) for one in heard
        ]
        heard_at.append(len(heard))
    assert heard_at[0] > heard_at[-1]
