"""What leaves a store as ONNX answers as the store does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgecl.demo.movement import EXERCISES, TEACHING_SUBJECTS, windows
from edgecl.learner import Learner
from edgecl.operations.background import background
from edgecl.operations.open_store import OpenStore
from edgecl.spotting.background import BackgroundScorer

from ..support.commands import clips, edgecl, voice_extractor, write_clips

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx", reason="needs the extra [export]")
WORDS = ("yes", "stop", "left")


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    voice_extractor()
    folder = tmp_path_factory.mktemp("exported")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice").code == 0
    assert edgecl("learn", folder / "kitchen", write_clips(folder / "clips", clips("teach", WORDS, most=8))).code == 0
    return folder / "kitchen"


def metadata(session: onnxruntime.InferenceSession) -> dict[str, str]:
    return dict(session.get_modelmeta().custom_metadata_map)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_for_openwakeword_scores_as_listen_does(kitchen: Path, tmp_path: Path, word: str) -> None:
    out = tmp_path / "word.onnx"
    assert edgecl("export", "wakeword", kitchen, word, "-o", out, "--json").value["label"] == word
    session = onnxruntime.InferenceSession(out)
    (given,), (answer,) = session.get_inputs(), session.get_outputs()
    assert (given.shape, answer.shape) == ([1, 16, 96], [1, 1])
    assert metadata(session)["edgecl.label"] == word
    learner = Learner.open(kitchen)
    known = background(learner.opened)
    assert known is not None
    scorer = BackgroundScorer(learner.opened.model()[1], known)
    pool, extractor = learner.contract.pool_frames, learner.extractor
    at, parameters = scorer.labels.index(word), scorer.word(word)
    for clip in clips("test", WORDS, most=4):
        frames = extractor.frames(np.concatenate([np.zeros((48000, 1), np.float32), clip.signal]))[-16:]
        latents = extractor.pool(frames[None, -pool:])
        score = float(scorer(latents).scores[0, at])
        wanted = 1 / (1 + np.exp(-np.clip((score - parameters.threshold) * parameters.steepness, -60, 60)))
        found = session.run(None, {given.name: frames[None].astype(np.float32)})[0][0, 0]
        assert found == pytest.approx(wanted, abs=1e-6)


def test_a_single_word_has_no_rival_but_the_background(tmp_path: Path) -> None:
    voice_extractor()
    store, out = tmp_path / "kitchen", tmp_path / "word.onnx"
    assert edgecl("init", store, "--extractor", "voice").code == 0
    assert edgecl("learn", store, write_clips(tmp_path / "clips", clips("teach", ["yes"], most=5))).code == 0
    assert edgecl("export", "wakeword", store, "yes", "-o", out).code == 0
    probability = onnxruntime.InferenceSession(out).run(None, {"embeddings": np.zeros((1, 16, 96), np.float32)})[0]
    assert 0 <= probability[0, 0] < 0.5


def test_a_whole_model_answers_as_predict_does(kitchen: Path, tmp_path: Path) -> None:
    out = tmp_path / "kitchen.onnx"
    assert edgecl("export", "model", kitchen, "-o", out).code == 0
    session = onnxruntime.InferenceSession(out)
    told = metadata(session)
    labels = json.loads(told["edgecl.labels"])
    assert set(json.loads(told["edgecl.thresholds"])) == set(WORDS)
    learner = Learner.open(kitchen)
    assert labels == list(learner.classes)
    assert json.loads(told["edgecl.contract"]) == learner.contract.metadata()
    from edgecl.extractors.base import fit

    model = OpenStore(learner.store).head()
    for clip in clips("test", WORDS, most=6):
        signal = fit(clip.signal, learner.contract)[None]
        probabilities, novelty = session.run(None, {session.get_inputs()[0].name: signal})
        (answer,) = learner.predict([clip])
        assert labels[int(probabilities.argmax())] == answer.label
        assert float(probabilities.max()) == pytest.approx(answer.confidence, abs=1e-5)
        by_the_head = model.predict(learner.extractor.latents([clip.signal])).novelty
        assert float(novelty[0]) == pytest.approx(float(by_the_head[0]), abs=1e-5)


def test_a_centred_movement_store_is_exported_whole(tmp_path: Path) -> None:
    store, out = tmp_path / "wrist", tmp_path / "wrist.onnx"
    samples = windows(list(EXERCISES)[:4], TEACHING_SUBJECTS, seconds=12)
    learner = Learner.create(store, extractor="imu")
    assert learner.learn(samples).is_accepted
    learner.centre(samples[::3], force=True)
    assert edgecl("export", "model", store, "-o", out).code == 0
    session = onnxruntime.InferenceSession(out)
    for sample in samples[::20]:
        probabilities, _ = session.run(None, {session.get_inputs()[0].name: sample.signal[None]})
        (answer,) = learner.predict([sample])
        assert float(probabilities.max()) == pytest.approx(answer.confidence, abs=1e-5)


def test_what_cannot_be_exported_is_told_why(kitchen: Path, tmp_path: Path) -> None:
    unknown = edgecl("export", "wakeword", kitchen, "tea", "-o", tmp_path / "x.onnx")
    assert (unknown.code, "'tea' is not known" in unknown.err) == (2, True)
    assert edgecl("init", tmp_path / "empty", "--extractor", "voice").code == 0
    for command in (("wakeword", tmp_path / "empty", "yes"), ("model", tmp_path / "empty")):
        assert edgecl("export", *command, "-o", tmp_path / "x.onnx").code == 2
    assert edgecl("export", "model", kitchen, "-o", tmp_path / "no" / "x.onnx").code == 2
    assert not (tmp_path / "x.onnx").exists()
