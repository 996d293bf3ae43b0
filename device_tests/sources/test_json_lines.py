"""JSON Lines: a window per line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError
from edgecl.extractors.contract import Contract
from edgecl.sources.json_lines import AHEAD
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample, Skip

from ..support.recordings import WRIST, contract_of, csv_of, lines_of, movement, npz, put, samples_of, skips_of

TABLE = contract_of("table", 0.0, ("ax", "ay", "az"), 1, 1)


def test_window_a_line_is_read(tmp_path: Path) -> None:
    signal = movement(20).tolist()
    path = put(tmp_path / "w.jsonl", lines_of({"signal": signal, "label": "curl", "subject": 3, "rate_hz": 50}))
    (sample,) = samples_of(path, WRIST)
    assert (sample.label, sample.group, sample.source) == ("curl", "3", f"{path}:1")
    np.testing.assert_allclose(sample.signal, movement(20), atol=1e-6)


def test_lines_that_cannot_be_used_are_skipped_with_their_number(tmp_path: Path) -> None:
    good = movement(20).tolist()
    path = put(
        tmp_path / "w.jsonl",
        lines_of(
            {"signal": good, "label": "curl"},
            "{",
            [1, 2],
            {"label": "curl"},
            {"signal": [[1, 2, 3], [1, 2]], "label": "curl"},
            {"signal": [["1", "2", "3"]], "label": "curl"},
            {"signal": movement(20, channels=2).tolist(), "label": "curl"},
            {"signal": movement(33).tolist(), "label": "curl"},
            {"signal": movement(20, seed=1).tolist()},
            {"signal": movement(20, seed=2).tolist(), "label": ["curl"]},
            {"signal": movement(5).tolist(), "label": "curl", "rate_hz": 50},
            {"signal": movement(20, seed=3).tolist(), "label": "curl", "rate_hz": "fast"},
            {"signal": good, "label": "curl"},
            {"signal": [[float("nan")] * 3] * 20, "label": "curl"},
            "[" * 100_000,
        ),
    )
    skips = skips_of(path, WRIST)
    assert [skip.source for skip in skips] == [f"{path}:{line}" for line in range(2, 16)]
    assert [skip.reason.partition(":")[0] for skip in skips] == [
        "not JSON",
        "not an object",
        "no signal",
        "ragged",
        "not numbers",
        "wrong channel count",
        "unknown rate",
        "no label",
        "bad label",
        "too short",
        "unknown rate",
        "duplicate",
        "not finite",
        "not JSON",
    ]


def test_text_says_that_it_needs_a_text_extractor(tmp_path: Path) -> None:
    path = put(tmp_path / "t.jsonl", lines_of({"text": "turn it off", "label": "off"}))
    with pytest.raises(DataError, match="text extractor"):
        list(read_samples(path, WRIST))


def test_option_for_labelled_lines_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "w.jsonl", lines_of({"signal": movement(20).tolist(), "label": "curl"}))
    with pytest.raises(DataError, match="give no other"):
        list(read_samples(path, WRIST, label="raise"))


def test_empty_lines_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is empty"):
        list(read_samples(put(tmp_path / "w.jsonl", "\n"), WRIST))


def test_rows_with_times_are_read_as_a_table_is(tmp_path: Path) -> None:
    values = movement(60)
    expected = samples_of(put(tmp_path / "r.csv", csv_of(np.arange(60) / 50, values)), WRIST, label="go")
    rows = [
        {"timestamp": index / 50, "ax": float(x), "ay": float(y), "az": float(z)}
        for index, (x, y, z) in enumerate(values)
    ]
    path = put(tmp_path / "r.jsonl", lines_of(*rows[:30], "nonsense", *rows[30:]))
    found = samples_of(path, WRIST, label="go")
    np.testing.assert_array_equal(found[0].signal, expected[0].signal)
    assert [skip.reason.partition(":")[0] for skip in skips_of(path, WRIST, label="go")] == ["not JSON"]


@pytest.mark.parametrize("contract", [WRIST, TABLE])
def test_lines_in_utf16_and_one_list_of_all_say_what_to_do(tmp_path: Path, contract: Contract) -> None:
    line = json.dumps({"timestamp": 0, "ax": 1, "ay": 2, "az": 3})
    for content, message in (
        ("\n".join([line] * 9).encode("utf-16"), "is UTF-16: save it as UTF-8"),
        (json.dumps([json.loads(line)], indent=1), "begins with a list: write one object per line"),
    ):
        with pytest.raises(DataError, match=message):
            samples_of(put(tmp_path / "rows.jsonl", content), contract, label="go")


def test_rows_of_a_table_are_read_as_those_of_a_csv_are(tmp_path: Path) -> None:
    channels = ("amount", "paid=false", "paid=true")
    contract = replace(contract_of("table", 0.0, channels, 1, 1), units=("number", "category", "category"))
    rows = [
        {"label": "up", "id": 7, "paid": True, "amount": 2.5},
        {"label": None, "id": 8, "paid": False, "amount": 1},
        {"id": 9, "paid": True},
    ]
    path = put(tmp_path / "rows.jsonl", "\n".join(map(json.dumps, rows)) + "\n")
    found = samples_of(path, contract, labelled=False)
    assert [(one.label, one.signal.tolist()) for one in found] == [("up", [[2.5, 0, 1]]), (None, [[1, 1, 0]])]
    assert [skip.reason.partition(":")[0] for skip in skips_of(path, contract, labelled=False)] == ["missing value"]
    windows = put(tmp_path / "windows.jsonl", json.dumps({"signal": [[1, 0, 1]], "label": "up"}))
    assert [one.signal.tolist() for one in samples_of(windows, contract)] == [[[1, 0, 1]]]


@pytest.mark.parametrize("name", ["rate_hz", "sampling_rate", "sample_rate", "fs"])
def test_a_rate_is_read_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    line = {"signal": movement(40).tolist(), "label": "curl", name: 100}
    (sample,) = samples_of(put(tmp_path / "w.jsonl", lines_of(line)), WRIST)
    assert sample.signal.shape == (20, 3)
    (skip,) = skips_of(put(tmp_path / "w.jsonl", lines_of({**line, name: 12})), WRIST)
    assert skip.reason.startswith("wrong rate: 12 Hz")
    arrays = {"X": movement(40)[None], "y": np.array(["curl"]), name: np.array(100)}
    (sample,) = samples_of(npz(tmp_path / "w.npz", **arrays), WRIST)
    assert sample.signal.shape == (20, 3)


def test_rows_of_objects_within_objects_are_read_and_lists_in_them_named(tmp_path: Path) -> None:
    values = movement(60)
    expected = samples_of(put(tmp_path / "r.csv", csv_of(np.arange(60) / 50, values)), WRIST, label="go")
    rows = [
        {"time": index / 50, "a": {"x": float(x), "y": float(y), "z": float(z)}}
        for index, (x, y, z) in enumerate(values)
    ]
    found = samples_of(put(tmp_path / "r.jsonl", lines_of(*rows)), WRIST, label="go")
    np.testing.assert_array_equal(found[0].signal, expected[0].signal)
    listed = [{"time": index / 50, "acc": row.tolist()} for index, row in enumerate(values)]
    with pytest.raises(DataError, match=r"has 1 columns of measurements \(acc \(a list\)\), the extractor takes 3"):
        samples_of(put(tmp_path / "l.jsonl", lines_of(*listed)), WRIST, label="go")


@pytest.mark.parametrize("first", [{"weight": 1, "city": "Oslo"}, {"label": "up"}])
def test_members_that_have_no_value_may_be_left_out_in_any_row(first: object, tmp_path: Path) -> None:
    contract = replace(TABLE, channels=("size", "weight"), units=("unit", "unit"))
    rows = [
        first,
        "{nonsense",
        {"size": 1, "weight": 2, "label": "up"},
        {"weight": 3, "size": 4},
        {"weight": 5, "label": "down"},
    ]
    found = list(read_samples(put(tmp_path / "r.jsonl", lines_of(*rows)), contract, labelled=False))
    assert [(one.label, one.signal.tolist()) for one in found if isinstance(one, Sample)] == [
        ("up", [[1, 2]]),
        (None, [[4, 3]]),
    ]
    reasons = [one.reason for one in found if isinstance(one, Skip)]
    assert [one.partition(", and")[0] for one in reasons] == [
        "missing value: in 'size'",
        "not JSON: no object with any of the columns",
        "missing value: in 'size'",
    ]


def test_members_that_first_come_further_on_are_told_from_cells_that_are_too_few(tmp_path: Path) -> None:
    contract = replace(TABLE, channels=("size", "weight"), units=("unit", "unit"))
    rows = [{"size": at, "weight": 2, "label": "up"} for at in range(AHEAD)]
    late = [{"size": 1, "weight": 2, "label": "up", "state": "E1"}, {"size": 3, "label": "up", "state": "E1"}]
    found = list(read_samples(put(tmp_path / "r.jsonl", lines_of(*rows, *late)), contract))
    assert [isinstance(one, Sample) for one in found] == [*[True] * (AHEAD + 1), False]
    assert found[-1].reason.startswith("other members: 2 of the 3 columns, and members that are none")  # type: ignore[union-attr]


def test_a_column_that_no_line_at_the_beginning_has_is_answered_with_how_columns_are_known(tmp_path: Path) -> None:
    contract = replace(TABLE, channels=("size", "weight"), units=("unit", "unit"))
    rows = [{"size": at, "label": "up"} for at in range(AHEAD)]
    path = put(tmp_path / "r.jsonl", lines_of(*rows, {"size": 1, "weight": 2, "label": "up"}))
    with pytest.raises(DataError, match=f"takes 2 .size, weight.; its columns are the members of the first {AHEAD}"):
        samples_of(path, contract)
    with pytest.raises(DataError, match=r"takes 2 \(size, weight\)$"):
        samples_of(put(tmp_path / "s.jsonl", lines_of(*rows[:9])), contract)
