"""Timestamps: which kind they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecl.errors import DataError
from edgecl.sources.choices import Choices
from edgecl.sources.csv_times import time_name

from ..support.recordings import WRIST, csv_of, movement, put, samples_of, skips_of


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
        lambda i: f"9:59:{59 + i // 50:02d}.{20 * (i % 50):03d}" if i < 50 else f"10:00:00.{20 * (i % 50):03d}",
        lambda i: f"{45123.5 + i / 50 / 86400!r}",
    ],
    ids=[
        "s",
        "ms",
        "epoch s",
        "epoch ms",
        "epoch us",
        "epoch ns",
        "ISO with zone",
        "ISO without",
        "of day",
        "days",
    ],
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


def test_midnight_begins_a_new_recording(tmp_path: Path) -> None:
    times = [f"23:59:59.{20 * i:03d}" for i in range(50)] + [f"00:00:00.{20 * i:03d}" for i in range(50)]
    path = put(tmp_path / "run.csv", csv_of(times, movement(100)))
    assert len(samples_of(path, WRIST, label="curl")) == 7
    assert [one.reason.partition(":")[0] for one in skips_of(path, WRIST, label="curl")] == ["unsorted time"] * 2


def test_the_days_of_a_spreadsheet_can_be_stated(tmp_path: Path) -> None:
    times = [f"{45123.5 + i / 50 / 86400:.10f}" for i in range(100)]
    path = put(tmp_path / "run.csv", csv_of(times, movement(100)))
    assert len(samples_of(path, WRIST, label="curl", how=Choices(time_unit="d"))) == 9


@pytest.mark.parametrize("stamp", ["27.10.2024 02:59:{:05.2f}", "10/27/2024 02:59:{:05.2f} AM", "02:59:{:05.2f} PM"])
def test_dates_of_a_place_are_refused_with_what_is_read(tmp_path: Path, stamp: str) -> None:
    path = put(tmp_path / "run.csv", csv_of([stamp.format(i / 50) for i in range(100)], movement(100)))
    with pytest.raises(DataError, match=r"write times that grow, as seconds, 12:59:00\.25 or 2024-12-31T"):
        samples_of(path, WRIST, label="curl")


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("uptime_ms", 20), ("millis", 20), ("micros", 20_000), ("seconds", 0.02), ("sensor_timestamp", 20_000_000),
        ("System Time", 20), ("SampleTimeFine", 20_000), ("loggingTime_since1970", 0.02), ("Zeit (s)", 0.02),
        ("timestamp_since_boot [us]", 20_000), ("unixtime", 0.02), ("elapsed time", 0.02), ("time_of_day", 0.02),
    ],
)  # fmt: skip
def test_what_loggers_call_their_clock_is_found(tmp_path: Path, name: str, times: float) -> None:
    text = csv_of((f"{times * i:.6g}" for i in range(100)), movement(100)).replace("timestamp", name, 1)
    assert len(samples_of(put(tmp_path / "run.csv", text), WRIST, label="curl")) == 9


@pytest.mark.parametrize("name", ["reaction_time", "sometimes", "runtime", "index", "counter", "temp"])
def test_other_columns_are_no_clock(name: str) -> None:
    assert time_name(name) is None
