"""Columns: names, order, delimiters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError
from edgecl.extractors.contract import Contract
from edgecl.sources.choices import Choices
from edgecl.sources.reading import read_samples

from ..support.recordings import WRIST, csv_of, movement, put, samples_of, skips_of


def test_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    rows = ["AZ,comment,ax,timestamp,ay"] + [f"3,x,1,{i / 50},2" for i in range(40)]
    samples = samples_of(put(tmp_path / "run.csv", "\n".join(rows)), WRIST, label="curl")
    assert samples[0].signal[0].tolist() == [1, 2, 3]


def test_columns_of_other_names_are_taken_in_order_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ["timestamp,x,y,z"] + [f"{i / 50},1,2,3" for i in range(40)]
    samples = samples_of(put(tmp_path / "run.csv", "\n".join(rows)), WRIST, label="curl")
    assert samples[0].signal[0].tolist() == [1, 2, 3]
    assert "x, y, z are taken as ax, ay, az" in caplog.text


def test_columns_of_which_one_has_another_name_are_refused_until_it_is_settled(tmp_path: Path) -> None:
    rows = ["timestamp,ax,ay,light"] + [f"{i / 50},1,2,{i}" for i in range(40)]
    path = put(tmp_path / "run.csv", "\n".join(rows))
    with pytest.raises(DataError, match="there is no column az, and light is none that the extractor takes") as raised:
        samples_of(path, WRIST, label="curl")
    assert raised.value.parameter == "columns"
    settled = samples_of(path, WRIST, label="curl", how=Choices(columns={"az": "light"}))
    assert settled[0].signal[3].tolist() == [1, 2, 3]


def test_a_column_of_words_is_named_where_a_label_is_missing(tmp_path: Path) -> None:
    rows = ["timestamp,ax,ay,az,activity"] + [f"{i / 50},1,2,{i},curl" for i in range(40)]
    with pytest.raises(DataError, match=r"has no labels.*or the column that has them \(of activity\)") as raised:
        samples_of(put(tmp_path / "run.csv", "\n".join(rows)), WRIST)
    assert raised.value.parameter == "label_column"


def test_columns_between_bars_are_read(tmp_path: Path) -> None:
    rows = ["timestamp|ax|ay|az"] + [f"{i / 50}|1|2|3" for i in range(40)]
    assert len(samples_of(put(tmp_path / "run.csv", "\n".join(rows)), WRIST, label="curl")) == 3


@pytest.mark.parametrize("names", [("Acc X (g)", "Acc Y (g)", "Acc Z (g)"), ("acc_x_g", "acc_y_g", "acc_z_g")])
def test_columns_that_state_another_unit_are_refused_until_it_is_settled(
    tmp_path: Path, names: tuple[str, str, str]
) -> None:
    contract = replace(WRIST, units=("m/s2",) * 3, channels=("acc_x", "acc_y", "acc_z"))
    rows = [",".join(("timestamp", *names))] + [f"{i / 50},0,{i % 3},9.8" for i in range(40)]
    path = put(tmp_path / "run.csv", "\n".join(rows))
    with pytest.raises(DataError, match="states g, the extractor takes m/s2") as raised:
        samples_of(path, contract, label="curl")
    assert raised.value.parameter == "scale"
    assert samples_of(path, contract, label="curl", how=Choices(scale={"acc": 1.0}))[0].signal[0, 2] == np.float32(9.8)


def test_columns_that_state_the_unit_of_the_extractor_pass(tmp_path: Path) -> None:
    contract = replace(WRIST, units=("m/s2",) * 3, channels=("acc_x", "acc_y", "acc_z"))
    rows = ["timestamp,acc_x (m/s^2),acc_y (m/s^2),acc_z (m/s^2)"] + [f"{i / 50},0,{i % 3},9.8" for i in range(40)]
    assert samples_of(put(tmp_path / "run.csv", "\n".join(rows)), contract, label="curl")


@pytest.mark.parametrize(
    "content", ["timestamp,ax,ay,az\n".encode("utf-16-le"), b"PK\x03\x04" + bytes(99), b"\x1f\x8b\0\0"]
)
def test_a_table_that_is_no_text_says_so(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match="is no text in UTF-8"):
        samples_of(put(tmp_path / "run.csv", content), WRIST, label="curl")


@pytest.mark.parametrize("name", ["run.xlsx", "run.txt"])
def test_a_table_of_another_kind_is_to_be_saved_as_csv(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"of no known kind.*; save it as \.csv"):
        samples_of(put(tmp_path / name, "x"), WRIST, label="curl")


def test_header_that_is_no_utf8_can_be_printed(tmp_path: Path) -> None:
    path = put(tmp_path / "run.csv", "timestamp,Höhe\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"1 columns of measurements \(h.he\)"):
        read_samples(path, WRIST, label="curl")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_decimal_commas_are_read(tmp_path: Path, delimiter: str) -> None:
    rows = [delimiter.join(("timestamp", "ax", "ay", "az"))]
    rows += [delimiter.join((f"{i / 50}".replace(".", ","), "1,5", "2", "3")) for i in range(40)]
    samples = samples_of(put(tmp_path / "run.csv", "\ufeff" + "\r\n".join(rows)), WRIST, label="curl")
    assert samples[0].signal[0].tolist() == [1.5, 2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("clock,ax,ay,az\n0,1,2,3\n", "no column timestamp, only clock, ax, ay, az"),
        ("timestamp,ax,ay\n0,1,2\n.02,1,2\n", r"2 columns of measurements \(ax, ay\), the extractor takes 3"),
        ("timestamp,ax,ax,az\n", "two columns of the same name"),
        ("timestamp,ax,ay,az\n", "holds 0 rows"),
        ("timestamp,ax,ay,az\nx,1,2,3\ny,1,2,3\n", "neither as a number"),
        (csv_of(np.arange(30), movement(30)), r"wrong rate: 1 Hz \(timestamps read as seconds\)"),
    ],
)
def test_csv_that_cannot_be_read_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_samples(put(tmp_path / "run.csv", text), WRIST, label="curl")


def test_axes_in_another_order_are_matched(tmp_path: Path) -> None:
    text = csv_of(np.arange(50) / 50, movement(50))
    expected = samples_of(put(tmp_path / "xyz.csv", text), WRIST, label="go")
    rows = [line.split(",") for line in text.splitlines()[1:]]
    turned = "timestamp,accel_z,accel_y,accel_x\n" + "\n".join(",".join([t, z, y, x]) for t, x, y, z in rows)
    found = samples_of(put(tmp_path / "zyx.csv", turned), WRIST, label="go")
    np.testing.assert_array_equal(found[0].signal, expected[0].signal)


def test_axes_that_cannot_be_matched_are_refused_until_columns_are_given(tmp_path: Path) -> None:
    text = csv_of(np.arange(50) / 50, movement(50)).replace("timestamp,ax,ay,az", "timestamp,gyro_z,mag_y,acc_x")
    path = put(tmp_path / "odd.csv", text)
    with pytest.raises(DataError, match="3 columns of measurements") as raised:
        samples_of(path, WRIST, label="go")
    assert raised.value.parameter == "columns"
    assert samples_of(path, WRIST, label="go", how=Choices(columns={"ax": "acc_x", "ay": "mag_y", "az": "gyro_z"}))


@pytest.mark.parametrize(
    ("name", "scale"),
    [("time", 1e9), ("Time (s)", 1), ("seconds_elapsed", 1), ("ts", 1000), ("timestamp_ms", 1000), ("time [us]", 1e6)],
)
def test_times_are_found_as_loggers_call_them(tmp_path: Path, name: str, scale: float) -> None:
    text = csv_of((np.arange(50) / 50 * scale).tolist(), movement(50)).replace("timestamp", name)
    assert samples_of(put(tmp_path / "log.csv", text), WRIST, label="go")


def test_a_column_of_times_can_be_named(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", csv_of(np.arange(50) / 50, movement(50)).replace("timestamp", "clock"))
    with pytest.raises(DataError, match="no column timestamp, only clock") as raised:
        samples_of(path, WRIST, label="go")
    assert raised.value.parameter == "time_column"
    assert samples_of(path, WRIST, label="go", how=Choices(time_column="Clock"))


def test_a_unit_that_does_not_fit_the_rate_is_refused_until_it_is_given(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", csv_of(np.arange(50) / 50, movement(50)).replace("timestamp", "timestamp_ms"))
    with pytest.raises(DataError, match="wrong unit: timestamps read as milliseconds") as raised:
        samples_of(path, WRIST, label="go")
    assert raised.value.parameter == "time_unit"
    assert samples_of(path, WRIST, label="go", how=Choices(time_unit="s"))


def test_times_coarser_than_the_rate_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "log.csv", csv_of(np.arange(200) // 50, movement(200)))
    with pytest.raises(DataError, match="repeat the time of the row before"):
        samples_of(path, WRIST, label="go")


@pytest.mark.parametrize(
    "before", ["sep=,\n", "# made by a logger\n", "// one\n# two\n\n", '"sep=,"\n'], ids=["sep", "#", "//", "quoted"]
)
def test_lines_before_the_header_are_passed_over(tmp_path: Path, before: str) -> None:
    text = csv_of(np.arange(50) / 50, movement(50))
    expected = samples_of(put(tmp_path / "plain.csv", text), WRIST, label="go")
    found = samples_of(put(tmp_path / "headed.csv", before + text + "# the end\n"), WRIST, label="go")
    np.testing.assert_array_equal(found[0].signal, expected[0].signal)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_excel_writes_other_encodings_tabs_and_commas(tmp_path: Path, encoding: str) -> None:
    text = csv_of(np.arange(50) / 50, movement(50))
    expected = samples_of(put(tmp_path / "plain.csv", text), WRIST, label="go")
    excel = text.replace(",", "\t").replace(".", ",").encode(encoding)
    found = samples_of(put(tmp_path / "excel.csv", excel), WRIST, label="go")
    np.testing.assert_array_equal(found[0].signal, expected[0].signal)


@pytest.mark.parametrize("cell", ["nan", "None", "null", "", "N/A"])
def test_a_label_cell_that_stands_for_a_missing_one_is_skipped(tmp_path: Path, cell: str) -> None:
    labels = ["go"] * 40 + [cell] + ["go"] * 40
    path = put(tmp_path / "l.csv", csv_of(np.arange(81) / 50, movement(81), {"label": labels}))
    assert [skip.reason.partition(":")[0] for skip in skips_of(path, WRIST)] == ["no label"]
    assert {one.label for one in samples_of(path, WRIST)} == {"go"}


def imu_table(folder: Path) -> tuple[Path, Contract]:
    """Acceleration and rotation whose columns state units that the extractor does not take."""
    channels = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
    contract = replace(WRIST, units=("m/s2",) * 3 + ("rad/s",) * 3, channels=channels)
    names = [f"{name} ({'g' if name[0] == 'a' else 'dps'})" for name in channels]
    rows = [",".join(("timestamp", *names))] + [f"{i / 50},0,{i % 3 / 9},1,{i % 5},3,{i % 7}" for i in range(40)]
    return put(folder / "run.csv", "\n".join(rows)), contract


def test_one_factor_does_not_settle_the_units_of_other_channels(tmp_path: Path) -> None:
    path, contract = imu_table(tmp_path)
    with pytest.raises(DataError, match=r"acc=9\.80665,gyro=0\.0174533"):
        samples_of(path, contract, label="curl")
    with pytest.raises(DataError, match="states deg/s, the extractor takes rad/s"):
        samples_of(path, contract, label="curl", how=Choices(scale={"acc": 9.80665}))
    assert samples_of(path, contract, label="curl", how=Choices(scale={"acc": 9.80665, "gyro": 0.0174533}))


def test_chosen_columns_state_their_units_too(tmp_path: Path) -> None:
    path, contract = imu_table(tmp_path)
    chosen = {name: f"{name} ({'g' if name[0] == 'a' else 'dps'})" for name in contract.channels}
    with pytest.raises(DataError, match="states g, the extractor takes m/s2"):
        samples_of(path, contract, label="curl", how=Choices(columns=chosen))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("timestamp ax ay az\n0 1 2 3\n0.02 1 2 3\n", "separated by blanks: save it with commas"),
        ("timestamp,ax,ay,az\n0,0,1,5,2,5,3,5\n0,02,1,5,2,5,3,5\n", "its rows have 8 cells"),
        ("timestamp,ax,ay,az\n1.2.24 00:01.00,1,2,3\n1.2.24 00:01.02,1,2,3\n", "write times that grow"),
    ],
)
def test_tables_that_cannot_be_read_say_what_to_do(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        samples_of(put(tmp_path / "t.csv", content), WRIST, label="walk")


def test_columns_without_a_name_are_no_measurements(tmp_path: Path) -> None:
    rows = [",timestamp,gFx,gFy,gFz,"] + [f"{i},{i / 50},1,2,3," for i in range(40)]
    samples = samples_of(put(tmp_path / "run.csv", "\n".join(rows)), WRIST, label="curl")
    assert samples[0].signal[0].tolist() == [1, 2, 3]


def test_columns_of_another_sensor_are_not_taken_in_order(tmp_path: Path) -> None:
    rows = ["timestamp,mag_x,mag_y,mag_z"] + [f"{i / 50},1,2,{i}" for i in range(40)]
    path = put(tmp_path / "run.csv", "\n".join(rows))
    with pytest.raises(DataError, match=r"3 columns of measurements \(mag_x, mag_y, mag_z\)") as raised:
        samples_of(path, WRIST, label="curl")
    assert raised.value.parameter == "columns"
    how = Choices(columns={"ax": "mag_x", "ay": "mag_y", "az": "mag_z"})
    assert samples_of(path, WRIST, label="curl", how=how)
