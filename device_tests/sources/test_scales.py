"""Units of movement, seen from gravity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError
from edgecl.sources.choices import Choices

from ..support.recordings import WRIST, csv_of, movement, npz, put, samples_of

METRIC = replace(WRIST, units=("m/s2",) * 3)
AT_REST = np.array([0.0, 0.0, 9.80665])


def recording(scale: float, *, gravity: bool = True) -> str:
    values = movement(200) * 0.5 + (AT_REST if gravity else 0)
    return csv_of(np.arange(200) / 50, values * scale)


@pytest.mark.parametrize(
    ("scale", "unit"), [(1 / 9.80665, "g"), (1000 / 9.80665, "mg"), (16384 / 9.80665, "raw counts of the sensor")]
)
def test_another_unit_is_refused_with_the_factor_that_settles_it(tmp_path: Path, scale: float, unit: str) -> None:
    path = put(tmp_path / "raw.csv", recording(scale))
    with pytest.raises(DataError, match=f"it looks like {unit}") as raised:
        samples_of(path, METRIC, label="walk")
    assert raised.value.parameter == "scale"
    settled = samples_of(path, METRIC, label="walk", how=Choices(scale={"a": 1 / scale}))
    expected = samples_of(put(tmp_path / "good.csv", recording(1)), METRIC, label="walk")
    np.testing.assert_allclose(settled[0].signal, expected[0].signal, rtol=1e-4, atol=1e-4)


def test_metres_per_second_squared_where_g_is_stated_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "metric.csv", recording(1))
    with pytest.raises(DataError, match="it looks like m/s2"):
        samples_of(path, replace(WRIST, units=("g",) * 3), label="walk")


def test_a_factor_of_one_takes_values_as_they_are(tmp_path: Path) -> None:
    path = put(tmp_path / "g.csv", recording(1 / 9.80665))
    assert samples_of(path, METRIC, label="walk", how=Choices(scale={"ax": 1.0}))


@pytest.mark.parametrize("gravity", [True, False])
def test_movement_with_and_without_gravity_passes(tmp_path: Path, gravity: bool) -> None:
    assert samples_of(put(tmp_path / "m.csv", recording(1, gravity=gravity)), METRIC, label="walk")


def test_windows_in_g_are_refused_and_a_channel_that_is_none_is_named(tmp_path: Path) -> None:
    X = (movement(80).reshape(4, 20, 3) * 0.05 + AT_REST / 9.80665).astype(np.float32)
    path = npz(tmp_path / "w.npz", X=X, y=np.arange(4) % 2, rate_hz=50)
    with pytest.raises(DataError, match="it looks like g"):
        samples_of(path, METRIC)
    with pytest.raises(DataError, match="no channel begins with gyro"):
        samples_of(path, METRIC, how=Choices(scale={"gyro": 2.0}))


@pytest.mark.parametrize("scale", [1 / 9.80665, 1000 / 9.80665, 16384 / 9.80665])
def test_a_unit_that_changes_further_on_is_refused_with_its_place(tmp_path: Path, scale: float) -> None:
    values = movement(1400) * 0.5 + AT_REST
    values[800:] *= scale
    path = put(tmp_path / "long.csv", csv_of(np.arange(1400) / 50, values))
    with pytest.raises(DataError, match=r"long.csv:\d+ and those after it: gravity is .* in two") as raised:
        samples_of(path, METRIC, label="walk")
    assert raised.value.parameter == "scale"
    assert len(samples_of(path, METRIC, label="walk", how=Choices(scale={"a": 1.0}))) == 139
