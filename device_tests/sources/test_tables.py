"""Rows of a table are samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError
from edgecl.operations.data import samples_of as given_samples
from edgecl.sources.cells import number_of
from edgecl.sources.named_rows import NamedRows
from edgecl.sources.reading import count_samples
from edgecl.sources.samples import LARGEST, UnusableError
from edgecl.sources.tables import TableEncoding

from ..support.recordings import WRIST, contract_of, npz, put, samples_of

TABLE = contract_of("table", 0.0, ("price", "demand"), 1, 1)


def test_rows_of_a_table_are_samples(tmp_path: Path) -> None:
    path = npz(tmp_path / "t.npz", X=np.array([[1.0, 2.0], [0.0, 0.0]]), y=np.array(["up", "down"]))
    samples = samples_of(path, TABLE)
    assert [sample.signal.tolist() for sample in samples] == [[[1, 2]], [[0, 0]]]


def test_rows_of_a_csv_table_are_samples(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "price,demand,label\n1,2,up\n3,,down\n0,0,down\n")
    samples = samples_of(path, TABLE)
    assert [(sample.label, sample.signal.tolist()) for sample in samples] == [
        ("up", [[1, 2]]),
        ("down", [[0, 0]]),
    ]


def test_a_table_without_labels_names_the_columns_that_may_have_them(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "price,demand,class\n1,2,0\n3,4,1\n")
    with pytest.raises(DataError, match="or the column that has them \\(of class\\)") as raised:
        samples_of(path, TABLE)
    assert raised.value.parameter == "label_column"


MIXED = replace(
    contract_of("table", 0.0, ("price", "price is missing", "city=Oslo", "city=7", "city=Bergen"), 1, 1),
    units=("number", "missing", "category", "category", "category"),
)


@pytest.mark.parametrize(
    "price",
    [1.5, -0.0, 3, True, None, "4", " 5 ", float("nan"), float("inf"), 1e12, 5e12, 10**12 + 1, 1e31, 1 << 60, "x"],
)
@pytest.mark.parametrize("city", ["Oslo", " Bergen", 7, "7", None, "Rome", 7.0])
def test_values_are_read_quickly_as_their_texts_are_or_not_at_all(price: object, city: object) -> None:
    encoding = TableEncoding(MIXED)
    plan = encoding.of_names(["CITY", "note", " price"])
    assert plan is not None
    quick = encoding.quickly([city, "of no column", price], plan)
    try:
        slow = encoding.encode(["" if one is None else str(one) for one in (price, city)])
    except UnusableError:
        slow = None
    assert quick is None or quick == slow
    if isinstance(price, float | int) and city == "Oslo" and not isinstance(price, bool):
        assert (quick is not None) == (abs(price) <= LARGEST)


@pytest.mark.parametrize("names", [["price"], ["price", "city", "City"], ["city", "note"]])
def test_rows_that_lack_a_column_or_have_one_twice_are_not_read_quickly(names: list[str]) -> None:
    assert TableEncoding(MIXED).of_names(names) is None


@pytest.mark.parametrize("cell", ["true", "True", "TRUE", " True "])
def test_a_boolean_is_the_same_category_in_any_case(cell: str) -> None:
    channels = ("paid=false", "paid=true", "city=Oslo")
    encoding = TableEncoding(replace(contract_of("table", 0.0, channels, 1, 1), units=("category",) * 3))
    assert encoding.encode([cell, "rome"]) == [0, 1, 0]
    assert list(encoding.unknown) == ["city"]


def test_a_column_that_the_extractor_takes_is_no_column_of_labels(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "price,demand,label\n1,2,up\n3,4,down\n")
    with pytest.raises(DataError, match="the extractor takes the column Demand, from which") as raised:
        samples_of(path, TABLE, label_column="Demand")
    assert raised.value.parameter == "label_column"
    taken = contract_of("table", 0.0, ("price", "label"), 1, 1)
    unlabelled = put(tmp_path / "u.csv", "price,label\n1,2\n")
    assert [one.label for one in samples_of(unlabelled, taken, labelled=False)] == [None]


@pytest.mark.parametrize("stamps", [["27.10.2024 02:59", "1/2/2024 1:00 PM"], ["", "7"], ["nan", ""]])
def test_times_that_are_not_read_cost_no_row_of_a_table(
    tmp_path: Path, stamps: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    rows = [f"{stamp},1,2,up" for stamp in stamps]
    path = put(tmp_path / "t.csv", "\n".join(["timestamp,price,demand,label", *rows]))
    assert len(samples_of(path, TABLE)) == 2
    assert count_samples(path, TABLE) == 2
    assert caplog.text.count("their order is not checked") == (":" in stamps[0])


def test_a_column_that_single_precision_hardly_tells_apart_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "".join(f"{1_700_000_000 + 5 * row},{row % 3},up\n" for row in range(20))
    samples_of(put(tmp_path / "t.csv", "price,demand,label\n" + text), TABLE)
    told = "the values of 'price', 1700000000 to 1700000095, are hardly told apart in single precision: write the diff"
    assert told in caplog.text
    caplog.clear()
    named = NamedRows(TABLE)
    for row in range(20):
        named.encode({"price": 1_700_000_000 + 5 * row, "demand": row})
    assert told in " ".join(named.encoding.notes())
    rows = np.array([[1_700_000_000 + 5 * row, row] for row in range(20)])
    assert len(list(given_samples(rows, contract=TABLE))) == 20
    assert told in caplog.text


@pytest.mark.parametrize("step", [0, 3600], ids=["constant", "hours"])
def test_large_values_that_are_constant_or_far_apart_are_not_named(
    tmp_path: Path, step: int, caplog: pytest.LogCaptureFixture
) -> None:
    text = "".join(f"{1_700_000_000 + step * row},{row % 3},up\n" for row in range(20))
    samples_of(put(tmp_path / "t.csv", "price,demand,label\n" + text), TABLE)
    assert not caplog.text


@pytest.mark.parametrize("cell", ["-1.5", "\u22121.5", "\u2013 1.5", "(1.5)", "1.5-", " 1.5- "])
def test_a_number_below_zero_is_read_however_it_is_written(tmp_path: Path, cell: str) -> None:
    (sample,) = samples_of(put(tmp_path / "t.csv", f"price,demand,label\n{cell},2,up\n"), TABLE)
    assert sample.signal.tolist() == [[-1.5, 2]]
    rows = [f"{at / 50};{cell.replace('.', ',')};1;2" for at in range(40)]
    path = put(tmp_path / "run.csv", "\n".join(["timestamp;ax;ay;az", *rows]))
    assert samples_of(path, WRIST, label="curl")[0].signal[0].tolist() == [-1.5, 1, 2]


@pytest.mark.parametrize("cell", ["--1.5", "(-1.5)", "()", "-", "1-2", "\u2212", "(1.5", "1.5-x", "\u2212inf", "-1.5-"])
def test_what_is_no_number_stays_none(cell: str) -> None:
    with pytest.raises(ValueError, match="could not convert"):
        number_of(cell)
