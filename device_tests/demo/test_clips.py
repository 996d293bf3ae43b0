"""The clips and the movement that the demo learns from."""

from __future__ import annotations

import runpy
import shutil
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.demo import movement
from edgecl.demo.clips import KNOWN_WORDS, NEW_WORDS, NOTICE, SPLITS, mu_law_decoded, voice_clips
from edgecl.errors import DataError
from edgecl.sources.samples import Sample

SCRIPT = Path(__file__).parents[2] / "tools" / "make_demo_clips"
LARGEST = 1_600_000


def voices(split: str) -> set[str | None]:
    return {clip.group for clip in voice_clips(split)}


# Spoken commands


def test_archive_is_small_enough_for_the_package() -> None:
    assert len(files("edgecl.demo").joinpath("data/voice.npz").read_bytes()) <= LARGEST


@pytest.mark.parametrize("split", SPLITS)
def test_clips_are_sound_that_an_extractor_takes(split: str) -> None:
    for clip in voice_clips(split):
        assert clip.signal.dtype == np.float32
        assert clip.signal.shape == (len(clip.signal), 1)
        assert 0.2 <= len(clip.signal) / 16_000 <= 1
        assert 0.1 < np.abs(clip.signal).max() < 0.8


@pytest.mark.native("embeds hundreds of clips")
def test_every_known_word_has_twenty_clips_to_teach_and_ten_to_test() -> None:
    for word in KNOWN_WORDS:
        assert sum(clip.label == word for clip in voice_clips("teach")) == 20
        assert sum(clip.label == word for clip in voice_clips("test")) == 10


def test_every_new_word_has_five_clips_of_one_user_and_others_to_test() -> None:
    assert len(voices("new")) == 1
    for word in NEW_WORDS:
        assert sum(clip.label == word for clip in voice_clips("new")) == 5
        assert sum(clip.label == word for clip in voice_clips("new-test")) == 18


def test_voices_that_teach_do_not_test() -> None:
    assert not voices("teach") & (voices("test") | voices("new"))
    assert voices("new-test") == voices("test") | voices("new")


def test_no_clip_is_there_twice() -> None:
    clips = [clip.signal.tobytes() for split in SPLITS for clip in voice_clips(split)]
    assert len(set(clips)) == len(clips)


def test_clips_are_not_trivially_the_same_sound() -> None:
    loudness = [float(np.abs(clip.signal).max()) for clip in voice_clips("teach")]
    lengths = [len(clip.signal) for clip in voice_clips("teach") if clip.label == "stop"]
    assert max(loudness) > 2.5 * min(loudness)
    assert max(lengths) > 1.3 * min(lengths)


def test_unknown_split_is_refused() -> None:
    with pytest.raises(DataError, match="no split 'all'"):
        voice_clips("all")


def test_mu_law_is_inverted() -> None:
    signal = np.linspace(-1, 1, 1001)
    codes = np.rint(np.sign(signal) * np.log1p(255 * np.abs(signal)) / np.log(256) * 127 + 128).astype(np.uint8)
    error = np.abs(mu_law_decoded(codes) - signal)
    assert (error <= 0.025 * np.abs(signal) + 1e-4).all()


def test_it_says_that_nothing_of_it_is_real() -> None:
    assert "synthetic" in NOTICE
    assert "simulated" in NOTICE


@pytest.mark.host
def test_script_makes_the_archive_that_is_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("espeak-ng") is None or not SCRIPT.exists():
        pytest.skip("tools/make_demo_clips needs a checkout and espeak-ng")
    pytest.importorskip("soxr")
    archive = Path(str(files("edgecl.demo").joinpath("data/voice.npz")))
    script = runpy.run_path(str(SCRIPT))
    with np.load(archive) as shipped:
        if script["espeak_version"]() != str(shipped["made_by"]):
            pytest.skip(f"the clips were made by {shipped['made_by']}, here is {script['espeak_version']()}")
    monkeypatch.setattr(sys, "argv", ["make_demo_clips", "-o", str(tmp_path / "voice.npz")])
    script["main"]()
    with np.load(archive) as shipped, np.load(tmp_path / "voice.npz") as made:
        assert made["labels"].tolist() == shipped["labels"].tolist()
        assert made["voices"].tolist() == shipped["voices"].tolist()
        # Another build of NumPy or soxr may round a sample to the neighbouring code.
        assert made["codes"].shape == shipped["codes"].shape
        assert np.mean(made["codes"] != shipped["codes"]) < 1e-3


# Movement


def statistics(samples: list[Sample]) -> NDArray[np.float64]:
    """Mean, spread and extremes of every channel, (n, 24)."""
    X = np.stack([sample.signal for sample in samples]).astype(np.float64)
    return np.hstack([X.mean(axis=1), X.std(axis=1), X.min(axis=1), X.max(axis=1)])


def labels(samples: list[Sample]) -> NDArray[np.str_]:
    return np.array([sample.label for sample in samples])


def test_windows_have_the_channels_and_length_they_say() -> None:
    samples = movement.windows(["rest"], [1], seconds=10)
    assert len(samples) == 9
    assert {sample.signal.shape for sample in samples} == {(movement.WINDOW, len(movement.CHANNELS))}
    assert samples[0].signal.dtype == np.float32
    assert samples[1].source == "demo/rest/1@1s"
    assert {(sample.label, sample.group) for sample in samples} == {("rest", "1")}


def test_minute_of_the_new_exercise_is_enough_for_fifty_windows() -> None:
    assert len(movement.windows(movement.NEW_EXERCISES, [movement.USER], seconds=60)) == 59


def test_people_who_teach_do_not_test() -> None:
    assert not set(movement.TEACHING_SUBJECTS) & {*movement.TESTING_SUBJECTS, movement.USER}


def test_same_arguments_give_the_same_movement_and_another_seed_another_one() -> None:
    once = movement.recording("squat", 3, seconds=4)
    np.testing.assert_array_equal(once, movement.recording("squat", 3, seconds=4))
    assert np.abs(once - movement.recording("squat", 3, seconds=4, seed=1)).max() > 0.5
    assert np.abs(once - movement.recording("squat", 4, seconds=4)).max() > 0.5


@pytest.mark.parametrize("name", [*movement.EXERCISES, *movement.NEW_EXERCISES])
def test_a_wrist_could_have_moved_like_that(name: str) -> None:
    for subject in movement.TEACHING_SUBJECTS:
        signal = movement.recording(name, subject, seconds=30)
        force, rotation = np.linalg.norm(signal[:, :3], axis=1), np.linalg.norm(signal[:, 3:], axis=1)
        assert np.isfinite(signal).all()
        assert 9 < force.mean() < 11  # gravity, on average
        assert force.max() < 30
        assert rotation.max() < 8


def test_at_rest_the_sensor_feels_gravity_and_hardly_turns() -> None:
    signal = movement.recording("rest", 2, seconds=30)
    assert np.linalg.norm(signal[:, :3], axis=1).std() < 0.5
    assert np.linalg.norm(signal[:, 3:], axis=1).mean() < 0.5


def test_rotation_agrees_with_the_way_gravity_turns() -> None:
    signal = movement.recording("biceps curl", 2, seconds=30).astype(np.float64)
    window = np.ones(9) / 9
    smooth = np.stack([np.convolve(channel, window, mode="same") for channel in signal.T], axis=1)
    change = np.gradient(smooth[:, :3], axis=0) * movement.RATE_HZ
    predicted = -np.cross(smooth[:, 3:], smooth[:, :3])  # dg/dt = -w x g in the sensor's axes
    middle = slice(20, -20)
    assert np.corrcoef(change[middle].ravel(), predicted[middle].ravel())[0, 1] > 0.9


@pytest.mark.native("embeds hundreds of clips")
def test_exercises_of_strangers_are_told_apart_but_not_perfectly() -> None:
    learnt = movement.windows(movement.EXERCISES, movement.TEACHING_SUBJECTS, seconds=20)
    new = movement.windows(movement.EXERCISES, movement.TESTING_SUBJECTS, seconds=20)
    X, names = statistics(learnt), labels(learnt)
    scale = X.std(axis=0)
    means = {name: (X[names == name] / scale).mean(axis=0) for name in movement.EXERCISES}
    within = np.concatenate([X[names == name] / scale - means[name] for name in means])
    precision = np.linalg.inv(np.cov(within.T) + 0.01 * np.eye(X.shape[1]))
    differences = {name: statistics(new) / scale - mean for name, mean in means.items()}
    distances = {name: np.einsum("ni,ij,nj->n", d, precision, d) for name, d in differences.items()}
    order = list(distances)
    answers = np.array(order)[np.argmin([distances[name] for name in order], axis=0)]
    assert 0.9 <= (answers == labels(new)).mean() < 1


def test_unknown_exercise_is_refused() -> None:
    with pytest.raises(DataError, match="no exercise 'plank'"):
        movement.recording("plank", 1, seconds=4)
