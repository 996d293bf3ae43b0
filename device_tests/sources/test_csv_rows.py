"""Rows that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..support.recordings import WRIST, contract_of, csv_of, movement, put, samples_of, skips_of


def test_bad_rows_are_skipped_with_their_line(tmp_path: Path) -> None:
    lines = csv_of(np.arange(60) / 50, movement(60)).splitlines()
    lines[10] = "0.18,1,2"
    lines[20] = "0.38,1,2,x"
    lines[30] = "0.58,1,nan,3"
    lines[40] = "soon,1,2,3"
    lines[50] = "0.5,1,2,3"
    path = put(tmp_path / "run.csv", "\n".join(lines))
    skips = [(skip.source, skip.reason.partition(":")[0]) for skip in skips_of(path, WRIST, label="curl")]
    assert skips == [
        (f"{path}:11", "ragged row"),
        (f"{path}:21", "not a number"),
        (f"{path}:31", "not finite"),
        (f"{path}:41", "bad timestamp"),
        (f"{path}:51", "unsorted time"),
    ]
    assert len(samples_of(path, WRIST, label="curl")) == 5


def test_many_bad_rows_are_listed_twenty_times_and_counted(tmp_path: Path) -> None:
    text = csv_of(np.arange(60) / 50, movement(60)) + "1.2,1\n" * 1000
    skips = skips_of(put(tmp_path / "run.csv", text), WRIST, label="curl")
    assert len(skips) == 21
    assert skips[-1].reason == "ragged row: 980 more like the 20 listed"


def test_rows_without_a_label_are_skipped_only_if_labels_are_needed(tmp_path: Path) -> None:
    extra = {"label": [""] * 30 + ["curl"] * 30}
    path = put(tmp_path / "run.csv", csv_of(np.arange(60) / 50, movement(60), extra))
    assert {sample.label for sample in samples_of(path, WRIST)} == {"curl"}
    assert {sample.label for sample in samples_of(path, WRIST, labelled=False)} == {None, "curl"}


def test_a_row_that_begins_as_a_comment_does_is_a_row_if_it_has_all_cells(tmp_path: Path) -> None:
    contract = contract_of("table", 0.0, ("size",), 1, 1)
    text = "# a list, by hand\ncolour,size,label\n#ff0000,1,hot\nblue,2,cold\n# the rest\n#00ff00,3,mild\n"
    samples = samples_of(put(tmp_path / "t.csv", text), contract)
    assert [one.label for one in samples] == ["hot", "cold", "mild"]
    assert [one.source.rpartition(":")[2] for one in samples] == ["3", "4", "6"]


def test_a_delimiter_that_ends_every_row_is_no_cell(tmp_path: Path) -> None:
    rows = [f"{at / 50},1,2,3," for at in range(40)]
    path = put(tmp_path / "run.csv", "\n".join(["timestamp,ax,ay,az", *rows, "0.8,1,2,3,5", "0.82,1,2,3"]))
    assert len(samples_of(path, WRIST, label="curl")) == 3
    assert [one.reason for one in skips_of(path, WRIST, label="curl")] == ["ragged row: 5 cells, the header has 4"]


def test_one_row_that_ends_in_a_delimiter_is_ragged(tmp_path: Path) -> None:
    rows = [f"{at / 50},1,2,3" for at in range(40)]
    path = put(tmp_path / "run.csv", "\n".join(["timestamp,ax,ay,az", *rows, "0.8,1,2,3,"]))
    assert [one.reason for one in skips_of(path, WRIST, label="curl")] == ["ragged row: 5 cells, the header has 4"]
