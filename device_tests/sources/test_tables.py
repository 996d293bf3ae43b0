"""Rows of a table are samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np

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
