"""Angular rates in another unit than those that the extractor was calibrated by."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl import Learner
from edgecl.errors import DataError
from edgecl.extractors.base import Extractor
from edgecl.operations import rates
from edgecl.sources.samples import Sample

from ..support.commands import edgecl

pytestmark = pytest.mark.native("exports an extractor of movement")
UNUSED = cast(Extractor, None)
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")


def windows(count: int, *, seed: int, hertz: float = 1.5) -> NDArray[np.float32]:
    """Walks: acceleration in m/s² with gravity, rates in rad/s."""
    draw = np.random.default_rng(seed)
    times = np.arange(100) / 50
    phases = draw.uniform(0, 6, (count, 1, 6))
    moved = np.sin(2 * np.pi * hertz * times[None, :, None] + phases) + 0.2 * draw.normal(size=(count, 100, 6))
    return (moved * [2, 2, 2, 0.8, 0.8, 0.8] + [0, 0, 9.81, 0, 0, 0]).astype(np.float32)


@pytest.fixture(scope="module")
def wrist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
    folder = tmp_path_factory.mktemp("rates")
    np.savez(folder / "like.npz", X=windows(20, seed=0), y=np.arange(20) % 2, label_names=["a", "b"], rate_hz=50.0,
             channels=CHANNELS)  # fmt: skip
    assert edgecl("export", "imu", "--like", folder / "like.npz", "-o", folder / "imu.onnx").code == 0
    assert edgecl("init", folder / "wrist", "--extractor", folder / "imu.onnx").code == 0
    return folder / "wrist"


def lesson(folder: Path, factor: float) -> Path:
    signals = windows(8, seed=1)
    signals[:, :, 3:] *= factor
    np.savez(folder / "lesson.npz", X=signals, y=np.zeros(8, int), label_names=["walk"], rate_hz=50.0,
             channels=CHANNELS)  # fmt: skip
    return folder / "lesson.npz"


def test_zeros_in_place_of_lost_rows_are_not_taken_for_rates_of_another_unit(wrist: Path, tmp_path: Path) -> None:
    signals = windows(16, seed=1)
    signals[:, 40:45] = 0
    signals[:, :, 3:] *= 0.1  # little turning: zeros make the acceleration vary far more
    np.savez(tmp_path / "lost.npz", X=signals, y=np.zeros(16, int), label_names=["walk"], rate_hz=50.0,
             channels=CHANNELS)  # fmt: skip
    done = edgecl("learn", wrist, tmp_path / "lost.npz", "--dry-run")
    assert done.code == 0, done.err
    assert "in 16 of 16 windows rows are zero" in done.err


@pytest.mark.parametrize(("factor", "looks"), [(57.3, "degrees"), (1 / 57.3, "radians")])
def test_rates_of_another_unit_are_refused_with_the_option_that_settles_it(
    wrist: Path, tmp_path: Path, factor: float, looks: str
) -> None:
    done = edgecl("learn", wrist, lesson(tmp_path, factor), "--dry-run")
    assert done.code == 4
    assert f"are they in {looks} per second?" in done.err
    assert "(--scale)" in done.err
    settled = edgecl("learn", wrist, tmp_path / "lesson.npz", "--dry-run", "--scale", f"gyro={1 / factor:.6g}")
    assert settled.code == 0
    assert edgecl("learn", wrist, tmp_path / "lesson.npz", "--dry-run", "--scale", "gyro=1").code == 0


@pytest.mark.parametrize("factor", [57.3 * 131, 57_300], ids=["counts", "thousandths"])
def test_counts_are_not_taken_for_degrees(wrist: Path, tmp_path: Path, factor: float) -> None:
    done = edgecl("learn", wrist, lesson(tmp_path, factor), "--dry-run")
    assert done.code == 4
    assert "gyro_x and the like are beyond 4000, which no sensor measures: are they counts of it" in done.err
    assert "such as gyro=1.75e-05 of thousandths of a degree (--scale)" in done.err


def test_one_class_in_another_unit_is_found_behind_others(wrist: Path, tmp_path: Path) -> None:
    signals, labels = windows(60, seed=2), np.arange(60) // 40
    signals[labels == 1, :, 3:] *= 57.3
    np.savez(tmp_path / "two.npz", X=signals, y=labels, label_names=["walk", "run"], rate_hz=50.0, channels=CHANNELS)
    done = edgecl("learn", wrist, tmp_path / "two.npz", "--dry-run")
    assert (done.code, "two.npz[40]: gyro_x and the like" in done.err) == (4, True)


def test_no_window_of_one_label_is_judged_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[list[str | None]] = []
    monkeypatch.setattr(rates, "check_rates", lambda some, _: judged.append([one.label for one in some]))
    walks, runs = ([Sample("x", label, one, None) for one in windows(10, seed=1)] for label in ("walk", "run"))
    assert list(rates.in_calibrated_units(walks, UNUSED)) == walks
    assert judged == [["walk"] * 10]
    assert list(rates.in_calibrated_units([*walks, *runs[:3]], UNUSED)) == [*walks, *runs[:3]]
    assert judged[2:] == [["walk"] * 8, ["run"] * 3]


def test_a_prediction_is_not_made_of_another_unit(wrist: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "good.npz", X=windows(8, seed=1), rate_hz=50.0, channels=CHANNELS)
    assert edgecl("learn", wrist, tmp_path / "good.npz", "--label", "walk").code == 0
    done = edgecl("predict", wrist, lesson(tmp_path, 57.3))
    assert (done.code, "are they in degrees per second?" in done.err) == (4, True)


def test_rates_of_the_calibrated_unit_are_taken_fast_slow_or_at_rest(wrist: Path, tmp_path: Path) -> None:
    for factor in (0.3, 1.0, 3.0):
        assert edgecl("learn", wrist, lesson(tmp_path, factor), "--dry-run").code == 0
    still = 0.001 * windows(8, seed=2) + [0, 0, 9.8, 0, 0, 0]
    assert Learner.open(wrist).learn({"still": still.astype(np.float32)}, dry_run=True).samples == 8


def test_arrays_from_python_are_looked_at_too(wrist: Path) -> None:
    signals = windows(8, seed=1)
    signals[:, :, 3:] *= 57.3
    with pytest.raises(DataError, match="degrees per second"):
        Learner.open(wrist).learn({"walk": signals}, dry_run=True)


@pytest.mark.parametrize(("channels", "name"), [(slice(3), "acc_x"), (slice(3, 6), "gyro_x")])
def test_a_sensor_that_never_changes_is_named_and_not_taken_for_another_unit(
    wrist: Path, tmp_path: Path, channels: slice, name: str
) -> None:
    signals = windows(8, seed=1)
    signals[:, :, channels] = [0, 0, 9.81] if name == "acc_x" else 0
    np.savez(tmp_path / "lesson.npz", X=signals, y=np.zeros(8, int), label_names=["walk"], rate_hz=50.0,
             channels=CHANNELS)  # fmt: skip
    done = edgecl("learn", wrist, tmp_path / "lesson.npz", "--dry-run")
    assert done.code == 4
    assert f"{name} and the like never change while the others do" in done.err
    assert edgecl("learn", wrist, tmp_path / "lesson.npz", "--dry-run", "--scale", "acc=1").code == 0
