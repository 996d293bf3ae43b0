"""Answers: what was taught, and what was not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import SettingError
from edgecl.learner import Learner
from edgecl.operations.answering import Answer

from ..support.commands import RATE, clips, edgecl, noise, voice_extractor, write_clips, write_wav

pytestmark = pytest.mark.native("answers hundreds of clips")


@pytest.fixture(scope="module")
def one_word(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of one class."""
    voice_extractor()
    store = tmp_path_factory.mktemp("answering") / "one"
    learner = Learner.create(store, extractor="voice")
    learner.learn({"yes": [one.signal for one in clips("teach", ["yes"], most=10)]})
    return store


def answered(store: Path, signals: list[np.ndarray]) -> list[Answer]:
    said = Learner.open(store).predict(signals, top=2)
    assert all(isinstance(one, Answer) for one in said)
    return said  # type: ignore[return-value]


def test_a_store_of_one_word_does_not_know_everything(one_word: Path) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)[:, None] * 0.3
    others = [one.signal for one in clips("test", ["stop", "left", "right"])]
    strange = [noise(seed=1).astype(np.float32)[:, None], tone, *others]
    said = answered(one_word, strange)
    assert {one.label for one in said} == {"yes"}
    assert np.mean([one.known for one in said]) < 0.1
    assert not said[0].known
    assert not said[1].known
    assert all(one.known for one in answered(one_word, [one.signal for one in clips("test", ["yes"])]))


def test_text_says_what_an_unknown_sample_is_most_like(one_word: Path, tmp_path: Path) -> None:
    done = edgecl("predict", one_word, write_wav(tmp_path / "noise.wav", noise(seed=1)))
    assert "unknown (most like yes)" in done.out
    (told,) = edgecl("predict", one_word, tmp_path / "noise.wav", "--json", "--top", 3).lines
    assert (told["label"], told["known"]) == ("yes", False)
    assert told["top"] == [{"label": "yes", "probability": 1.0}]


def test_a_threshold_is_a_revision_that_lessons_keep_and_rollback_undoes(one_word: Path, tmp_path: Path) -> None:
    learner = Learner.create(tmp_path / "store", extractor=one_word / "extractor.onnx")
    learner.learn({"yes": [one.signal for one in clips("teach", ["yes"], most=6)]})
    automatic = learner.status()["unknown"]
    assert automatic["set_by"] == "store"
    assert learner.set(unknown_above=0.25).number == learner.revision == 3
    assert learner.status()["unknown"] == {"above": 0.25, "set_by": "user"}
    learner.learn({"stop": [one.signal for one in clips("teach", ["stop"], most=6)]})
    assert learner.status()["unknown"] == {"above": 0.25, "set_by": "user"}
    learner.set(unknown_above=1.0)
    assert all(one.known for one in answered(tmp_path / "store", [noise(seed=1).astype(np.float32)[:, None]]))
    learner.set(unknown_above="auto")
    assert learner.status()["unknown"]["set_by"] == "store"
    learner.rollback(2)
    assert learner.status()["unknown"] == automatic
    with pytest.raises(SettingError, match="wanted a number from 0 to 1"):
        learner.set(unknown_above=1.5)
    assert "unknown above 0.25" in edgecl("history", tmp_path / "store").out
    assert "above a novelty of" in edgecl("status", tmp_path / "store").out
    assert edgecl("set", tmp_path / "store", "--unknown-above", "2").code == 2


def test_what_was_set_is_not_lost_when_a_class_is_forgotten(one_word: Path, tmp_path: Path) -> None:
    learner = Learner.create(tmp_path / "store", extractor=one_word / "extractor.onnx")
    learner.learn({word: [one.signal for one in clips("teach", [word], most=6)] for word in ("yes", "stop")})
    learner.set(unknown_above=0.25)
    learner.forget("stop")
    assert learner.status()["unknown"] == {"above": 0.25, "set_by": "user"}


def test_evaluation_on_samples_that_were_taught_says_so(one_word: Path, tmp_path: Path) -> None:
    Learner.create(tmp_path / "store", extractor=one_word / "extractor.onnx")
    write_clips(tmp_path / "heard", clips("teach", ["yes"], most=4))
    assert edgecl("learn", tmp_path / "store", tmp_path / "heard").code == 0
    write_clips(tmp_path / "heard" / "more", clips("test", ["yes"], most=3))
    (tmp_path / "heard" / "more" / "yes").rename(tmp_path / "heard" / "yes" / "more")
    (tmp_path / "heard" / "more").rmdir()
    done = edgecl("eval", tmp_path / "store", tmp_path / "heard", "--json")
    assert (done.value["n"], done.value["taught_before"]) == (7, 4)
    assert "4 of 7 samples were taught: that these are answered right proves little" in done.err
    other = edgecl("eval", tmp_path / "store", tmp_path / "heard" / "yes" / "more", "--label", "yes", "--json")
    assert (other.value["n"], other.value["taught_before"]) == (3, 0)
    assert "were taught" not in other.err


def test_evaluation_tells_both_figures_and_what_of_the_untaught_is_refused(one_word: Path, tmp_path: Path) -> None:
    heard = write_clips(tmp_path / "heard", clips("test", ["yes", "stop"]))
    others = write_clips(tmp_path / "others", clips("test", ["left", "right"]))
    told = edgecl("eval", one_word, heard, "--unknown", others, "--json").value
    assert told["never_taught"] == ["stop"]
    assert told["accuracy"] == told["confusion"]["yes"]["yes"] / told["n"]
    assert told["with_unknown"]["accuracy"] > told["accuracy"]
    assert told["with_unknown"]["taught_refused"] == 0
    assert told["unknown"]["refused"] > 0.9
    assert told["unknown"]["auroc"] > 0.95
    assert told["per_class"]["yes"]["precision"] == 0.5
    assert "--unknown refused" in edgecl("eval", one_word, heard, "--unknown", others).out
    assert edgecl("eval", one_word, heard, "--at", "0.5").code == 2


def test_two_classes_have_a_curve_and_a_share_at_a_threshold(one_word: Path, tmp_path: Path) -> None:
    learner = Learner.create(tmp_path / "store", extractor=one_word / "extractor.onnx")
    learner.learn({word: [one.signal for one in clips("teach", [word], most=8)] for word in ("yes", "stop")})
    heard = write_clips(tmp_path / "heard", clips("test", ["yes", "stop"]))
    told = edgecl("eval", tmp_path / "store", heard, "--at", "0.5", "--json").value
    assert told["auc"] > 0.9
    assert told["at"]["label"] == "yes"
    assert told["at"]["found"] == told["per_class"]["yes"]["recall"]
    assert "ROC" in edgecl("eval", tmp_path / "store", heard, "--at", "0.5").out
