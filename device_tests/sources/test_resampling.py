"""Uneven timestamps become even ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..support.recordings import WRIST, csv_of, movement, put, samples_of, skips_of


def test_jitter_is_interpolated_away(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = np.sort(np.arange(300) / 60 + rng.uniform(-0.004, 0.004, 300))
    values = np.sin(2 * np.pi * times)[:, None].repeat(3, axis=1)
    samples = samples_of(put(tmp_path / "run.csv", csv_of(times, values)), WRIST, label="curl")
    for i, sample in enumerate(samples):
        expected = np.sin(2 * np.pi * (times[0] + (10 * i + np.arange(20)) / 50))
        np.testing.assert_allclose(sample.signal[:, 1], expected, atol=0.01)


def test_lost_row_is_bridged_and_a_long_gap_is_not(tmp_path: Path) -> None:
    times = np.arange(100) / 50
    keep = np.ones(100, bool)
    keep[[15, 16]] = False
    times[60:] += 1
    ramp = times[:, None].repeat(3, axis=1)
    path = put(tmp_path / "run.csv", csv_of(times[keep], ramp[keep]))
    samples = samples_of(path, WRIST, label="curl")
    assert len(samples) == 5 + 3
    for sample in samples:
        np.testing.assert_allclose(np.diff(sample.signal[:, 0]), 0.02, atol=1e-4)


def test_clock_that_was_set_back_begins_a_new_recording(tmp_path: Path) -> None:
    times = [*np.arange(40) / 50, *np.arange(43) / 50]
    path = put(tmp_path / "run.csv", csv_of(times, movement(83)))
    assert len(samples_of(path, WRIST, label="curl")) == 6
    assert [skip.reason.partition(":")[0] for skip in skips_of(path, WRIST, label="curl")] == ["unsorted time"] * 2
