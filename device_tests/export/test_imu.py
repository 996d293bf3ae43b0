"""The movement exporter, against the formula in NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx", reason="the exporter needs the extra [export]")

from edgecl_export import export_imu  # noqa: E402

from edgecl.errors import DataError, SettingError  # noqa: E402
from edgecl.extractors.base import FileExtractor  # noqa: E402
from edgecl.extractors.opening import open_extractor  # noqa: E402

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def windows() -> NDArray[np.float32]:
    """Forty windows of six wandering channels, three of them a hundred times larger."""
    values = np.cumsum(np.random.default_rng(1).normal(size=(40, 64, 6)), axis=1)
    return (values * [1, 1, 1, 100, 100, 100] + [0, 0, 9.81, 0, 0, 0]).astype(np.float32)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, windows: NDArray[np.float32]) -> Path:
    path = tmp_path_factory.mktemp("imu") / "imu.onnx"
    export_imu(path, windows, rate_hz=50)
    return path


@pytest.fixture(scope="module")
def extractor(file: Path) -> FileExtractor:
    return open_extractor(file)


def naive(file: Path, window: NDArray[np.float32]) -> NDArray[np.float64]:
    """The features from the constants in the file, kernel by kernel in whole numbers."""
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(file).graph.initializer}
    steps = np.rint((window - constants["offset"]) * constants["scale"]).astype(np.int64)
    shares: list[float] = []
    for name in (name for name in constants if name.endswith("_kernels")):
        dilation = int(name.split("_")[1])
        reach = 4 * dilation
        padded = np.pad(steps, ((reach, reach), (0, 0)))
        outputs = [
            sum(padded[tap * dilation : tap * dilation + len(window)] @ kernel[:, tap] for tap in range(9))
            for kernel in constants[name].astype(np.int64)
        ]
        for half, part in enumerate(("half_0", "inside")):
            biases = constants[f"dilation_{dilation}_{part}_biases"]
            for output, row in zip(outputs[42 * half : 42 * half + 42], biases[:, :, 0], strict=True):
                inner = output[reach : len(window) - reach] if half else output
                shares += [float(np.mean(inner > bias)) for bias in row]
    levels = 0.25 / 1024 * np.concatenate([steps.mean(axis=0), steps.std(axis=0)])
    return np.concatenate([shares, levels])


def test_features_are_those_of_the_formula(file: Path, extractor: FileExtractor, windows: NDArray[np.float32]) -> None:
    for window in windows[:5]:
        np.testing.assert_allclose(extractor.frames(window)[0], naive(file, window), rtol=1e-5, atol=1e-5)


def test_there_are_924_shares_and_two_levels_a_channel(extractor: FileExtractor) -> None:
    assert extractor.contract.dimension == 924 + 12


def test_shares_lie_between_nought_and_one_and_spread(extractor: FileExtractor, windows: NDArray[np.float32]) -> None:
    shares = np.concatenate([extractor.frames(window) for window in windows])[:, :924]
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert np.mean(shares.std(axis=0) > 0.01) > 0.9


def test_the_mean_is_that_of_the_windows(extractor: FileExtractor, windows: NDArray[np.float32]) -> None:
    frames = np.concatenate([extractor.frames(window) for window in windows])
    np.testing.assert_allclose(frames.mean(axis=0), extractor.contract.mean, atol=1e-4)


def test_units_make_no_difference(extractor: FileExtractor, windows: NDArray[np.float32], tmp_path: Path) -> None:
    export_imu(tmp_path / "g.onnx", windows * np.float32(0.125), rate_hz=50)
    other = open_extractor(tmp_path / "g.onnx")
    np.testing.assert_array_equal(other.frames(windows[0] * np.float32(0.125)), extractor.frames(windows[0]))


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    file: Path, windows: NDArray[np.float32], tmp_path: Path
) -> None:
    again, other = tmp_path / "again.onnx", tmp_path / "other.onnx"
    export_imu(again, windows, rate_hz=50)
    export_imu(other, windows, rate_hz=50, seed=1)
    assert again.read_bytes() == file.read_bytes()
    assert other.read_bytes() != file.read_bytes()


def test_an_npz_says_rate_and_channels(windows: NDArray[np.float32], tmp_path: Path) -> None:
    names = [f"c{index}" for index in range(6)]
    np.savez(tmp_path / "w.npz", X=windows, rate_hz=np.float32(25), channels=names)
    contract = export_imu(tmp_path / "imu.onnx", tmp_path / "w.npz", units=["g"] * 6, hop_samples=16)
    assert contract.channels == tuple(names)
    assert contract.units == ("g",) * 6
    assert (contract.sample_rate_hz, contract.window_samples, contract.hop_samples) == (25.0, 64, 16)
    assert (contract.modality, contract.pool_frames, contract.shrinkage_floor) == ("imu", 1, 0.1)


def test_without_windows_it_is_calibrated_by_simulated_movement(tmp_path: Path) -> None:
    contract = export_imu(tmp_path / "imu.onnx")
    assert "simulated" in contract.source
    assert (contract.sample_rate_hz, len(contract.channels)) == (50.0, 6)
    assert 30_000 < (tmp_path / "imu.onnx").stat().st_size < 100_000


@pytest.mark.parametrize(("length", "channels"), [(9, 1), (17, 3), (200, 12), (33, 20)])
def test_windows_of_any_shape_give_as_many_shares(
    tmp_path: Path, rng: np.random.Generator, length: int, channels: int
) -> None:
    windows = rng.normal(size=(12, length, channels)).astype(np.float32)
    contract = export_imu(tmp_path / "imu.onnx", windows, rate_hz=10)
    assert contract.dimension == 924 + 2 * channels


def test_values_far_beyond_calibration_stay_exact(
    file: Path, extractor: FileExtractor, windows: NDArray[np.float32]
) -> None:
    frames = extractor.frames(windows[0] * np.float32(1e6))
    assert np.isfinite(frames).all()


def _refused(like: object, complaint: str, tmp_path: Path, error: type[Exception] = DataError) -> None:
    with pytest.raises(error, match=complaint):
        export_imu(tmp_path / "imu.onnx", like, rate_hz=50)  # type: ignore[arg-type]
    assert not (tmp_path / "imu.onnx").exists()


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (np.zeros((0, 64, 6)), "wanted numbers"),
        (np.zeros((10, 64)), "wanted numbers"),
        (np.full((3, 20, 2), "a"), "wanted numbers"),
        (np.zeros((10, 8, 6)), "9 or more"),
        (np.full((10, 20, 1), np.nan), "NaN"),
        (np.ones((10, 20, 2)) * [[1.0, 0.0]], "nothing ever changes in channel_1, channel_2"),
    ],
)
def test_windows_that_calibrate_nothing_are_refused(
    values: NDArray[np.float32], complaint: str, tmp_path: Path
) -> None:
    _refused(values, complaint, tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(content)
    _refused(tmp_path / "w.npz", "not an .npz that can be read", tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    _refused(tmp_path / "w.npz", "not an .npz that can be read", tmp_path)


def test_an_archive_without_windows_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", Y=np.zeros(3))
    _refused(tmp_path / "w.npz", "no array X", tmp_path)


def test_windows_without_a_rate_are_refused(windows: NDArray[np.float32], tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="give their rate"):
        export_imu(tmp_path / "imu.onnx", windows)


def test_names_must_fit_the_channels(windows: NDArray[np.float32], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="6 channels in the windows, but 2 names"):
        export_imu(tmp_path / "imu.onnx", windows, rate_hz=50, channels=["a", "b"])


def test_an_export_that_fails_half_way_leaves_what_was_there(
    tmp_path: Path, windows: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path) -> None:
        raise OSError("no memory")

    out, other = tmp_path / "imu.onnx", tmp_path / "imu.onnx.part"
    out.write_bytes(b"of yesterday")
    other.write_bytes(b"a user's own")
    monkeypatch.setattr("edgecl_export.imu.open_extractor", failing)
    with pytest.raises(OSError, match="no memory"):
        export_imu(out, windows, rate_hz=50)
    monkeypatch.undo()
    assert out.read_bytes() == b"of yesterday"
    export_imu(out, windows, rate_hz=50)
    assert sorted(tmp_path.iterdir()) == [out, other]
    assert other.read_bytes() == b"a user's own"
