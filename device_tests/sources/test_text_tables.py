"""Tables of texts and labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecl.errors import DataError

from ..support.recordings import contract_of, put, samples_of, skips_of

TEXT = contract_of("text", 0.0, ("utf8",), 1, 1)


def test_texts_and_labels_are_read(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", 'text,label\n"where is it, please",parcel\nstop,end\nhm,nan\n')
    assert [(bytes(one.signal[:, 0].astype("u1")), one.label) for one in samples_of(path, TEXT)] == [
        (b"where is it, please", "parcel"),
        (b"stop", "end"),
    ]
    assert [skip.reason.partition(":")[0] for skip in skips_of(path, TEXT)] == ["no label"]


@pytest.mark.parametrize(("head", "message"), [("a,label", "no column text"), ("text,b", "has no labels")])
def test_a_table_without_its_columns_is_refused(tmp_path: Path, head: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        samples_of(put(tmp_path / "t.csv", f"{head}\nx,y\n"), TEXT)


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
