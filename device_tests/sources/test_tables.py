"""Rows of a table are samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError

from ..support.recordings import contract_of, npz, put, samples_of

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
