"""Columns: names, order, delimiters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError
from edgecl.sources.reading import read_samples

from ..support.recordings import WRIST, csv_of, movement, put, samples_of


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
