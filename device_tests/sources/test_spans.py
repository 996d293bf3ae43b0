"""Label files: when which word is in a recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecl.errors import DataError
from edgecl.sources.spans import Span, read_spans

WANTED = [Span("yes", 1.5, 2.0), Span("lights off", 12.25, 13.0)]
FORMS = {
    "a.csv": "label,begin,end\nyes,1.5,2.0\nlights off,12.25,13\n",
    "order.csv": "\ufeffEnd,who,Label,begin\r\n13,ann,lights off,12.25\r\n\r\n2,ann,yes,1.5\r\n",
    "comma.csv": "label;begin;end\nyes;1,5;2\nlights off;12,25;13\n",
    "a.tsv": "label\tbegin\tend\nyes\t1.5\t2\nlights off\t12.25\t13\n",
    "quoted.csv": 'label,begin,end\n"yes",1.5,2\n"lights off","12.25",13\n',
    "a.jsonl": '{"label": "yes", "begin": 1.5, "end": 2}\n{"label": "lights off", "begin": 12.25, "end": 13, "x": 1}\n',
    "track.txt": "1.500000\t2.000000\tyes\n\\\t200.0\t4000.0\n12.250000\t13.000000\tlights off\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_words_in_order_of_time(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(FORMS[name], encoding="utf-8")
    assert read_spans(file) == WANTED


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "label, begin and end"),
        ("a.csv", "label,begin,end\n", "no labels"),
        ("a.csv", "label,start,stop\nyes,1,2\n", "wanted label, begin and end"),
        ("a.csv", "label,begin,end\nyes,1,2\nno,2\n", "a.csv:3: 2 cells, the header has 3"),
        ("a.csv", "label,begin,end\nyes,3,2\n", "a.csv:2: .*the end not before the beginning"),
        ("a.csv", "label,begin,end\nyes,-1,2\n", "a.csv:2: .*no times"),
        ("a.csv", "label,begin,end\nyes,nan,2\n", "a.csv:2: .*no times"),
        ("a.csv", "label,begin,end\nyes,1,1e999\n", "a.csv:2: .*no times"),
        ("a.csv", "label,begin,end\n,1,2\n", "a.csv:2: no label"),
        ("a.jsonl", '{"label": "yes"}\n', 'wanted {"label"'),
        ("a.jsonl", '{"label": 3, "begin": 1, "end": 2}\n', "is not text"),
        ("a.jsonl", '{"label": "yes", "begin": true, "end": 2}\n', "no times"),
        ("a.jsonl", "yes 1 2\n", "a.jsonl:1: not JSON"),
        ("a.txt", "1.5 2.0 yes\n", "a.txt:1: wanted a label track"),
        ("a.wav", "RIFF", "is no label file"),
    ],
)
def test_a_line_that_cannot_be_used_is_an_error_that_says_where(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(DataError, match=said):
        read_spans(file)


def test_a_file_that_is_missing_or_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in ("gone.csv", "folder.csv"):
        with pytest.raises(DataError, match="can't be read"):
            read_spans(tmp_path / name)


def test_a_cell_beyond_all_measure_is_an_error_of_its_line_and_a_short_one(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    for cell in ("q" * 200_000, f'"{"q" * 200_000}"', '"q'):
        file.write_text(f"label,begin,end\nyes,1,2\n{cell},1,x\n")
        with pytest.raises(DataError, match=r"a\.csv:3: ") as refused:
            read_spans(file)
        assert len(str(refused.value)) < 5000
