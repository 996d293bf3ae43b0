"""Rows of movement as they come."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecl.demo.movement import CHANNELS, RATE_HZ, TEACHING_SUBJECTS, TESTING_SUBJECTS, recording, windows
from edgecl.errors import ContractError, DataError
from edgecl.extractors.contract import Contract
from edgecl.extractors.opening import builtin_extractor
from edgecl.live.inputs.chunks import Arrival, Halt, Piece
from edgecl.live.inputs.rows import movement
from edgecl.sources.choices import Choices

from ...support.commands import edgecl

pytestmark = pytest.mark.native("starts a listener for each stream")


def wrist_contract(hop_samples: int = 50) -> Contract:
    channels = ("acc_x", "acc_y")
    return Contract(
        modality="imu",
        sample_rate_hz=50.0,
        channels=channels,
        units=("g", "g"),
        window_samples=100,
        hop_samples=hop_samples,
        pool_frames=1,
        dimension=4,
        mean=np.zeros(4, np.float32),
        normalisation="l2",
        shrinkage_floor=0.1,
        source="a test",
        licence="Apache-2.0",
    )


def rows(seconds: float, *, begins_s: float = 100.0, rate_hz: float = 50.0, seed: int = 0) -> list[tuple[float, ...]]:
    """Times that jitter, and two channels that are functions of time."""
    generator = np.random.default_rng(seed)
    count = round(seconds * rate_hz)
    times = begins_s + np.arange(count) / rate_hz + generator.normal(0, 0.002, count)
    return [(time, float(np.sin(2 * time)), float(np.cos(3 * time))) for time in times]


def as_csv(table: list[tuple[float, ...]]) -> bytes:
    lines = ["timestamp,acc_x,acc_y", *(",".join(f"{value:.6f}" for value in row) for row in table)]
    return ("\n".join(lines) + "\n").encode()


def as_jsonl(table: list[tuple[float, ...]]) -> bytes:
    names = ("acc_y", "timestamp", "acc_x")
    return b"".join(
        json.dumps(dict(zip(names, (row[2], row[0], row[1]), strict=True))).encode() + b"\n" for row in table
    )


def pieces_of(tmp_path: Path, content: bytes) -> tuple[list[Piece], Arrival]:
    path, arrival = tmp_path / "movement", Arrival()
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return list(movement(descriptor, "movement", wrist_contract(), halt=Halt(), arrival=arrival)), arrival
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("written", [as_csv, as_jsonl])
def test_rows_that_jitter_become_samples_at_the_rate_of_the_contract(
    tmp_path: Path, written: Callable[[list[tuple[float, ...]]], bytes]
) -> None:
    table = rows(20)
    pieces, _ = pieces_of(tmp_path, written(table))
    assert [piece.begins_s is not None for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    signal = np.concatenate([piece.signal for piece in pieces])
    times = table[0][0] + np.arange(len(signal)) / 50
    assert len(signal) == pytest.approx(1000, abs=2)
    np.testing.assert_allclose(signal, np.stack([np.sin(2 * times), np.cos(3 * times)], axis=1), atol=2e-3)
    assert max(len(piece.signal) for piece in pieces) <= 60


def test_a_gap_begins_the_stream_anew_at_its_own_time(tmp_path: Path) -> None:
    pieces, _ = pieces_of(tmp_path, as_csv(rows(5) + rows(5, begins_s=130.0)))
    assert [round(piece.begins_s) for piece in pieces if piece.begins_s is not None] == [100, 130]


def test_rows_that_cannot_be_used_are_counted_and_bridged(tmp_path: Path) -> None:
    table = rows(10)
    lines = as_csv(table).splitlines(keepends=True)
    lines[100] = b"102.0,nonsense,1\n"
    lines[200] = b"1,2\n"
    pieces, arrival = pieces_of(tmp_path, b"".join(lines) + b"109.99,1.0,0.")
    assert dict(arrival.rows.counts) == {"not a number": 1, "ragged row": 1}
    assert arrival.torn_bytes == len(b"109.99,1.0,0.")
    assert sum(len(piece.signal) for piece in pieces) == pytest.approx(500, abs=2)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "no column timestamp"),
        (as_csv(rows(20, rate_hz=10)), "wrong rate"),
        (b"RIFF\x00\x00\n", "neither CSV nor JSON Lines"),
    ],
)
def test_rows_that_make_no_recording_are_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        pieces_of(tmp_path, content)


def test_exercises_are_one_event_each_with_their_span(tmp_path: Path) -> None:
    wrist, bouts = tmp_path / "wrist", (("biceps curl", 20), ("lateral raise", 15), ("biceps curl", 10))
    try:
        extractor = builtin_extractor("imu")
    except ContractError as error:
        pytest.skip(str(error))
    assert edgecl("init", wrist, "--extractor", extractor).code == 0
    assert edgecl("learn", wrist, taught_exercises(tmp_path / "lesson.npz"), "--force").code == 0
    stream = tmp_path / "stream.csv"
    stream.write_text(bouts_as_csv(bouts))
    done = edgecl("listen", wrist, stream, "--json")
    assert done.code == 0
    assert [one["label"] for one in done.lines] == [label for label, _ in bouts]
    begins_s = 0.0
    for one, (_, seconds) in zip(done.lines, bouts, strict=True):
        assert one["span"] == [pytest.approx(begins_s, abs=2.1), pytest.approx(begins_s + seconds, abs=2.1)]
        assert begins_s < one["time"] < begins_s + 6
        begins_s += seconds
    assert edgecl("listen", wrist, stream, "--inbox", "--novelty", 0, "--threshold", 1).code == 0
    assert edgecl("inbox", wrist, "--json").value["items"][0]["file"].endswith(".npz")


def taught_exercises(lesson: Path) -> Path:
    """Windows of two simulated exercises by eight people."""
    taught = windows(("biceps curl", "lateral raise"), TEACHING_SUBJECTS[:8], seconds=20)
    np.savez(lesson, X=np.stack([one.signal for one in taught]), y=[str(one.label) for one in taught], rate_hz=RATE_HZ)
    return lesson


def bouts_as_csv(bouts: tuple[tuple[str, int], ...]) -> str:
    """One bout after another by somebody else, without a pause."""
    signal = np.concatenate([recording(label, TESTING_SUBJECTS[0], seconds=seconds) for label, seconds in bouts])
    lines = [",".join(("timestamp", *CHANNELS))]
    lines += [f"{index / RATE_HZ:.4f}," + ",".join(f"{one:.5f}" for one in row) for index, row in enumerate(signal)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("scale", "code"), [(1.0, 0), (1 / 9.80665, 4), (16384 / 9.80665, 4)])
def test_a_stream_in_another_unit_is_refused(tmp_path: Path, scale: float, code: int) -> None:
    lesson = np.concatenate([one.signal for one in windows(("squat",), TEACHING_SUBJECTS[:1], seconds=20)])
    scaled = lesson * np.array([scale] * 3 + [1.0] * 3)
    names = ",".join(("timestamp", *CHANNELS))
    lines = [names, *(",".join([str(index / RATE_HZ), *map(str, row)]) for index, row in enumerate(scaled))]
    stream, taught = tmp_path / "stream.csv", tmp_path / "lesson.npz"
    stream.write_text("\n".join(lines) + "\n")
    X = np.stack([one.signal for one in windows(("squat",), TEACHING_SUBJECTS[:2], seconds=20)])
    np.savez(taught, X=X, rate_hz=RATE_HZ)
    store = tmp_path / "wrist"
    assert edgecl("init", store, "--extractor", "imu").code == 0
    assert edgecl("learn", store, taught, "--label", "squat").code == 0
    done = edgecl("listen", store, stream)
    assert done.code == code
    assert ("--scale" in done.err) == (code == 4)
    if code:
        assert edgecl("listen", store, stream, "--scale", f"acc={1 / scale}").code == 0


def test_a_halt_ends_a_stream_whose_rows_were_read_at_once_and_are_played(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(as_csv(rows(20.0)))
    halt, contract = Halt(), wrist_contract()
    with path.open("rb") as file:
        pieces = movement(
            file.fileno(),
            "rows",
            contract,
            halt=halt,
            arrival=Arrival(),
            realtime=True,
            how=Choices(scale={"acc": 1.0}),
        )
        for _ in range(3):
            next(pieces)
        threading.Timer(0.2, halt.ask).start()
        started = time.monotonic()
        time.sleep(0.3)
        left = sum(len(one.signal) for one in pieces)
    assert time.monotonic() - started < 5
    assert left < 5 * contract.window_samples
