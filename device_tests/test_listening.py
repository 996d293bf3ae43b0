"""`edgecl listen`: a stream to events, on clips that are put one after another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from .commands import RATE, clips, edgecl, noise, voice_extractor, write_clips, write_wav

WORDS = ("yes", "no", "left", "right")


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that knows four words."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("live")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice").code == 0
    lesson = write_clips(folder / "clips", clips("teach", WORDS, most=12))
    for number in range(12):
        write_wav(lesson / "_background_noise_" / f"{number}.wav", noise(2, seed=number) * 0.1 ** (number % 3))
    assert edgecl("learn", folder / "kitchen", lesson).code == 0
    return folder / "kitchen"


def said(*labels: str, pause_s: float = 1.5, take: int = 0) -> NDArray[np.float32]:
    """Words by a voice that did not teach, each after a pause, over a little noise."""
    pause = np.zeros(round(pause_s * RATE), np.float32)
    words = [clips("test", [label])[take].signal[:, 0] for label in labels]
    sound = np.concatenate([part for word in words for part in (pause, word)] + [pause])
    return (sound + 0.01 * noise(len(sound) / RATE, seed=99)[: len(sound)]).astype(np.float32)


def test_words_in_a_recording_are_heard_once_each_where_they_are(kitchen: Path, tmp_path: Path) -> None:
    done = edgecl("listen", kitchen, write_wav(tmp_path / "heard.wav", said("yes", "left", "no", "right")), "--json")
    assert done.code == 0
    assert [one["label"] for one in done.lines] == ["yes", "left", "no", "right"]
    for one in done.lines:
        assert set(one) == {"time", "label", "confidence", "novelty", "span"}
        assert one["span"][0] < one["time"] <= one["span"][1]
    assert [one["time"] for one in done.lines] == sorted(one["time"] for one in done.lines)
    assert "4 events" in done.err
