"""The extractor for tables: what its contract says, what its graph answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError, SettingError
from edgecl.extractors.opening import open_extractor
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample
from edgecl.sources.tables import TableEncoding

pytest.importorskip("onnx", reason="the exporter needs the extra [export]")

from edgecl_export import export_table

pytestmark = pytest.mark.host
LIKE = "when,size,label\nmon,1,a\ntue,3,b\nmon,,a\nwed,2,b\n"


def exported(folder: Path, text: str = LIKE, **more: object):
    like = folder / "like.csv"
    like.write_text(text)
    export_table(folder / "t.onnx", like, **more)  # type: ignore[arg-type]
    return open_extractor(folder / "t.onnx")


def latent(extractor, *cells: str) -> list[float]:
    values = TableEncoding(extractor.contract).encode(cells)
    return extractor.latents([np.array([values], np.float32)])[0].round(4).tolist()


def test_numbers_are_scaled_categories_spread_and_missing_ones_marked(tmp_path: Path) -> None:
    extractor = exported(tmp_path)
    assert extractor.contract.channels == ("size", "size is missing", "when=mon", "when=tue", "when=wed")
    assert TableEncoding(extractor.contract).columns == ["size", "when"]
    assert latent(extractor, "2", "tue") == [0, 0, 0, 1, 0]
    assert latent(extractor, "3", "mon") == [pytest.approx(1.2247), 0, 1, 0, 0]
    assert latent(extractor, "?", "wed") == [0, 1, 0, 0, 1]
    assert latent(extractor, "1e9", "sun") == [8, 0, 0, 0, 0]


def test_columns_without_missing_values_have_no_place_for_them_in_the_latent(tmp_path: Path) -> None:
    extractor = exported(tmp_path, "a,label\n1,x\n2,y\n3,x\n")
    assert extractor.contract.dimension == 1
    assert latent(extractor, "") == [0]


def test_numbers_that_are_names_become_categories_where_asked(tmp_path: Path) -> None:
    extractor = exported(tmp_path, "code,label\n10,x\n20,y\n10,x\n", categories=["code"])
    assert extractor.contract.channels == ("code=10", "code=20")


@pytest.mark.parametrize(
    ("text", "more", "error", "message"),
    [
        ("", {}, DataError, "holds no rows"),
        ("a,b\n", {}, DataError, "holds no rows"),
        (LIKE, {"label_column": "y"}, SettingError, "has no column y, only when, size, label"),
        ("a=b,label\n1,x\n", {}, SettingError, "may not hold '='"),
        ("label\nx\n", {}, DataError, "has no columns but label"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, text, more, error, message) -> None:
    with pytest.raises(error, match=message):
        exported(tmp_path, text, **more)


@pytest.mark.parametrize("asked", ["label_column", "categories"])
def test_a_column_that_is_not_there_names_what_asked_for_it(tmp_path: Path, asked: str) -> None:
    value = "y" if asked == "label_column" else ["y"]
    with pytest.raises(SettingError, match="has no column y") as raised:
        exported(tmp_path, LIKE, **{asked: value})
    assert raised.value.parameter == asked


@pytest.mark.parametrize(
    "content",
    [
        b"sep=;\r\nsize;when;label\r\n1,5;mon;a\r\n2,5;tue;b\r\n",
        "\ufeffsize\twhen\tlabel\r\n1,5\tmon\ta\r\n2,5\ttue\tb\r\n".encode("utf-16-le"),
        b"# by hand\n\nsize|when|label\n1.5|mon|a\n2.5|tue|b\n",
        b",size,when,label,\n0,1.5,mon,a,\n1,2.5,tue,b,\n",
    ],
)
def test_a_table_is_read_as_a_lesson_of_it_is(tmp_path: Path, content: bytes) -> None:
    like = tmp_path / "like.csv"
    like.write_bytes(content)
    export_table(tmp_path / "t.onnx", like)
    contract = open_extractor(tmp_path / "t.onnx").contract
    assert contract.channels == ("size", "size is missing", "when=mon", "when=tue")
    samples = [one for one in read_samples(like, contract) if isinstance(one, Sample)]
    assert [(one.signal.tolist(), one.label) for one in samples] == [([[1.5, 0, 1, 0]], "a"), ([[2.5, 0, 0, 1]], "b")]


def test_json_lines_make_the_extractor_that_their_table_makes(tmp_path: Path) -> None:
    rows = [
        {"size": at % 7, "city": "Oslo" if at % 3 else "", "ok": at % 5 > 0, "label": at % 2} for at in range(1, 41)
    ]
    lines = [json.dumps({name: value for name, value in row.items() if value != ""}) for row in rows]
    cells = [",".join(map(str, row.values())) for row in rows]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    (tmp_path / "rows.csv").write_text("\n".join(["size,city,ok,label", *cells]))
    found = []
    for form in ("jsonl", "csv"):
        export_table(tmp_path / f"{form}.onnx", tmp_path / f"rows.{form}")
        extractor = open_extractor(tmp_path / f"{form}.onnx")
        samples = [*read_samples(tmp_path / f"rows.{form}", extractor.contract)]
        assert len(samples) == len(rows)
        found.append((extractor.contract.channels, extractor.latents([one.signal for one in samples]).tolist()))
    assert found[0] == found[1]


def test_a_table_that_is_no_utf8_says_so(tmp_path: Path) -> None:
    like = tmp_path / "like.csv"
    like.write_bytes("size,city,label\n1,Köln,a\n".encode("latin-1"))
    with pytest.raises(DataError, match="is no text in UTF-8"):
        export_table(tmp_path / "t.onnx", like)


@pytest.mark.parametrize("form", ["${:,.2f}", "{:.1f} %", "{:.1f} km/h", "{:,.2f}", "{:.2f}€"])
def test_numbers_that_are_written_as_texts_are_no_categories_unless_it_is_settled(tmp_path: Path, form: str) -> None:
    rows = [f'"{form.format(1000 + 7.5 * row)}",{row % 2},{"ab"[row % 2]}' for row in range(50)]
    text = "\n".join(["amount,other,label", *rows])
    with pytest.raises(DataError, match="'amount' holds numbers written as text") as raised:
        exported(tmp_path, text)
    assert raised.value.parameter == "categories"
    assert exported(tmp_path, text, categories=["amount"]).contract.channels[-1].startswith("amount=")


@pytest.mark.parametrize("form", ["{} AB", "{}A", "{}th", "{}X"])
def test_numbers_with_letters_that_are_no_unit_are_categories(tmp_path: Path, form: str) -> None:
    seats = iter("ABCDEF" * 10)
    values = [form.format(1000 + row) if form != "{}A" else f"{row}{next(seats)}" for row in range(50)]
    text = "\n".join(["place,label", *(f"{one},{'ab'[row % 2]}" for row, one in enumerate(values))])
    assert exported(tmp_path, text).contract.channels[-1].startswith("place=")


def test_numbers_that_can_be_read_in_two_ways_are_refused(tmp_path: Path) -> None:
    rows = [f"{900 + 10 * row:,}\t{'ab'[row % 2]}" for row in range(30)]
    with pytest.raises(DataError, match="'size' can be read in two ways, '1,000'"):
        exported(tmp_path, "\n".join(["size\tlabel", *rows]))
    assert exported(tmp_path, "\n".join(["size\tlabel", *rows, "1,25\ta"])).contract.channels[0] == "size"


def test_few_values_with_a_unit_are_categories(tmp_path: Path) -> None:
    text = "size,label\n10 cm,a\n20 cm,b\n10 cm,a\n"
    assert exported(tmp_path, text).contract.channels == ("size=10 cm", "size=20 cm")


def test_columns_that_give_the_label_away_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        f"{row + 7},{row * row % 11},{'xyz'[row % 3]},uuid-{row * 7919 % 9973},{'abc'[row % 3]}" for row in range(100)
    ]
    exported(tmp_path, "\n".join(["id,size,target,key,label", *rows]))
    assert "'id' counts the rows" in caplog.text
    assert "'target' has one value for each label" in caplog.text
    assert "'key' has 100 values" in caplog.text
    assert "'size'" not in caplog.text


@pytest.mark.parametrize(
    ("cells", "labels", "note"),
    [
        (["no", "card", "no", "refund"] * 9, ["fair", "fraud"] * 18, "has 3 values, each with one label alone"),
        (["no", "card", "no", "refund"] * 9, [*["fair", "fraud"] * 17, "", ""], "has 3 values, each with one label"),
        (["x", "", "y", "x"] * 9, ["a", "b", "a", "c"] * 9, "is empty where the label is 'b', and nowhere else"),
        ([f"{at}.5" if at % 3 else "" for at in range(90)], ["a", "b", "b"] * 30, "is empty where the label is 'a'"),
        (["", "", f"{7}.5"] * 30, ["a", "b", "c"] * 30, "is filled in where the label is 'c', and nowhere else"),
        (["no", "card", "no", "refund"] * 9 + ["no"], [*["fair", "fraud"] * 18, "fraud"], ""),
        ([f"{at * 7 % 30}.5" for at in range(30)], ["a", "b"] * 15, ""),  # few rows, most of their values once
        ([f"{at % 28}.5" for at in range(34)], ["a", "b"] * 17, ""),
        (["a", "b"] * 40 + ["c"], ["fair"] * 80 + ["fraud"], ""),  # one row of a class says little
        ([f"{at}.5" if at % 3 else "" for at in range(90)], ["a", "b"] * 45, ""),
    ],
)
def test_columns_that_are_written_after_the_label_are_named(
    tmp_path: Path, cells: list[str], labels: list[str], note: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [f"{at * at % 11},{cell},{label}" for at, (cell, label) in enumerate(zip(cells, labels, strict=True))]
    exported(tmp_path, "\n".join(["size,why,label", *rows]) + "\n")
    assert (f"'why' {note}" in caplog.text) if note else not caplog.records


def of_column(folder: Path, cells: list[str], name: str = "size"):
    rows = [f"{cell},{'ab'[at % 2]}" for at, cell in enumerate(cells)]
    return exported(folder, "\n".join([f"{name},label", *rows]) + "\n")


@pytest.mark.parametrize("far", ["-99999999999", "1e30", "1e300", "999999999"])
def test_a_few_values_far_beyond_all_others_do_not_scale_a_column(
    tmp_path: Path, far: str, caplog: pytest.LogCaptureFixture
) -> None:
    values = [str(at % 50) for at in range(300)]
    plain = latent(of_column(tmp_path, values), "40")
    assert not caplog.records
    assert latent(of_column(tmp_path, [*values, far, far]), "40") == plain
    assert "'size' has 2 values far beyond nearly all others" in caplog.text


@pytest.mark.parametrize(
    ("cells", "is_named"),
    [
        ([f"{at * 97:,}".replace(",", ".") for at in range(1, 60)], True),  # 97, 970, 1.067
        ([f"{at * 97 / 1000:.3f}" for at in range(1, 60)], False),  # 0.097, 0.970, 1.067
        ([f"{1 + at * 97 / 1000:.3f}" for at in range(1, 60)], False),
        ([str(round(at * 97.125 / 40, 3)) for at in range(1, 60)] + ["7", "8", "9"], False),
        ([str(at * 97) for at in range(1, 60)], False),
    ],
)
def test_points_that_separate_thousands_are_named(
    tmp_path: Path, cells: list[str], is_named: bool, caplog: pytest.LogCaptureFixture
) -> None:
    of_column(tmp_path, [*cells[::2], *cells[1::2]])
    assert ("'size' has '1.067' beside '97': where points separate thousands" in caplog.text) == is_named
    assert bool(caplog.records) == is_named


def test_heavy_tails_and_rare_flags_scale_their_columns_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    amounts = np.exp(2 * np.random.default_rng(0).normal(size=2000)).round(3)
    assert abs(latent(of_column(tmp_path, [str(one) for one in amounts]), str(amounts.mean()))[0]) < 1e-3
    assert latent(of_column(tmp_path, ["0"] * 999 + ["5"]), "5")[0] == 8
    assert not caplog.records


def test_a_column_of_numbers_that_cannot_be_learnt_is_refused(tmp_path: Path) -> None:
    cards = [str(4000123412340000 + at * 37 % 1000) for at in range(40)]
    with pytest.raises(
        DataError, match=r"'size' holds numbers beyond 1e\+12, .* for one, which cannot be learnt"
    ) as raised:
        of_column(tmp_path, cards)
    assert raised.value.parameter == "categories"
    assert latent(of_column(tmp_path, [*cards[:9], *map(str, range(11))]), "5") == [0]


@pytest.mark.parametrize(
    ("name", "cells", "note"),
    [
        ("at", [str(1720000000 + at * 37 % 90) for at in range(90)], "single precision does not tell apart"),
        ("at", [str(at + at * at / 7) for at in range(90)], "'at' grows from row to row"),
        ("order_id", [str(at * 37 % 90) for at in range(90)], "take it out of the table if it is a key"),
        ("paid", [str(at * 37 % 90) for at in range(90)], ""),
        ("id", [str(at * 37 % 90 / 7) for at in range(90)], ""),
        ("at", [str(1720000000 + at * 37 % 90 * 1000) for at in range(90)], ""),
    ],
)
def test_columns_that_promise_what_rows_to_come_do_not_keep_are_named(
    tmp_path: Path, name: str, cells: list[str], note: str, caplog: pytest.LogCaptureFixture
) -> None:
    of_column(tmp_path, cells, name)
    assert note in caplog.text
    assert bool(caplog.records) == bool(note)


def test_a_column_that_has_not_changed_yet_is_not_cut_when_it_does(tmp_path: Path) -> None:
    assert latent(of_column(tmp_path, ["0.003467"] * 300), "0.403467") == pytest.approx([0.4])


@pytest.mark.parametrize(
    ("taught", "cell", "found"),
    [
        (("Oslo", "Bern"), "oslo ", [0, 1]),
        (("New York", "Bern"), "new-york", [0, 1]),
        (("1", "2"), "1.0", [1, 0]),
        (("True", "False"), "1", [0, 1]),
        (("True", "False"), "no", [1, 0]),
        (("Y", "N"), "false", [1, 0]),
        (("yes", "maybe"), "true", [0, 0]),  # no boolean
        (("a", "A"), "a", [0, 1]),
        (("Oslo", "Bern"), "Rome", [0, 0]),
    ],
)
def test_a_category_in_another_spelling_is_the_one_that_is_known(
    tmp_path: Path, taught: tuple[str, str], cell: str, found: list[int]
) -> None:
    text = "city,label\n" + "".join(f"{one},{at}\n" for at, one in enumerate(taught * 3))
    extractor = exported(tmp_path, text, categories=["city"])
    assert TableEncoding(extractor.contract).encode([cell]) == found


def test_booleans_in_a_column_of_numbers_are_numbers_and_dashes_are_missing(tmp_path: Path) -> None:
    text = "size,label\n" + "".join(f"{one},{at % 2}\n" for at, one in enumerate("01-01-01"))
    extractor = exported(tmp_path, text)
    encoding = TableEncoding(extractor.contract)
    assert [encoding.encode([one]) for one in ("True", "false", "-", "--", "")] == [
        [1, 0],
        [0, 0],
        [0, 1],
        [0, 1],
        [0, 1],
    ]
    assert extractor.contract.dimension == 2  # a missing one has a place of its own


@pytest.mark.parametrize(
    ("cells", "mark"),
    [
        (["-999", *map(str, range(10)), "-999", "-999"], "-999 in 3 of 13"),
        (["999.9", *(f"{at}.5" for at in range(10)), "999.9", "999.9"], "999.9 in 3 of 13"),
        (["32767", *map(str, range(100)), "32767", "32767"], "32767 in 3 of 103"),
        (["99", *map(str, range(99)), "99", "99"], ""),  # near the others
        (["-1", *map(str, range(10)), "-1", "-1"], ""),
        (["0", *map(str, range(500, 510)), "0", "0"], ""),
        (["-999", *map(str, range(10))], ""),  # once
        (["999", "0", "999", "0", "999", "0"], ""),
    ],
)
def test_a_number_that_seems_to_stand_for_a_missing_one_is_named(
    tmp_path: Path, cells: list[str], mark: str, caplog: pytest.LogCaptureFixture
) -> None:
    exported(tmp_path, "size,label\n" + "".join(f"{one},{'ab'[at % 2]}\n" for at, one in enumerate(cells)))
    assert (
        (f"'size' is {mark} rows, far from its other values" in caplog.text) if mark else "far from" not in caplog.text
    )


def test_categories_that_differ_in_spelling_alone_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exported(tmp_path, "city,label\n" + "".join(f"{one},a\n" for one in ("Oslo", "OSLO", "Bern", "Oslo", "Bern")))
    assert "'city' has 'OSLO' and 'Oslo' as two categories" in caplog.text
