"""Tables of texts and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgecl.errors import DataError
from edgecl.sources.choices import Choices

from ..support.recordings import contract_of, lines_of, put, samples_of, skips_of

TEXT = contract_of("text", 0.0, ("utf8",), 1, 1)


def texts_of(path: Path, **options: Any) -> list[tuple[str, str | None]]:
    return [(bytes(one.signal[:, 0].astype("u1")).decode(), one.label) for one in samples_of(path, TEXT, **options)]


def test_texts_and_labels_are_read(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", 'text,label\n"where is it, please",parcel\nstop,end\nhm,nan\n')
    assert [(bytes(one.signal[:, 0].astype("u1")), one.label) for one in samples_of(path, TEXT)] == [
        (b"where is it, please", "parcel"),
        (b"stop", "end"),
    ]
    assert [skip.reason.partition(":")[0] for skip in skips_of(path, TEXT)] == ["no label"]


@pytest.mark.parametrize("name", ["text", "sentence", "utterance", "query"])
def test_texts_of_lines_and_of_tables_are_found_under_the_same_names(tmp_path: Path, name: str) -> None:
    lines = put(tmp_path / "t.jsonl", lines_of({name: "stop", "label": "end"}))
    table = put(tmp_path / "t.csv", f"{name},label\nstop,end\n")
    assert texts_of(lines) == texts_of(table) == [("stop", "end")]


def test_rows_that_end_in_a_delimiter_are_read(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "text,label\nstop,end,\ngo on,begin,\n")
    assert texts_of(path) == [("stop", "end"), ("go on", "begin")]


@pytest.mark.parametrize(
    ("end", "is_cut"), [("hm,en", True), ("hm,end", False), ("hm,other", False), ("hm,en\n", False)]
)
def test_a_label_that_is_cut_where_the_file_ends_is_no_class(tmp_path: Path, end: str, is_cut: bool) -> None:
    path = put(tmp_path / "t.csv", f"text,label\nstop,end\n{end}")
    why = "cut off: the file ends within this line, and its label 'en' is the beginning of 'end'"
    said = [f"{why}: end the line if it is whole"]
    assert [skip.reason for skip in skips_of(path, TEXT)] == said * is_cut
    assert len(texts_of(path)) == 2 - is_cut


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("a,label", "no column text, only a, label: name the column of the texts as text=NAME"),
        ("text,b", r"has no labels: give the label of its samples, or the column that has them \(of b\)"),
        ("text,label,Label", "two columns of the same name: text, label, label"),
    ],
)
def test_a_table_without_its_columns_is_refused(tmp_path: Path, head: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        samples_of(put(tmp_path / "t.csv", f"{head}\nx,y\n"), TEXT)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_table_is_called_empty(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match="can be used: it is empty"):
        samples_of(put(tmp_path / "t.csv", content), TEXT)


def test_a_json_file_is_answered_with_the_form_that_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"write one object per line of a \.jsonl file"):
        samples_of(put(tmp_path / "t.json", '[{"text": "stop", "label": "end"}]'), TEXT)


def test_columns_of_any_name_are_read_where_they_are_named(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "text,message,intent\n17,where is it,parcel\n18,stop,end\n")
    how = Choices(columns={"text": "Message"}, label_column="intent")
    assert texts_of(path, how=how) == [("where is it", "parcel"), ("stop", "end")]
    for wrong, message in (
        (Choices(columns={"text": "body"}), "no column body"),
        (Choices(columns={"words": "message"}), "words is no part of a text"),
        (Choices(label_column="text"), "text is the column of the texts"),
    ):
        with pytest.raises(DataError, match=message):
            samples_of(path, TEXT, how=wrong)


def test_members_of_any_name_are_read_where_they_are_named(tmp_path: Path) -> None:
    path = put(tmp_path / "t.jsonl", lines_of({"text": "17", "message": "stop", "intent": "end", "label": "x"}))
    assert texts_of(path, how=Choices(columns={"text": "message"}, label_column="intent")) == [("stop", "end")]
    for wrong, message in (
        (Choices(columns={"text": "body"}), 'no text: the line has no "body"'),
        (Choices(columns={"words": "message"}), "words is no part of a text"),
        (Choices(columns={"text": "intent"}, label_column="intent"), "intent is the column of the texts"),
        (Choices(label_column="topic"), 'no label: the line has no "topic"'),
    ):
        with pytest.raises(DataError, match=message):
            samples_of(path, TEXT, how=wrong)


@pytest.mark.parametrize(
    ("line", "option"), [({"message": "stop", "label": "end"}, "columns"), ({"text": "stop", "i": 1}, "label_column")]
)
def test_lines_with_other_members_are_answered_with_the_option_that_names_them(
    tmp_path: Path, line: dict[str, Any], option: str
) -> None:
    with pytest.raises(DataError, match="name the member that has") as refused:
        samples_of(put(tmp_path / "t.jsonl", lines_of(line)), TEXT)
    assert refused.value.parameter == option


def test_bytes_that_are_not_utf8_cost_their_row_and_are_not_taught_as_something_else(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("text,label\nwo ist meine Tür,door\nund jetzt,now\n".encode("cp1252"))
    assert texts_of(path) == [("und jetzt", "now")]
    assert [one.reason for one in skips_of(path, TEXT)] == [
        "not UTF-8: the text holds bytes that are no characters: save the file as UTF-8"
    ]


@pytest.mark.parametrize(
    "cell", ["nan", "NaN", "NULL", "<NA>", "#N/A", "#REF!", "(null)", " ", "\u200b", "\ufeff \u00a0"]
)
def test_cells_that_programs_write_for_a_missing_text_are_no_text(tmp_path: Path, cell: str) -> None:
    path = put(tmp_path / "t.csv", f"text,label\nstop,end\n{cell},end\n")
    assert texts_of(path) == [("stop", "end")]
    assert [one.reason.partition(":")[0] for one in skips_of(path, TEXT)] == ["no text"]


@pytest.mark.parametrize("cell", ["none", "?", "n/a", "na", "undefined", "...", "17", "\U0001f600", "n\u00e9e"])
def test_short_texts_that_people_write_are_texts(tmp_path: Path, cell: str) -> None:
    path = put(tmp_path / "t.csv", f"text,label\n{cell},end\n")
    assert texts_of(path) == [(cell, "end")]


def test_the_names_of_the_columns_may_come_again_where_files_were_joined(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "text,label\nstop,end\ntext,label\nText,Label\ngo on,more\n")
    assert texts_of(path) == [("stop", "end"), ("go on", "more")]
    assert skips_of(path, TEXT) == []


def test_a_stray_quotation_mark_and_a_cell_beyond_all_measure_cost_their_own_rows(tmp_path: Path) -> None:
    rows = "".join(f"text {number},end\n" for number in range(200))
    path = put(tmp_path / "t.csv", f'text,label\n"half,end\n{rows}"{"x" * 200_000}",end\nlast,end\n')
    texts = [bytes(one.signal[:, 0].astype("u1")) for one in samples_of(path, TEXT)]
    assert b"last" in texts
    assert {f"text {number}".encode() for number in range(200)} <= set(texts)
    assert len(skips_of(path, TEXT)) in (1, 2)


def test_inches_in_two_texts_are_two_texts(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", 'text,label\n5" screen,buy\n6" screen,buy\nstop,end\n')
    texts = [bytes(one.signal[:, 0].astype("u1")) for one in samples_of(path, TEXT)]
    assert texts == [b'5" screen', b'6" screen', b"stop"]


def test_a_letter_is_one_text(tmp_path: Path) -> None:
    letter = "\n".join(["Dear all,", *["more"] * 100, "bye"])
    path = put(tmp_path / "t.csv", f'text,label\n"{letter}",mail\nstop,end\n')
    assert [one.label for one in samples_of(path, TEXT)] == ["mail", "end"]
    assert skips_of(path, TEXT) == []


def test_a_text_that_begins_as_a_comment_does_is_a_text(tmp_path: Path) -> None:
    path = put(
        tmp_path / "t.csv", '# from the desk\ntext,label\n#sale today,promo\n"one\n# two",mail\n# note\n//x,end\n'
    )
    texts = [bytes(one.signal[:, 0].astype("u1")) for one in samples_of(path, TEXT)]
    assert texts == [b"#sale today", b"one\n# two", b"//x"]


@pytest.mark.parametrize(
    "table", ["text\n# night shift\nhello\n#sale\n", "text,label,\n# note,,\nhello,a,\n#sale,b,\n"]
)
def test_a_comment_of_one_column_or_with_empty_cells_is_a_comment(tmp_path: Path, table: str) -> None:
    samples = samples_of(put(tmp_path / "t.csv", table), TEXT, labelled=False)
    assert [bytes(one.signal[:, 0].astype("u1")) for one in samples] == [b"hello", b"#sale"]


def test_a_table_of_which_nothing_can_be_used_counts_all_of_its_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can be used: 50 no text"):
        samples_of(put(tmp_path / "t.csv", "text,label\n" + "nan,end\n" * 50), TEXT)
