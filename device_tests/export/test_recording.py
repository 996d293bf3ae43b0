"""Recordings to calibrate an extractor by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the exporter needs the extra [export]")

from edgecl_export import export_imu

from edgecl.errors import DataError

pytestmark = pytest.mark.host


def recording(tmp_path: Path, *, gravity: float, time: str = "Time (s)", unit: float = 1.0) -> Path:
    values = np.random.default_rng(0).normal(size=(600, 3)) * 0.1 * gravity + [0, 0, gravity]
    rows = [",".join([str(index / 50 * unit), *map(str, row)]) for index, row in enumerate(values)]
    path = tmp_path / "r.csv"
    path.write_text("\n".join([f"{time},acc_x,acc_y,acc_z", *rows]) + "\n")
    return path


@pytest.mark.parametrize(("gravity", "unit"), [(9.81, "m/s2"), (1.0, "g"), (3.0, "unit")])
def test_rate_window_channels_and_unit_are_those_of_the_recording(tmp_path: Path, gravity: float, unit: str) -> None:
    contract = export_imu(tmp_path / "made.onnx", recording(tmp_path, gravity=gravity))
    assert (contract.sample_rate_hz, contract.window_samples) == (50.0, 100)
    assert contract.channels == ("acc_x", "acc_y", "acc_z")
    assert contract.units == (unit,) * 3


def test_times_in_milliseconds_give_the_same_rate(tmp_path: Path) -> None:
    path = recording(tmp_path, gravity=1.0, time="ts", unit=1000.0)
    assert export_imu(tmp_path / "made.onnx", path).sample_rate_hz == 50.0


def test_a_commented_row_of_units_and_a_column_without_a_name_are_passed_over(tmp_path: Path) -> None:
    path = recording(tmp_path, gravity=9.81, time="timestamp")
    first, *rows = path.read_text().splitlines()
    indexed = [f"{at},{row}" for at, row in enumerate(rows)]
    path.write_text("\n".join([f",{first}", "#,s,m/s2,m/s2,m/s2", *indexed]))
    contract = export_imu(tmp_path / "made.onnx", path)
    assert (contract.sample_rate_hz, contract.channels) == (50.0, ("acc_x", "acc_y", "acc_z"))


def test_a_recording_without_times_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column timestamp"):
        export_imu(tmp_path / "made.onnx", recording(tmp_path, gravity=1.0, time="clock"))
