"""Sound in which there is nothing to hear: skipped in lessons, named in predictions."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.sources.choices import Choices

from ..support.recordings import RATE, put, samples_of, skips_of, tone, wav


def noise(seconds: float = 1.0, *, level: float = 0.001, seed: int = 0) -> NDArray[np.float64]:
    return level * np.random.default_rng(seed).normal(size=round(seconds * RATE))


def word(seed: int = 0) -> NDArray[np.float64]:
    """Half a second that rises and falls, over noise."""
    sound = noise(seed=seed)
    sound[4000:12000] += np.hanning(8000) * tone(0.5, hertz=300 + 40 * seed, level=0.4)
    return sound


def click() -> NDArray[np.float64]:
    sound = noise()
    sound[8000:8040] += 0.8
    return sound


def hum(mains: int) -> NDArray[np.float64]:
    return tone(1, hertz=mains, level=0.2) + tone(1, hertz=3 * mains, level=0.1) + noise(level=1e-4)


@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        (click(), "transient"),
        (hum(50), "hum: nothing but the mains at 50 Hz"),
        (hum(60), "hum: nothing but the mains at 60 Hz"),
        (0.3 + noise(level=1e-5), "constant"),
        (noise(level=0.001), "nothing to hear: steady noise at -59 dBFS"),
    ],
)
def test_sound_without_a_word_is_skipped_with_its_reason(
    tmp_path: Path, sound: NDArray[np.float64], reason: str
) -> None:
    put(tmp_path / "go" / "good.wav", wav(word()))
    put(tmp_path / "go" / "bad.wav", wav(sound))
    (skip,) = skips_of(tmp_path)
    assert skip.source.endswith("bad.wav")
    assert skip.reason.startswith(reason)
    assert len(samples_of(tmp_path)) == 1


def test_a_prediction_of_such_sound_is_made_and_the_fault_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = put(tmp_path / "click.wav", wav(click()))
    assert len(samples_of(path, labelled=False)) == 1
    assert "transient" in caplog.text


def test_background_may_be_steady(tmp_path: Path) -> None:
    put(tmp_path / "_silence_" / "1.wav", wav(noise(level=0.001)))
    put(tmp_path / "_silence_" / "2.wav", wav(hum(50)))
    assert len(samples_of(tmp_path)) == 2


def test_a_steady_sound_far_below_its_lesson_is_skipped(tmp_path: Path) -> None:
    for number in range(9):
        put(tmp_path / "go" / f"{number}.wav", wav(2 * word(number)))
    put(tmp_path / "go" / "last.wav", wav(noise(level=0.002), bits=24))
    assert [skip.reason.partition(":")[0] for skip in skips_of(tmp_path)] == ["nothing to hear"]


def test_channels_that_cancel_each_other_are_named_and_one_can_be_chosen(tmp_path: Path) -> None:
    path = put(tmp_path / "clip.wav", wav(np.stack([word(), -word()], axis=1)))
    with pytest.raises(DataError, match="phase-inverted: the channels cancel each other") as raised:
        samples_of(path, label="go")
    assert raised.value.parameter == "channel"
    (sample,) = samples_of(path, label="go", how=Choices(channel=1))
    np.testing.assert_allclose(sample.signal[:, 0], -word(), atol=1e-4)


def test_a_dead_channel_beside_a_good_one_is_no_fault(tmp_path: Path) -> None:
    path = put(tmp_path / "clip.wav", wav(np.stack([word(), np.zeros(RATE)], axis=1)))
    assert len(samples_of(path, label="go")) == 1


def test_words_cut_off_at_an_edge_are_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        put(tmp_path / "go" / f"{number}.wav", wav(word(number)[8000:]))
    with caplog.at_level(logging.WARNING):
        assert len(samples_of(tmp_path)) == 3
    assert "3 of 3 clips begin or end in the middle of sound" in caplog.text


def quiet(seconds: float) -> NDArray[np.float64]:
    return noise(seconds, level=1e-3, seed=9)


@pytest.mark.parametrize(
    ("sound", "is_named"),
    [
        (np.concatenate([word(0), quiet(1), word(1)]), True),  # two takes in one clip
        (np.concatenate([word(seed) for seed in range(9)]), True),
        (np.concatenate([quiet(4), word(0), quiet(2)]), False),  # a long pause around one
        (np.concatenate([word(0), quiet(1), 0.1 * word(1)]), False),  # somebody in the next room
        (noise(6, level=0.1), False),  # rain, all the time
        (word(0), False),
    ],
)
def test_clips_with_more_than_what_is_learnt_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sound: NDArray[np.float64], is_named: bool
) -> None:
    put(tmp_path / "go" / "1.wav", wav(sound))
    assert len(samples_of(tmp_path)) == 1
    said = "1 of 1 clips have more sound than the 1.4 s around the loudest that are used, such as "
    assert (said in caplog.text) == is_named


def test_few_clips_with_more_than_what_is_learnt_are_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for seed in range(6):
        more = [quiet(1), word(99)] if seed == 3 else []
        put(tmp_path / "go" / f"{seed}.wav", wav(np.concatenate([word(seed), *more])))
    assert len(samples_of(tmp_path)) == 6
    assert "more sound" not in caplog.text
