"""Signals are scaled and judged alike, wherever they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..support.recordings import RATE, npz, samples_of, skips_of, tone


def test_windows_of_sound_are_scaled_and_judged_like_files(tmp_path: Path) -> None:
    X = np.stack(((tone() * 32767).astype(np.int16), np.zeros(8000, np.int16)))
    path = npz(tmp_path / "w.npz", X=X, y=np.zeros(2, int), rate_hz=RATE)
    (sample,) = samples_of(path)
    np.testing.assert_allclose(sample.signal[:, 0], tone(), atol=1e-4)
    assert skips_of(path)[0].reason.startswith("silent: all samples are zero")
