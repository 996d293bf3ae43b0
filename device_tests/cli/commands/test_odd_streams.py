"""Streams with values, lines and files that are odd: one bad value costs one sample."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError
from edgecl.learner import Learner
from edgecl.model.head import factorise
from edgecl.model.statistics import ClassStatistics
from edgecl.sources.samples import Sample

from ...support.commands import edgecl

pytest.importorskip("onnx", reason="the exporter needs the extra [export]")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    from edgecl_export import export_identity

    export_identity(tmp_path / "identity.onnx", ["a", "b"])
    return Learner.create(tmp_path / "table", extractor=tmp_path / "identity.onnx").path


def rows(count: int, **odd: str) -> str:
    draw = np.random.default_rng(0)
    cells = [[f"{value + 3 * (i % 2):.4f}" for value in draw.normal(size=2)] for i in range(count)]
    for at, text in odd.items():
        cells[int(at.removeprefix("row"))][0] = text
    return "a,b,label\n" + "".join(f"{x},{y},{['no', 'yes'][i % 2]}\n" for i, (x, y) in enumerate(cells))


@pytest.mark.parametrize("value", ["1e20", "3e38", "-1e13", "nan", '"', "1\r"])
@pytest.mark.parametrize("command", ["learn", "follow"])
def test_a_value_that_cannot_be_learnt_costs_its_row(command: str, value: str, table: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(rows(120, row100=value), newline="")
    done = edgecl(command, table, path, "--json")
    assert done.code == 0, done.err
    assert len(done.value["skipped"]) in (1, 2)  # a carriage return makes two of one


def test_statistics_beyond_all_numbers_are_an_error_and_no_endless_loop() -> None:
    huge = ClassStatistics(count=3, mean=np.zeros(2), scatter=np.array([np.inf, np.nan, 1], np.float32))
    with np.errstate(invalid="ignore"), pytest.raises(DataError, match="so large that nothing can be computed"):
        factorise({"a": huge, "b": huge}, np.empty(3, np.float64), shrinkage_floor=0.1)


def test_what_a_stream_has_learnt_is_committed_before_an_error_ends_it(table: Path) -> None:
    draw = np.random.default_rng(0)

    def ends_badly() -> object:
        for i in range(200):
            signal = (draw.normal(size=(1, 2)) + 3 * (i % 2)).astype(np.float32)
            yield Sample(f"row {i}", ["no", "yes"][i % 2], signal, None)
        raise DataError("the file cannot be read any more")

    learner = Learner.open(table)
    with pytest.raises(DataError, match="any more"):
        learner.follow(ends_badly())  # type: ignore[arg-type]
    assert Learner.open(table).status()["revision"] == 2
    assert set(Learner.open(table).status()["classes"]) == {"no", "yes"}


def test_a_rate_of_401_digits_is_no_rate(tmp_path: Path) -> None:
    store = Learner.create(tmp_path / "wrist", extractor="imu").path
    path = tmp_path / "rate.jsonl"
    path.write_text(json.dumps({"signal": [[0.0] * 6] * 100, "label": "a", "rate_hz": 10**400}) + "\n")
    done = edgecl("learn", store, path)
    assert done.code == 4
    assert "unknown rate" in done.err


@pytest.mark.parametrize("line", ["{'a': 1, 'b': 2, 'label': 'no'}", '{"a": 1, "b": 2, "label": "no"},', "{"])
def test_what_is_nearly_json_lines_says_so(line: str, table: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{line}\n" * 9)
    done = edgecl("follow", table, path, "--label-column", "label")
    assert (done.code, "its first line is no JSON object of columns" in done.err) == (4, True)


@pytest.mark.parametrize(("end", "skipped"), [("1,2,ye", 1), ("1,2,yes", 0), ("1,2,maybe", 0), ("1,2,ye\n", 0)])
@pytest.mark.parametrize("command", ["learn", "follow"])
def test_a_label_that_is_cut_where_the_file_ends_is_no_class(
    command: str, end: str, skipped: int, table: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"  # as it is while another program still writes it
    path.write_text(rows(60) + end)
    done = edgecl(command, table, path, "--json", "--dry-run")
    found = [one["reason"] for one in done.value["skipped"] if one["reason"].startswith("cut off")]
    why = "cut off: the file ends within this line, and its label 'ye' is the beginning of 'yes'"
    assert found == [f"{why}: end the line if it is whole"] * skipped
