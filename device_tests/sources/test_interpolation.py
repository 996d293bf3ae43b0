"""Windows at another rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ..support.recordings import WRIST, npz, samples_of


@pytest.mark.parametrize(("rate", "length"), [(25, 10), (100, 40), (62.5, 25), (200, 80)])
def test_windows_of_another_rate_are_interpolated(tmp_path: Path, rate: float, length: int) -> None:
    time = np.arange(length) / rate
    X = np.repeat(np.sin(2 * np.pi * 2 * time)[None, :, None], 3, axis=2)
    (sample,) = samples_of(npz(tmp_path / "w.npz", X=X, y=[0], rate_hz=rate), WRIST)
    assert sample.signal.shape == (20, 3)
    expected = np.sin(2 * np.pi * 2 * np.arange(20) / 50)
    assert np.abs(sample.signal[1:-1, 0] - expected[1:-1]).max() < 0.06


def test_what_a_lower_rate_cannot_hold_does_not_fold_back(tmp_path: Path) -> None:
    time = np.arange(400) / 200
    X = np.repeat(np.sin(2 * np.pi * 52 * time)[None, :, None], 3, axis=2)  # would be seen at 2 Hz
    (sample,) = samples_of(npz(tmp_path / "w.npz", X=X, y=[0], rate_hz=200), WRIST)
    assert np.abs(sample.signal[1:-1]).max() < 0.25
