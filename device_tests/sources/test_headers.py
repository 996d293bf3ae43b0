"""The line of column names: in a comment, and again further down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgecl.errors import DataError
from edgecl.sources.csv_rows import read_live
from edgecl.sources.headers import header_line, without_headers
from edgecl.sources.samples import SkipTally

from ..support.recordings import WRIST, contract_of, put, samples_of, skips_of

TABLE = contract_of("table", 0.0, ("price", "demand"), 1, 1)
WORDS = replace(contract_of("table", 0.0, ("city=oslo", "city=rome"), 1, 1), units=("category", "category"))
TEXT = contract_of("text", 0.0, ("utf8",), 1, 1)
NAMES = "timestamp,ax,ay,az"


def moved(first: int, count: int = 40) -> list[str]:
    return [f"{at / 50},1,2,3" for at in range(first, first + count)]


def test_names_in_a_comment_before_rows_are_those_of_the_columns(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "# written by numpy\n# demand,price,label\n1,2,up\n\n3,4,down\n")
    assert [(one.source, one.label, one.signal.tolist()) for one in samples_of(path, TABLE)] == [
        (f"{path}:3", "up", [[2, 1]]),
        (f"{path}:5", "down", [[4, 3]]),
    ]
    run = put(tmp_path / "run.csv", "\n".join([f"# {NAMES}", *moved(0)]))
    assert samples_of(run, WRIST, label="curl")[0].signal[0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("before", ["# a note", "# a, b", "# 7,8,9", "# a,,c", "# sep"])
def test_any_other_comment_names_nothing(before: str) -> None:
    assert header_line(iter([f"{before}\n", "x,2,3\n", "4,5,6\n"]))[:3] == ("x,2,3\n", ",", [])
    assert header_line(iter(["# p,q,r\n", "x,y,z\n", "4,5,6\n"]))[:3] == ("x,y,z\n", ",", [])


@pytest.mark.parametrize("mark", ["", "\ufeff", "# "])
def test_a_header_that_comes_again_is_no_row(tmp_path: Path, mark: str) -> None:
    path = put(tmp_path / "t.csv", f"city,label\noslo,up\n{mark}City, label\nrome,down\n")
    assert [one.label for one in samples_of(path, WORDS)] == ["up", "down"]
    assert skips_of(path, WORDS) == []
    run = put(tmp_path / "run.csv", "\n".join([NAMES, *moved(0), NAMES, *moved(40)]))
    assert skips_of(run, WRIST, label="curl") == []
    assert len(samples_of(run, WRIST, label="curl")) == len(
        samples_of(put(tmp_path / "whole.csv", "\n".join([NAMES, *moved(0), *moved(40)])), WRIST, label="curl")
    )
    texts = put(tmp_path / "texts.csv", "text,label\nwhere is it,parcel\ntext,label\nstop,end\n")
    assert [one.label for one in samples_of(texts, TEXT)] == ["parcel", "end"]


@pytest.mark.parametrize("again", ["timestamp,az,ay,ax", "time,ax,ay,az", "timestamp,ax,ay,az,light"])
def test_other_columns_further_down_refuse_the_file(tmp_path: Path, again: str) -> None:
    path = put(tmp_path / "run.csv", "\n".join([NAMES, *moved(0), again, *moved(40)]))
    with pytest.raises(DataError, match=r"line 42 names the columns again, .* cut the file in two there"):
        samples_of(path, WRIST, label="curl")


def test_columns_that_changed_places_in_a_table_refuse_it(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "price,demand,label\n1,2,up\ndemand,price,label\n2,1,up\n")
    with pytest.raises(DataError, match="line 3 names the columns again"):
        samples_of(path, TABLE)


@pytest.mark.parametrize(
    "row", [["left", "right", "left"], ["left", "5", "6"], ["left", "up", "down"], ["7", "8", "9"]]
)
def test_a_row_that_has_names_of_columns_in_it_is_a_row(row: list[str]) -> None:
    assert list(without_headers(iter([(2, row)]), ["left", "right", "label"], "t.csv")) == [(2, row)]


def test_a_logger_that_starts_again_writes_its_header_again() -> None:
    cells = [NAMES.split(",")] + [row.split(",") for row in [*moved(0), NAMES, *moved(40)]]
    tally = SkipTally("a pipe")
    live = read_live(iter(enumerate(cells)), "a pipe", WRIST, tally, delimiter=",")
    assert (len(list(live.rows)), dict(tally.counts)) == (80, {})
    cells[41] = ["timestamp", "az", "ay", "ax"]
    with pytest.raises(DataError, match="names the columns again"):
        list(read_live(iter(enumerate(cells)), "a pipe", WRIST, tally, delimiter=",").rows)


@pytest.mark.parametrize("first", ["1.5,2,3", "7,7,8", "1e3,-2,0"])
def test_a_table_without_a_header_says_so(tmp_path: Path, first: str) -> None:
    with pytest.raises(DataError, match="has no header: its first line is"):
        samples_of(put(tmp_path / "t.csv", f"{first}\n4,5,6\n"), TABLE, label="up")


def test_a_column_that_is_called_like_a_comment_is_no_column(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "#,price,demand,label\n0,1,2,up\n1,3,4,down\n")
    assert [one.signal.tolist() for one in samples_of(path, TABLE)] == [[[1, 2]], [[3, 4]]]
    numbered = contract_of("table", 0.0, ("0", "1"), 1, 1)
    assert len(samples_of(put(tmp_path / "n.csv", "0,1\n4,5\n"), numbered, label="up")) == 1


def test_titles_of_a_spreadsheet_above_the_header_are_passed_over(tmp_path: Path) -> None:
    above = "Report 2024;;;\n;;;\nMade by hand;;;\n\n"
    rows = [f"{at / 50};1;2;{at}" for at in range(40)]
    path = put(tmp_path / "run.csv", above + "\n".join(["timestamp;ax;ay;az", *rows]))
    samples = samples_of(path, WRIST, label="curl")
    assert len(samples) == 3
    assert samples[0].source == f"{path}:6"
    table = contract_of("table", 0.0, ("price", "demand"), 1, 1)
    path = put(tmp_path / "t.csv", "Prices,,\nprice,demand,label\n1,2,up\n")
    assert [one.source for one in samples_of(path, table)] == [f"{path}:3"]


@pytest.mark.parametrize("count", [1, 3, 7, 8, 20])
def test_a_table_of_one_named_column_has_no_title(tmp_path: Path, count: int) -> None:
    path = put(tmp_path / "t.csv", "text,,\n" + "".join(f"hello {at},,\n" for at in range(count)))
    samples = samples_of(path, TEXT, label="greeting")
    assert [one.source for one in samples] == [f"{path}:{at + 2}" for at in range(count)]
