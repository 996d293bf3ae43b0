"""`edgecl compare` as it is typed: what it prints, what it refuses and with which exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from edgecl.cli.app import main
from edgecl.extractors.contract import Contract

pytestmark = pytest.mark.native("plays every strategy several times")

TIME, CHANNELS, DIMENSION = 8, 2, 16


class Flat:
    """An extractor that lays a window flat."""

    digest = "0" * 64
    contract = Contract(
        modality="imu",
        sample_rate_hz=50.0,
        channels=("x", "y"),
        units=("g", "g"),
        window_samples=TIME,
        hop_samples=TIME,
        pool_frames=1,
        dimension=DIMENSION,
        mean=np.zeros(DIMENSION, np.float32),
        normalisation="l2",
        shrinkage_floor=0.1,
        source="test",
        licence="Apache-2.0",
    )

    def latents(self, signals: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        flat = np.stack([signal[-TIME:].ravel() for signal in signals])
        return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True), np.float32)


@pytest.fixture
def extractor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("edgecl.extractors.opening.open_extractor", lambda _: Flat())
    file = tmp_path / "flat.onnx"
    file.write_bytes(b"in its place")
    return file


def windows(path: Path, *, classes: int = 4, people: int = 4, each: int = 5, with_people: bool = True) -> Path:
    rng = np.random.default_rng(0)
    means = rng.standard_normal((classes, TIME, CHANNELS))
    y = np.repeat(np.arange(classes), people * each)
    subject = np.tile(np.repeat(np.arange(people), each), classes)
    arrays = {
        "X": (means[y] + 0.3 * rng.standard_normal((len(y), TIME, CHANNELS))).astype(np.float32),
        "y": y,
        "label_names": np.array([f"move {index}" for index in range(classes)]),
        "rate_hz": np.float32(50),
    }
    np.savez(path, **arrays, **({"subject": subject} if with_people else {}))
    return path


def compare(path: Path, extractor: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["compare", str(path), "--extractor", str(extractor), *arguments])


QUICK = ("--seeds", "2", "--experiences", "2", "--budgets", "20%")


def test_it_prints_tables_and_what_they_say(tmp_path: Path, extractor: Path) -> None:
    result = compare(windows(tmp_path / "w.npz"), extractor, *QUICK)
    assert result.exit_code == 0, result.output
    assert "80 samples of 4 classes by 4 subjects" in result.stdout
    for heading in ("After the last lesson", "What it costs", "How much old data", "What it says"):
        assert heading in result.stdout
    assert "On your data: " in result.stdout
    assert max(map(len, result.stdout.splitlines()[1:])) <= 110  # the first line names the path


def test_with_json_it_prints_one_object(tmp_path: Path, extractor: Path) -> None:
    result = compare(windows(tmp_path / "w.npz"), extractor, *QUICK, "--json")
    told = json.loads(result.stdout)
    assert told["recommendation"][0].startswith("On your data")
    assert [one["budget"] for one in told["budgets"]] == [0, 0, 0.2, 0.2, 1, 1]
    assert told["skipped"] == []


def test_people_may_arrive_one_after_another(tmp_path: Path, extractor: Path) -> None:
    result = compare(windows(tmp_path / "w.npz"), extractor, *QUICK, "--scenario", "domain", "--by", "subject")
    assert result.exit_code == 0, result.output
    assert "kept-back quarter" in " ".join(result.stdout.split())


def test_what_settles_how_data_is_read_is_settled_as_for_a_lesson(tmp_path: Path, extractor: Path) -> None:
    path = windows(tmp_path / "w.npz")
    with np.load(path) as read:
        arrays = dict(read)
    np.savez(path, **{**arrays, "y": arrays["y"] + 1})
    refused = compare(path, extractor, *QUICK)
    assert refused.exit_code == 4
    assert "(--labels-from)" in refused.stderr
    settled = compare(path, extractor, *QUICK, "--labels-from", "1")
    assert settled.exit_code == 0, settled.output
    assert "80 samples of 4 classes" in settled.stdout


def test_a_table_names_its_column_of_labels(tmp_path: Path, extractor: Path) -> None:
    times = np.arange(0, 3.2, 0.02)
    rows = [f"{at:.2f},{at % 0.3:.3f},{at % 0.2:.3f},{'ab'[at > 1.6]}" for at in times.tolist()]
    (tmp_path / "t.csv").write_text("clock,x,y,move\n" + "\n".join(rows) + "\n")
    named = compare(tmp_path / "t.csv", extractor, "--label-column", "move", "--time-column", "clock", *QUICK)
    assert named.exit_code == 0, named.output
    assert " samples of 2 classes" in named.stdout


def test_without_people_it_warns_that_it_splits_at_random(tmp_path: Path, extractor: Path) -> None:
    result = compare(windows(tmp_path / "w.npz", with_people=False), extractor, *QUICK)
    assert result.exit_code == 0, result.output
    assert "at random" in result.stderr


def test_only_the_strategies_asked_for_are_played(tmp_path: Path, extractor: Path) -> None:
    result = compare(windows(tmp_path / "w.npz"), extractor, *QUICK, "--json", "--strategies", "closed-form, naive")
    assert [one["strategy"] for one in json.loads(result.stdout)["strategies"]] == ["naive", "closed-form"]


@pytest.mark.parametrize(
    ("given", "arguments", "exit_code", "message"),
    [
        ({}, ("--experiences", "9"), 2, "4 classes"),
        ({}, ("--experiences", "1"), 2, "experiences"),
        ({}, ("--strategies", "magic"), 2, "'magic'"),
        ({}, ("--budgets", "much"), 2, "'much' is not a share"),
        ({}, ("--budgets", "nan"), 2, "between 0 and 100"),
        ({}, ("--budgets", "120%"), 2, "between 0 and 100"),
        ({}, ("--scenario", "task"), 2, "task"),
        ({}, ("--memory", "1KiB"), 2, "smallest"),
        ({"classes": 1}, (), 4, "one class"),
        ({"people": 1, "each": 20}, ("--by", "subject"), 4, "(--by)"),
        ({"people": 2, "each": 2}, (), 4, "5 samples"),
        ({"with_people": False}, ("--by", "subject"), 4, "a split by subject needs"),
        ({"with_people": False}, ("--scenario", "domain"), 4, "one after another"),
        ({"people": 2}, ("--scenario", "domain"), 4, "two or more lessons"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(
    tmp_path: Path,
    extractor: Path,
    given: dict[str, int],
    arguments: tuple[str, ...],
    exit_code: int,
    message: str,
) -> None:
    result = compare(windows(tmp_path / "w.npz", **given), extractor, *arguments)
    assert result.exit_code == exit_code, result.output
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_a_missing_path_is_bad_data(tmp_path: Path, extractor: Path) -> None:
    result = compare(tmp_path / "none", extractor)
    assert result.exit_code == 4
    assert "does not exist" in result.stderr


def test_a_missing_extractor_is_named(tmp_path: Path) -> None:
    result = compare(windows(tmp_path / "w.npz"), tmp_path / "none.onnx")
    assert result.exit_code == 5
    assert "none.onnx" in result.stderr


def test_one_person_may_be_split_at_random_when_asked(tmp_path: Path, extractor: Path) -> None:
    result = compare(windows(tmp_path / "w.npz", people=1, each=20), extractor, *QUICK, "--by", "none")
    assert result.exit_code == 0, result.output
    assert "at random" in result.stderr
