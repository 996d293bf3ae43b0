"""Columns by sensor and axis."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecl.errors import DataError
from edgecl.sources.csv_axes import channel_columns, found_by_axis, found_by_spelling

SIX = ["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"]


@pytest.mark.parametrize(
    ("names", "wanted", "expected"),
    [
        (["accel_z", "accel_y", "accel_x"], ["x", "y", "z"], [2, 1, 0]),
        ([f"acceleration {axis} (m/s^2)" for axis in "zxy"], ["acc_x", "acc_y", "acc_z"], [1, 2, 0]),
        (["wx", "wy", "wz", "ax", "ay", "az"], SIX, [3, 4, 5, 0, 1, 2]),
        (["gyr_z", "gyr_y", "gyr_x", "acc_z_g", "acc_y_g", "acc_x_g"], SIX, [5, 4, 3, 2, 1, 0]),
        (
            [f"{kind}.{axis}" for kind in ("angular_velocity", "linear_acceleration") for axis in "xyz"],
            SIX,
            [3, 4, 5, 0, 1, 2],
        ),
        (["temperature", "x", "y"], ["x", "y", "z"], None),
        (["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"], ["x", "y", "z"], None),
        (["one", "two", "three"], ["x", "y", "z"], None),
    ],
)
def test_channels_are_found_by_sensor_and_axis(names: list[str], wanted: list[str], expected: list[int] | None) -> None:
    assert found_by_axis(names, wanted) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Hour of day", "amount"], [1, 0]),
        (["data_hour_of_day", "data_amount"], [1, 0]),
        (["hour-of-day", "amount", "note"], [1, 0]),
        (["data_hour_of_day", "data_amount", "note"], None),  # another table's, for all that is known
        (["old_amount", "new_hour_of_day"], None),
        (["hour_of_day", "hour of day", "amount"], None),
        (["f0", "f1"], None),
    ],
)
def test_columns_in_another_spelling_or_behind_one_prefix_are_found(
    names: list[str], expected: list[int] | None
) -> None:
    assert found_by_spelling([one.lower() for one in names], ["amount", "hour_of_day"]) == expected


@pytest.mark.parametrize(
    ("wanted", "names", "advised"),
    [
        (SIX, ["x", "y", "z"], ("", "like")),  # a phone without a gyroscope
        (SIX, ["x", "y"], ("columns", "")),
        ([f"f{at}" for at in range(6)], [f"f{at}" for at in range(4)], ("columns", "")),  # a table is no sensor
    ],
)
def test_too_few_columns_are_answered_with_what_would_help(
    wanted: list[str], names: list[str], advised: tuple[str, str]
) -> None:
    with pytest.raises(DataError, match=f"has {len(names)} columns") as refused:
        channel_columns(Path("rows.csv"), names, list(range(len(names))), wanted, {})
    assert (refused.value.parameter, refused.value.remedy) == advised
