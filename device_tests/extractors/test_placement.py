"""Where the window of a latent is placed in a longer or a shorter signal."""

from __future__ import annotations

import numpy as np
import pytest

from edgecl.errors import DataError
from edgecl.extractors.base import FileExtractor, fit

from ..support.extractors import VOICE, movement, sound


def test_where_a_word_lies_between_silences_does_not_matter(voice: FileExtractor, rng: np.random.Generator) -> None:
    word = sound(rng, 8_000)
    early, late = (np.pad(word, ((lead, 32_000 - lead), (0, 0))) for lead in (0, 32_000))
    alone, first, last = voice.latents([word, early, late])
    np.testing.assert_array_equal(first, alone)
    np.testing.assert_array_equal(last, alone)


def test_sound_is_placed_with_its_loudest_part_in_the_middle() -> None:
    signal = np.zeros((40_000, 1), np.float32)
    signal[30_000:38_000] = 1
    clip = fit(signal, VOICE)[:, 0]
    assert len(clip) == VOICE.clip_samples
    assert np.count_nonzero(clip) == 8_000
    assert abs(np.flatnonzero(clip).mean() - len(clip) / 2) <= 160


def test_a_sound_as_long_as_a_clip_is_taken_as_it_is(rng: np.random.Generator) -> None:
    signal = sound(rng, VOICE.clip_samples) * np.linspace(0, 1, VOICE.clip_samples, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(fit(signal, VOICE), signal)


def test_a_short_sound_is_kept_whole_between_zeros(rng: np.random.Generator) -> None:
    signal = sound(rng, 7_000)
    clip = fit(signal, VOICE)
    start = int(np.argmax(clip[:, 0] != 0))
    np.testing.assert_array_equal(clip[start : start + 7_000], signal)
    assert not clip[:start].any()
    assert not clip[start + 7_000 :].any()


def test_of_a_long_movement_the_end_counts(imu: FileExtractor, rng: np.random.Generator) -> None:
    first, last = movement(rng, imu, 2)
    np.testing.assert_array_equal(imu.latents([np.concatenate([first, last])]), imu.latents([last]))


def test_a_short_movement_is_refused(imu: FileExtractor) -> None:
    short = np.zeros((imu.contract.clip_samples - 1, len(imu.contract.channels)), np.float32)
    with pytest.raises(DataError, match=f"a latent needs {imu.contract.clip_samples}"):
        imu.latents([short])
