"""Timestamps: which kind they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ..support.recordings import WRIST, csv_of, movement, put, samples_of


@pytest.mark.parametrize(
    "stamp",
    [
        lambda i: f"{i / 50:.2f}",
        lambda i: 20 * i,
        lambda i: f"{1.7e9 + i / 50:.2f}",
        lambda i: 1_700_000_000_000 + 20 * i,
        lambda i: (1_700_000_000_000 + 20 * i) * 1000,
        lambda i: (1_700_000_000_000 + 20 * i) * 1_000_000,
        lambda i: (datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC) + i * timedelta(milliseconds=20)).isoformat(),
        lambda i: f"2024-02-29 12:00:{i // 50:02d}.{20 * (i % 50):03d}",
    ],
    ids=["s", "ms", "epoch s", "epoch ms", "epoch us", "epoch ns", "ISO with zone", "ISO without"],
)
def test_kind_of_timestamp_is_detected(tmp_path: Path, stamp: Any) -> None:
    values = movement(100)
    samples = samples_of(put(tmp_path / "run.csv", csv_of(map(stamp, range(100)), values)), WRIST, label="curl")
    assert len(samples) == 9
    np.testing.assert_allclose(samples[1].signal, values[10:30], atol=1e-4)


def test_kind_of_timestamp_and_rate_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="edgecl")
    samples_of(put(tmp_path / "run.csv", csv_of(range(0, 2000, 20), movement(100))), WRIST, label="curl")
    assert "read as milliseconds, 50 Hz" in caplog.text
