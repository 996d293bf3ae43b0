"""Whole paths: what is read, counted and refused, and real recordings."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError
from edgecl.sources.reading import count_samples, read_samples
from edgecl.sources.samples import Sample, Skip

from ..support.recordings import (
    VOICE,
    WRIST,
    contract_of,
    csv_of,
    lines_of,
    movement,
    npz,
    put,
    samples_of,
    tone,
    wav,
    windows,
)


@pytest.mark.parametrize("make", ["missing", "empty folder", "hidden only", "other kind", "no sound"])
def test_useless_path_is_refused_before_the_first_sample(tmp_path: Path, make: str) -> None:
    path = tmp_path / "data"
    if make in ("empty folder", "hidden only", "no sound"):
        path.mkdir()
    if make == "hidden only":
        put(path / ".DS_Store", "x")
    if make == "no sound":
        put(path / "windows.npz", "x")
    if make == "other kind":
        path = put(tmp_path / "data.gif", "x")
    message = {
        "missing": "does not exist",
        "empty folder": "empty folder",
        "hidden only": "empty folder",
        "other kind": "no known kind",
        "no sound": "to read windows.npz, give its own path",
    }
    with pytest.raises(DataError, match=message[make]):
        read_samples(path, VOICE, label="go")


def test_nothing_usable_is_refused_with_counted_reasons(tmp_path: Path) -> None:
    for i in range(3):
        put(tmp_path / "go" / f"{i}.wav", wav(tone(0.01 * (i + 1))))
    put(tmp_path / "go" / "zero.wav", wav(np.zeros(8000)))
    with pytest.raises(DataError, match=r"3 too short, 1 silent \(first: .*0.wav: too short"):
        list(read_samples(tmp_path, VOICE))


def test_sound_for_an_extractor_of_movement_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"3 channels \(ax, ay, az\)"):
        read_samples(put(tmp_path / "clip.wav", wav(tone())), WRIST, label="go")
    with pytest.raises(DataError, match="takes sound"):
        read_samples(put(tmp_path / "run.csv", csv_of([0], movement(1))), VOICE, label="go")


def test_counts_are_those_of_clean_data(tmp_path: Path) -> None:
    for i in range(3):
        put(tmp_path / "voice" / "go" / f"{i}.wav", wav(tone(hertz=300 + i)))
    archive = npz(tmp_path / "w.npz", X=windows(), y=np.zeros(4, int))
    run = put(tmp_path / "run.csv", csv_of(np.arange(1000) / 50, movement(1000)))
    lines = put(tmp_path / "w.jsonl", lines_of(*({"signal": movement(20, seed=i).tolist()} for i in range(5))))
    assert count_samples(tmp_path / "voice", VOICE) == 3
    assert count_samples(tmp_path / "voice" / "go" / "0.wav", VOICE) == 1
    assert count_samples(archive, WRIST) == 4
    assert count_samples(run, WRIST) == len(samples_of(run, WRIST, label="curl"))
    assert count_samples(lines, WRIST) == 5


def test_counting_what_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        count_samples(tmp_path / "nowhere", VOICE)


def shared_data(name: str) -> Path:
    root = Path(os.environ.get("EDGECL_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (root / name).exists():
        pytest.skip(f"{name} is not there: set EDGECL_DATA to the folder that holds it")
    return root / name


@pytest.mark.native("reads thousands of windows")
@pytest.mark.parametrize(
    ("name", "rate", "shape", "count", "labels", "groups"),
    [
        ("geotec_watch", 50.0, (64, 6), 2236, 5, 23),
        ("spar_watch", 50.0, (200, 6), 2229, 7, 10),
        ("physio_exercises", 25.0, (100, 12), 5400, 8, 5),
        ("hapt_uci_har", 50.0, (128, 6), 10969, 12, 30),
    ],
)
def test_real_windows_are_all_read(
    name: str, rate: float, shape: tuple[int, int], count: int, labels: int, groups: int
) -> None:
    contract = contract_of("imu", rate, tuple(f"c{i}" for i in range(shape[1])), shape[0], shape[0] // 2)
    samples = samples_of(shared_data(name) / "windows.npz", contract)
    assert len(samples) == count
    assert {sample.signal.shape for sample in samples} == {shape}
    assert len({sample.label for sample in samples}) == labels
    assert len({sample.group for sample in samples}) == groups


@pytest.mark.native("reads thousands of clips")
@pytest.mark.parametrize(
    ("name", "count", "labels", "skips"), [("fsdd", 2999, 10, 2), ("speech_commands", 2673, 36, 8)]
)
def test_real_speech_is_read_and_resampled(name: str, count: int, labels: int, skips: int) -> None:
    pytest.importorskip("soxr")
    pytest.importorskip("soundfile")
    items = list(read_samples(shared_data(name), VOICE))
    samples = [item for item in items if isinstance(item, Sample)]
    assert (len(samples), len(items) - len(samples)) == (count, skips)
    assert len({sample.label for sample in samples}) == labels


def test_what_is_packed_is_to_be_unpacked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unpack it first"):
        samples_of(put(tmp_path / "run.csv.gz", b"x"), WRIST, label="walk")


def test_files_of_a_folder_that_are_refused_name_the_option(tmp_path: Path) -> None:
    put(tmp_path / "walk" / "1.csv", "when,ax,ay,az\n" + "\n".join(f"{i / 50},1,2,{i}" for i in range(60)))
    found: list[Sample | Skip] = []
    with pytest.raises(DataError, match="nothing in") as raised:
        found.extend(read_samples(tmp_path, WRIST))
    assert raised.value.parameter == "time_column"
    (skipped,) = [one for one in found if isinstance(one, Skip)]
    assert (skipped.parameter, "parameter" in skipped.as_dict()) == ("time_column", False)


def test_classes_of_which_all_clips_are_of_a_lower_rate_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("soxr")
    for label, rates in {"go": (16000,) * 3, "stop": (8000,) * 3, "left": (8000, 16000, 8000)}.items():
        for index, rate in enumerate(rates):
            hertz = 300 + 10 * index + len(label)
            put(tmp_path / label / f"{index}.wav", wav(tone(hertz=hertz, rate=rate), rate=rate))
    assert len(samples_of(tmp_path)) == 9
    assert (
        "all clips of stop are below the 16000 Hz that the extractor takes, as 8000 Hz, and those of others are not: "
        "is that their rate? The classes may be told apart by it"
    ) in caplog.text
    caplog.clear()
    samples_of(tmp_path / "stop", label="stop")
    assert "told apart" not in caplog.text
