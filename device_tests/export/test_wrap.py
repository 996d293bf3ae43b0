"""Contracts for models of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx", reason="the exporter needs the extra [export]")

from edgecl_export import export_wrap  # noqa: E402
from edgecl_export._contract import place, write  # noqa: E402
from edgecl_export._graph import Graph  # noqa: E402

from edgecl.errors import ContractError  # noqa: E402
from edgecl.extractors.base import FileExtractor  # noqa: E402
from edgecl.extractors.opening import open_extractor  # noqa: E402

pytestmark = pytest.mark.host
FLOAT = onnx.TensorProto.FLOAT
WEIGHTS = np.random.default_rng(7).normal(size=(10, 3, 5)).astype(np.float32)  # window, channels, D


def save(
    path: Path,
    nodes: list[Any],
    inputs: dict[str, tuple[Any, ...]],
    outputs: dict[str, tuple[Any, ...] | None],
    constants: dict[str, NDArray[Any]],
    *,
    opset: int = 17,
    kinds: dict[str, int] | None = None,
) -> Path:
    def info(name: str, shape: Any) -> Any:
        return onnx.helper.make_tensor_value_info(name, (kinds or {}).get(name, FLOAT), shape)

    graph = onnx.helper.make_graph(
        nodes,
        "theirs",
        [info(*one) for one in inputs.items()],
        [info(*one) for one in outputs.items()],
        [onnx.numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    opsets = [onnx.helper.make_opsetid("", opset)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def pooled(path: Path, *, batch: int | str = "n") -> Path:
    """Takes one window (batch, 10, 3) and gives (batch, 5)."""
    nodes = [
        onnx.helper.make_node("Reshape", ["x", "flat"], ["rows"]),
        onnx.helper.make_node("MatMul", ["rows", "w"], ["y"]),
    ]
    constants = {"flat": np.array([-1 if batch == "n" else batch, 30]), "w": WEIGHTS.reshape(30, 5)}
    return save(path, nodes, {"x": (batch, 10, 3)}, {"y": (batch, 5)}, constants)


def sliding(path: Path) -> Path:
    """Takes (batch, samples) and gives (batch, samples // 4, 4): windows of 4 side by side."""
    node = onnx.helper.make_node("Reshape", ["x", "blocks"], ["y"])
    return save(path, [node], {"x": ("n", "t")}, {"y": ("n", "k", 4)}, {"blocks": np.array([0, -1, 4])})


def wrapped(file: Path, **changes: Any) -> FileExtractor:
    said: dict[str, Any] = {
        "modality": "custom",
        "sample_rate_hz": 10,
        "channels": ("a", "b", "c"),
        "units": ("V",) * 3,
        "window_samples": 10,
        "hop_samples": 5,
        **changes,
    }
    out = file.with_name("wrapped.onnx")
    export_wrap(file, out, **said)
    return open_extractor(out)


def refused(file: Path, complaint: str, **changes: Any) -> None:
    with pytest.raises(ContractError, match=complaint):
        wrapped(file, **changes)
    assert sorted(file.parent.iterdir()) in ([file], [])


def test_a_model_without_frames_gives_one_a_window(tmp_path: Path, rng: np.random.Generator) -> None:
    extractor = wrapped(pooled(tmp_path / "m.onnx"), normalisation="none")
    signal = rng.normal(size=(20, 3)).astype(np.float32)
    expected = [np.einsum("tc,tcd->d", signal[start : start + 10], WEIGHTS) for start in (0, 5, 10)]
    np.testing.assert_allclose(extractor.frames(signal), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(extractor.latents([signal]), expected[-1:], rtol=1e-5, atol=1e-5)


def test_a_model_that_takes_one_window_at_a_time_is_given_one(tmp_path: Path, rng: np.random.Generator) -> None:
    single = wrapped(pooled(tmp_path / "m.onnx", batch=1), pool_frames=2)
    signals = [rng.normal(size=(15, 3)).astype(np.float32) for _ in range(3)]
    assert single.latents(signals).shape == (3, 5)


def test_a_model_that_slides_is_let_slide(tmp_path: Path) -> None:
    extractor = wrapped(sliding(tmp_path / "m.onnx"), channels=("x",), units=("V",), window_samples=4, hop_samples=4)
    assert extractor._slides
    np.testing.assert_array_equal(extractor.frames(np.arange(12.0)), np.arange(12.0).reshape(3, 4))


def test_what_is_said_of_the_model_is_in_its_contract(tmp_path: Path) -> None:
    mean = np.arange(5, dtype=np.float32)
    contract = wrapped(pooled(tmp_path / "m.onnx"), mean=mean, licence="MIT", shrinkage_floor=0.2).contract
    assert (contract.licence, contract.source, contract.dimension) == ("MIT", "m.onnx", 5)
    assert contract.shrinkage_floor == 0.2
    np.testing.assert_array_equal(contract.mean, mean)


def test_a_model_with_a_contract_is_not_wrapped_again(tmp_path: Path) -> None:
    wrapped(pooled(tmp_path / "m.onnx"))
    with pytest.raises(ContractError, match="carries a contract already"):
        wrapped(tmp_path / "wrapped.onnx")


def test_one_output_of_several_can_be_named(tmp_path: Path) -> None:
    nodes = [onnx.helper.make_node("Identity", ["x"], [name]) for name in ("state", "y")]
    shape = ("n", 1, 3)
    file = save(tmp_path / "m.onnx", nodes, {"x": shape}, {"state": shape, "y": shape}, {})
    refused(file, r"gives \['state', 'y'\].*--output", window_samples=1, hop_samples=1)
    assert wrapped(file, window_samples=1, hop_samples=1, output="y").contract.dimension == 3


def test_a_graph_without_a_contract_says_how_to_add_one(tmp_path: Path) -> None:
    file = pooled(tmp_path / "m.onnx")
    with pytest.raises(ContractError, match=r"m\.onnx has no contract") as raised:
        open_extractor(file)
    assert raised.value.remedy == "wrap"


def test_a_window_of_another_length_is_refused(tmp_path: Path) -> None:
    refused(pooled(tmp_path / "m.onnx"), r"wanted \(batch, 12, 3\), or \(batch, 3, 12\)", window_samples=12)


def test_several_frames_a_window_are_refused(tmp_path: Path) -> None:
    one = {"channels": ("x",), "units": ("V",)}
    refused(sliding(tmp_path / "m.onnx"), "with shape .*wanted one frame", window_samples=8, hop_samples=4, **one)


def test_whole_numbers_are_refused(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    shape = ("n", 10, 3)
    kinds = {"x": onnx.TensorProto.INT8, "y": onnx.TensorProto.INT8}
    file = save(tmp_path / "m.onnx", [node], {"x": shape}, {"y": shape}, {}, kinds=kinds)
    refused(file, "takes INT8 .*wanted FLOAT")


def test_images_are_refused(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    shape = ("n", 3, 32, 32)
    file = save(tmp_path / "m.onnx", [node], {"x": shape}, {"y": shape}, {})
    refused(file, r"takes \['n', 3, 32, 32\], wanted \(batch, samples, 3\)")


def test_a_newer_opset_is_refused(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    file = save(tmp_path / "m.onnx", [node], {"x": ("n", 10, 3)}, {"y": ("n", 10, 3)}, {}, opset=23)
    refused(file, "opset 23.*opset_version=17")


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x08\x08\x3a\xff\xff\x03"])
def test_a_file_that_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    refused(tmp_path / "m.onnx", "neither a sound ONNX model")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "m.onnx", "cannot be read")


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    model = onnx.load(pooled(tmp_path / "m.onnx"))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    with pytest.raises(ContractError, match="save it as one"):
        wrapped(tmp_path / "m.onnx")


def test_a_mean_of_another_length_is_refused(tmp_path: Path) -> None:
    refused(pooled(tmp_path / "m.onnx"), "wanted 5 finite numbers", mean=np.zeros(4, np.float32))


def test_a_contract_that_does_not_fit_its_graph_is_refused(tmp_path: Path) -> None:
    contract = wrapped(pooled(tmp_path / "m.onnx")).contract
    graph = Graph()
    graph.add("Identity", "signal", name="frames")
    shape = ("batch", 10, 3)
    model = graph.model(inputs={"signal": shape}, outputs={"frames": shape}, name="wrong")
    with pytest.raises(ContractError, match=r"frames are .* \['batch', 10, 3\]"):
        write(model, contract, tmp_path / "wrong.onnx")
    assert not (tmp_path / "wrong.onnx").exists()


def test_a_failed_export_leaves_the_older_file(tmp_path: Path) -> None:
    extractor = wrapped(pooled(tmp_path / "m.onnx"))
    before = (tmp_path / "wrapped.onnx").read_bytes()
    with pytest.raises(ContractError):
        place(before[:100], extractor.contract, tmp_path / "wrapped.onnx")
    assert (tmp_path / "wrapped.onnx").read_bytes() == before
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


# TFLite


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TFLite model that gives 5 numbers for a window (1, 10, 3): one fully connected layer."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs the extra [tflite]")
    flatbuffers = pytest.importorskip("flatbuffers")

    def tensor(name: str, shape: list[int], buffer: int) -> Any:
        one = schema.TensorT()
        one.name, one.shape, one.buffer, one.type = name, shape, buffer, schema.TensorType.FLOAT32
        return one

    weights = schema.BufferT()
    weights.data = np.frombuffer(np.ascontiguousarray(WEIGHTS.reshape(30, 5).T).tobytes(), np.uint8)
    options = schema.FullyConnectedOptionsT()
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [0, 1, -1], [2]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.FullyConnectedOptions, options
    graph = schema.SubGraphT()
    graph.tensors = [tensor("x", [1, 30], 0), tensor("w", [5, 30], 1), tensor("y", [1, 5], 0)]
    graph.inputs, graph.outputs, graph.operators = [0], [2], [operator]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    model = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [code]
    model.buffers = [schema.BufferT(), weights]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path_factory.mktemp("lite") / "m.tflite"
    path.write_bytes(bytes(builder.Output()))
    return path


def _wrapped_lite(lite: Path, tmp_path: Path) -> Path:
    (tmp_path / "m.tflite").write_bytes(lite.read_bytes())
    wrapped(tmp_path / "m.tflite", normalisation="none")
    return tmp_path / "wrapped.onnx"


def test_tflite_and_onnx_give_the_same_frames(lite: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    light = open_extractor(_wrapped_lite(lite, tmp_path))
    full = wrapped(pooled(tmp_path / "m.onnx"), normalisation="none")
    signal = rng.normal(size=(20, 3)).astype(np.float32)
    np.testing.assert_allclose(light.frames(signal), full.frames(signal), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(light.latents([signal] * 2), full.latents([signal] * 2), rtol=1e-5, atol=1e-5)


def test_wrapping_tflite_twice_gives_the_same_bytes(lite: Path, tmp_path: Path) -> None:
    assert _wrapped_lite(lite, tmp_path).read_bytes() == _wrapped_lite(lite, tmp_path).read_bytes()


def test_a_flipped_bit_in_tflite_is_noticed(lite: Path, tmp_path: Path) -> None:
    path = _wrapped_lite(lite, tmp_path)
    content = bytearray(path.read_bytes())
    at = bytes(content).index(WEIGHTS.reshape(30, 5).T.copy().tobytes()[:16])
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(ContractError, match="export it again"):
        open_extractor(path)


def test_tflite_without_a_contract_is_refused(lite: Path) -> None:
    with pytest.raises(ContractError, match="no contract"):
        open_extractor(lite)


def test_tflite_with_another_window_is_refused(lite: Path, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(lite.read_bytes())
    refused(tmp_path / "m.tflite", "wanted 33 numbers: 11 samples of 3 channels", window_samples=11)


def test_damaged_tflite_is_refused(lite: Path, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(lite.read_bytes()[:60])
    refused(tmp_path / "m.tflite", "not TFLite that this runtime can load")


def turned(path: Path, shape: tuple[Any, ...] = ("n", 3, "t")) -> Path:
    """Takes (batch, channels, samples), as PyTorch exports it."""
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[10]),
        onnx.helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        onnx.helper.make_node("Flatten", ["p"], ["y"]),
    ]
    return save(path, nodes, {"x": shape}, {"y": ("n", 5)}, {"w": WEIGHTS.transpose(2, 1, 0).copy()})


def test_channels_first_are_transposed_and_named(
    tmp_path: Path, rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    extractor = wrapped(turned(tmp_path / "m.onnx"), normalisation="none")
    assert "channels before time: its input is transposed" in caplog.text
    signal = rng.normal(size=(10, 3)).astype(np.float32)
    np.testing.assert_allclose(
        extractor.frames(signal), [np.einsum("tc,tcd->d", signal, WEIGHTS)], rtol=1e-4, atol=1e-4
    )


def test_a_model_of_random_answers_is_refused(tmp_path: Path) -> None:
    nodes = [
        onnx.helper.make_node("RandomNormalLike", ["x"], ["noise"]),
        onnx.helper.make_node("Add", ["x", "noise"], ["s"]),
        onnx.helper.make_node("ReduceMean", ["s"], ["y"], axes=[1], keepdims=0),
    ]
    refused(save(tmp_path / "m.onnx", nodes, {"x": ("n", 10, 3)}, {"y": ("n", 3)}, {}), "in two ways")


def test_a_model_of_one_answer_is_refused(tmp_path: Path) -> None:
    nodes = [
        onnx.helper.make_node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=0),
        onnx.helper.make_node("Mul", ["m", "zero"], ["y"]),
    ]
    file = save(tmp_path / "m.onnx", nodes, {"x": ("n", 10, 3)}, {"y": ("n", 3)}, {"zero": np.zeros(1, np.float32)})
    refused(file, "to every window")


def test_two_inputs_are_named(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Add", ["x", "lengths"], ["y"])
    file = save(tmp_path / "m.onnx", [node], {"x": ("n", 1, 3), "lengths": ("n", 1, 3)}, {"y": ("n", 1, 3)}, {})
    refused(file, "takes 2 inputs, x, lengths", window_samples=1, hop_samples=1)


def test_a_table_may_be_rows_of_features(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    file = save(tmp_path / "m.onnx", [node], {"x": ("n", 3)}, {"y": ("n", 3)}, {})
    table = wrapped(file, modality="table", sample_rate_hz=0, window_samples=1, hop_samples=1, normalisation="none")
    np.testing.assert_array_equal(table.latents([np.array([[1, 2, 3]], np.float32)]), [[1, 2, 3]])
