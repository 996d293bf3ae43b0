"""Signals that are one recording, and takes that are not, however much they are alike."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.demo.clips import voice_clips
from edgecl.sources.sound import decode, encode_wav
from edgecl.sources.twins import SAME_MOVEMENT, SAME_SOUND, is_same, likeness, takes

from ..support.recordings import VOICE, contract_of

MOVEMENT = contract_of("imu", 50.0, ("x", "y", "z"), 100, 50)


def copied(
    signal: NDArray[np.float32], *, decibels: float = 0, shift: int = 0, below: float = 60
) -> NDArray[np.float32]:
    """The same take at another level, later by some samples, with noise so many dB below it, as a 16-bit file."""
    late = np.concatenate([np.zeros((shift, 1), np.float32), signal[: len(signal) - shift]]) * 10 ** (decibels / 20)
    noise = np.random.default_rng(1).normal(size=late.shape) * np.sqrt(np.square(late).mean()) * 10 ** (-below / 20)
    return decode(encode_wav((late + noise).astype(np.float32), rate_hz=16_000)).samples


@pytest.mark.parametrize(
    "how", [{"decibels": -6}, {"shift": 2}, {"shift": 403}, {"below": 30}, {"decibels": -12, "shift": 80, "below": 40}]
)
def test_a_copy_of_a_clip_is_the_same_recording(how: dict[str, float]) -> None:
    for one in voice_clips("new")[:5]:
        assert is_same(one.signal, copied(one.signal, **how), VOICE)  # type: ignore[arg-type]


def test_two_takes_of_a_word_by_one_person_are_two_recordings() -> None:
    own = [one for one in voice_clips("teach") if one.label == "yes"]
    found = [likeness(one.signal, two.signal, VOICE) for i, one in enumerate(own) for two in own[:i]]
    assert len(found) > 20
    assert max(found) < SAME_SOUND - 0.03


def moved(seconds: float, *, seed: int) -> NDArray[np.float32]:
    """Steps of one walker: a period of its own, and what varies from step to step."""
    draw = np.random.default_rng(seed)
    times = np.arange(round(50 * seconds)) / 50
    steps = [np.sin(2 * np.pi * 1.8 * times + phase) for phase in draw.uniform(0, 6, 3)]
    return (np.stack(steps, axis=1) + 0.5 * draw.normal(size=(len(times), 3))).astype(np.float32)


def test_cuts_of_one_recording_that_overlap_are_the_same_recording() -> None:
    whole = moved(4, seed=0)
    assert is_same(whole[:100], whole[50:150], MOVEMENT)
    assert likeness(whole[:100], whole[100:200], MOVEMENT) < SAME_MOVEMENT
    assert likeness(whole[:100], moved(2, seed=1), MOVEMENT) < SAME_MOVEMENT


def test_takes_are_joined_one_after_the_other_and_what_is_known_stays() -> None:
    whole = moved(8, seed=0)
    signals = [whole[start : start + 100] for start in (0, 50, 100, 250)] + [moved(2, seed=1)]
    latents = np.random.default_rng(0).normal(1, 0.1, (5, 8)).astype(np.float32)
    assert takes(signals.__getitem__, [latents], MOVEMENT).tolist() == [0, 0, 0, 3, 4]
    assert takes(signals.__getitem__, [latents], MOVEMENT, known=[0, 1, 2, 0, 4]).tolist() == [0, 0, 0, 0, 4]
    assert takes(lambda _: None, [latents], MOVEMENT).tolist() == [0, 1, 2, 3, 4]
