"""CSV recordings to windows."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from edgecl.sources import csv_windows
from edgecl.sources.reading import read_samples

from ..support.recordings import WRIST, csv_of, movement, put, samples_of, skips_of


def test_recording_is_cut_into_windows_by_length_and_hop(tmp_path: Path) -> None:
    values = movement(100)
    path = put(tmp_path / "run.csv", csv_of([round(i * 0.02, 2) for i in range(100)], values))
    samples = samples_of(path, WRIST, label="curl")
    assert [sample.source for sample in samples][:2] == [f"{path}:2", f"{path}:12"]
    assert len(samples) == 9
    for i, sample in enumerate(samples):
        np.testing.assert_allclose(sample.signal, values[10 * i : 10 * i + 20], atol=1e-6)


def test_windows_hold_one_label_and_one_subject(tmp_path: Path) -> None:
    extra = {"label": ["curl"] * 50 + ["raise"] * 50, "subject": ["anna"] * 75 + ["ben"] * 25}
    path = put(tmp_path / "run.csv", csv_of(np.arange(100) / 50, movement(100), extra))
    found = [(sample.label, sample.group) for sample in samples_of(path, WRIST)]
    assert found == [("curl", "anna")] * 4 + [("raise", "anna")] + [("raise", "ben")]


def test_stretch_under_one_window_is_skipped_with_its_lines(tmp_path: Path) -> None:
    path = put(tmp_path / "run.csv", csv_of([*np.arange(15) / 50, *(5 + np.arange(30) / 50)], movement(45)))
    (skip,) = skips_of(path, WRIST, label="curl")
    assert skip.reason == "too short: 15 samples (0.30 s), a window has 20 in lines 2 to 16"


@pytest.mark.parametrize("rate", [40, 50, 120])
def test_windows_do_not_depend_on_how_many_rows_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: int
) -> None:
    rng = np.random.default_rng(1)
    times = np.sort(np.arange(400) / rate + rng.uniform(-0.002, 0.002, 400))
    path = put(tmp_path / "run.csv", csv_of(times, movement(400)))
    whole = samples_of(path, WRIST, label="curl")
    monkeypatch.setattr(csv_windows, "CHUNK_ROWS", 7)
    pieces = samples_of(path, WRIST, label="curl")
    assert [sample.source for sample in pieces] == [sample.source for sample in whole]
    for piece, one in zip(pieces, whole, strict=True):
        np.testing.assert_allclose(piece.signal, one.signal, atol=1e-6)


@pytest.mark.native("measures the process, QEMU's memory included")
def test_memory_does_not_grow_with_the_length_of_a_recording(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        path = put(tmp_path / f"{rows}.csv", csv_of([round(i / 50, 2) for i in range(rows)], movement(rows)))
        tracemalloc.start()
        for _ in read_samples(path, WRIST, label="curl"):
            pass
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(30_000) < 1.2 * peak(10_000)
