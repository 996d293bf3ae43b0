"""References of words: sums of clips, as a store keeps them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.spotting.background import VOICE_SOURCE, factory_background
from edgecl.spotting.reference import VERSIONS, WINDOW_SAMPLES, Reference, about, factory_directions, unit, versions

K = 128


def _clips(count: int, *, apart: float = 0.1, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    word = unit(rng.standard_normal(K))
    return np.array([unit(word + apart * rng.standard_normal(K)) for _ in range(count)])


def test_clips_of_two_lessons_are_those_of_one() -> None:
    clips = _clips(7)
    kept = Reference.from_array(Reference.of(clips[:3]).array())
    together, at_once = Reference.of(clips[3:], kept), Reference.of(clips)
    assert together.clips == at_once.clips == 7
    np.testing.assert_allclose(together.mean, at_once.mean, atol=1e-3)


def test_a_store_keeps_two_bytes_a_direction_and_two_for_the_count() -> None:
    assert Reference.of(_clips(5)).array().nbytes == 2 * K + 2


@pytest.mark.parametrize("apart", [0.02, 0.08, 0.3])
def test_how_alike_left_out_clips_are_follows_from_mean_and_count(apart: float) -> None:
    clips = _clips(6, apart=apart)
    others = [unit(np.delete(clips, at, axis=0).sum(axis=0)) for at in range(6)]
    expected = float(np.mean([one @ rest for one, rest in zip(clips, others, strict=True)]))
    assert Reference.of(clips).left_out == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(("middle", "before", "after"), [(12_000, 0, 0), (2_000, 10_000, 0), (29_000, 0, 11_000)])
def test_a_window_has_zeros_beyond_the_ends_of_a_signal(middle: int, before: int, after: int) -> None:
    window = about(np.arange(1, 30_001, dtype=np.float32), middle)
    assert window.shape == (WINDOW_SAMPLES,)
    assert not window[:before].any()
    assert not window[WINDOW_SAMPLES - after :].any()
    np.testing.assert_array_equal(
        window[before : WINDOW_SAMPLES - after], np.arange(middle - 12_000 + before, middle + 12_000 - after) + 1
    )


def test_a_clip_has_the_same_versions_every_time_at_the_stated_peaks() -> None:
    clip = np.zeros(WINDOW_SAMPLES, np.float32)
    clip[8000:16_000] = np.sin(np.arange(8000) / 5)
    found = versions(clip)
    for version, again, (_, snr_db, peak_db) in zip(found, versions(clip), VERSIONS, strict=True):
        np.testing.assert_array_equal(version, again)
        scale = 10 ** (-peak_db / 20) / np.abs(clip).max()
        noise = version[:8000] / scale  # where the clip is silent
        assert 20 * np.log10(np.sqrt(0.5) / noise.std()) == pytest.approx(snr_db, abs=1.5)


def test_what_ships_is_of_rows_of_the_background() -> None:
    background, directions = factory_background(source=VOICE_SOURCE, dimension=96), factory_directions()
    assert background is not None
    assert len(directions.rows) == len(directions.of) == len(set(directions.of.tolist())) > 300
    assert 0 <= directions.of.min() <= directions.of.max() < len(background.rows)
    np.testing.assert_allclose(np.linalg.norm(directions.rows, axis=1), 1, atol=0.02)
    assert directions(directions.mean + directions.matrix[:, 0]).shape == directions.rows[0].shape
