"""A contract for a model of one's own, ONNX or TFLite."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgecl._tflite import MEMBER, TFLITE, open_interpreter, parts
from edgecl.errors import ContractError
from edgecl.extractor import Contract
from edgecl_export._contract import place, write

HIGHEST_OPSET, HIGHEST_IR = 21, 10


def export_wrap(
    file: Path,
    out: Path,
    *,
    modality: str,
    sample_rate_hz: float,
    channels: Sequence[str],
    units: Sequence[str],
    window_samples: int,
    hop_samples: int,
    pool_frames: int = 1,
    output: str | None = None,
    mean: NDArray[np.float32] | None = None,
    normalisation: str = "l2",
    shrinkage_floor: float = 0.1,
    source: str | None = None,
    licence: str = "not stated",
) -> Contract:
    """Add a contract to a model, after running it to see what it answers.

    Parameters
    ----------
    file
        ONNX or TFLite. It takes float32 (batch, samples, channels), or (batch, samples) of one channel, and gives
        float32 (batch, frames, D) or (batch, D).
    out
        The file to write: the same model, with an axis for the frames where it had none. ONNX keeps the contract
        in its metadata, TFLite in the zip archive that its format allows after the model.
    modality, sample_rate_hz, channels, units, window_samples, hop_samples, pool_frames
        As in `Contract`.
    mean, normalisation, shrinkage_floor
        As in `Contract`; by default no mean.
    output
        The one that gives the frames, where an ONNX graph has several.
    source, licence
        Of the weights; by default the file's name.

    Returns
    -------
    Contract
        As read back from the file.

    Raises
    ------
    ContractError
        The model cannot be read, takes or gives something else, or does not fit what is said of it.
    SettingError
        `out` cannot be written.
    """
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise ContractError(f"{file} cannot be read ({error.strerror}): give an ONNX or TFLite file") from error
    contract = Contract(
        modality=modality,
        sample_rate_hz=float(sample_rate_hz),
        channels=tuple(channels),
        units=tuple(units),
        window_samples=window_samples,
        hop_samples=hop_samples,
        pool_frames=pool_frames,
        dimension=1,  # until the model has answered
        mean=np.zeros(1, np.float32),
        normalisation=normalisation,
        shrinkage_floor=shrinkage_floor,
        source=Path(file).name if source is None else source,
        licence=licence,
    )
    wrap = _wrap_tflite if content[4:8] == TFLITE else _wrap_onnx
    return wrap(content, contract, Path(out), file=Path(file), mean=mean, output=output)


def _wrap_onnx(
    content: bytes,
    contract: Contract,
    out: Path,
    *,
    file: Path,
    mean: NDArray[np.float32] | None,
    output: str | None,
) -> Contract:
    model = _parsed(content, file)
    _adapt(model, contract, file, output=output)
    session = _session(model, file)
    signal = np.random.default_rng(0).normal(scale=1e-2, size=_shape(contract)).astype(np.float32)
    frames = _answer(session, signal, file)
    dimension = _dimension(frames.shape, contract, file)
    slides = _answers(session, _longer(signal, contract)) == (1, 2, dimension)
    is_batched = _answers(session, np.concatenate([signal, signal])) == (2, 1, dimension)
    batch = "batch" if is_batched else 1
    samples, count = ("samples", "frames") if slides else (contract.window_samples, 1)
    _declare(model.graph.input, "signal", (batch, samples, len(contract.channels)))
    _declare(model.graph.output, "frames", (batch, count, dimension))
    return write(model, _completed(contract, dimension, mean), out)


def _wrap_tflite(
    content: bytes,
    contract: Contract,
    out: Path,
    *,
    file: Path,
    mean: NDArray[np.float32] | None,
    output: str | None,
) -> Contract:
    end, _ = parts(content)
    given = open_interpreter(content, file).get_output_details()
    if output is not None or len(given) != 1:
        raise ContractError(f"{file} gives {len(given)} outputs, of a TFLite model wanted exactly one")
    dimension = _dimension(tuple(int(size) for size in given[0]["shape"]), contract, file)
    contract = replace(_completed(contract, dimension, mean), graph_digest=hashlib.sha256(content[:end]).hexdigest())
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:  # its date is 1980-01-01 unless told
        archive.writestr(zipfile.ZipInfo(MEMBER), json.dumps(contract.metadata(), ensure_ascii=False))
    return place(stream.getvalue(), contract, out)


def _parsed(content: bytes, file: Path) -> onnx.ModelProto:
    try:
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise ContractError(f"{file} is neither a sound ONNX model nor TFLite: {error}") from error
    tensors = model.graph.initializer
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in tensors):
        raise ContractError(f"{file} keeps weights in other files: save it as one, with save_as_external_data=False")
    opset = max(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    if opset > HIGHEST_OPSET:
        raise ContractError(
            f"{file} has opset {opset}, devices take up to {HIGHEST_OPSET}: export it with opset_version=17"
        )
    model.ir_version = min(model.ir_version, HIGHEST_IR)
    return model


def _adapt(model: onnx.ModelProto, contract: Contract, file: Path, *, output: str | None) -> None:
    """Make the graph take `signal` (batch, samples, channels) and give `frames` (batch, n, D)."""
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [one for one in graph.input if one.name not in constants]
    outputs = [one for one in graph.output if output in (None, one.name)]
    if len(inputs) != 1 or len(outputs) != 1:
        names = [one.name for one in graph.input if one.name not in constants], [one.name for one in graph.output]
        raise ContractError(
            f"{file} takes {names[0]} and gives {names[1]}, wanted one of each: name the frames with --output"
        )
    _require_float(inputs[0], "takes", file)
    _require_float(outputs[0], "gives", file)
    width = len(contract.channels)
    ranks = {3: [0, 0, width], 2: [0, -1]} if width == 1 else {3: [0, 0, width]}
    given = _sizes(inputs[0])
    if len(given) not in ranks:
        raise ContractError(f"{file} takes {given}, wanted (batch, samples, {width}): {', '.join(contract.channels)}")
    answer = _sizes(outputs[0])
    if answer and len(answer) not in (2, 3):
        raise ContractError(f"{file} gives {answer}, wanted (batch, frames, D) or (batch, D)")
    _reshape(graph, "signal", inputs[0].name, ranks[len(given)], first=True)
    _reshape(graph, outputs[0].name, "frames", [0, 1, -1] if len(answer) == 2 else [0, 0, -1], first=False)
    del graph.input[:], graph.output[:]
    _declare(graph.input, "signal", (None, None, width))
    _declare(graph.output, "frames", (None, None, None))


def _reshape(graph: onnx.GraphProto, source: str, target: str, shape: list[int], *, first: bool) -> None:
    """A node between the graph and the world; it also gives the tensors the names that extractors have."""
    name = f"edgecl_{source}_shape"
    graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), name))
    node = helper.make_node("Reshape", [source, name], [target], name=f"edgecl_{source}")
    if first:
        graph.node.insert(0, node)
    else:
        graph.node.append(node)


def _require_float(value: onnx.ValueInfoProto, verb: str, file: Path) -> None:
    kind = value.type.tensor_type.elem_type
    if kind != TensorProto.FLOAT:
        name = TensorProto.DataType.Name(kind)
        raise ContractError(f"{file} {verb} {name} ({value.name}), wanted FLOAT: add a Cast where it is exported")


def _sizes(value: onnx.ValueInfoProto) -> list[str | int]:
    return [one.dim_param or one.dim_value or "?" for one in value.type.tensor_type.shape.dim]


def _declare(values: Any, name: str, shape: tuple[str | int | None, ...]) -> None:
    del values[:]
    values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def _session(model: onnx.ModelProto, file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no other base
        raise ContractError(f"{file} cannot be loaded by ONNX Runtime: {error}") from error


def _answer(session: Any, signal: NDArray[np.float32], file: Path) -> NDArray[np.float32]:
    try:
        answer: NDArray[np.float32] = session.run(["frames"], {"signal": signal})[0]
    except Exception as error:  # ONNX Runtime's errors have no other base
        raise ContractError(
            f"{file} does not take a window of shape {signal.shape}: are --window and --channels its own? ({error})"
        ) from error
    return answer


def _answers(session: Any, signal: NDArray[np.float32]) -> tuple[int, ...] | None:
    """The shape of the answer; None where the model refuses that much."""
    try:
        return tuple(session.run(["frames"], {"signal": signal})[0].shape)
    except Exception:  # ONNX Runtime's errors have no other base; any of them means no
        return None


def _shape(contract: Contract) -> tuple[int, int, int]:
    return 1, contract.window_samples, len(contract.channels)


def _longer(signal: NDArray[np.float32], contract: Contract) -> NDArray[np.float32]:
    return np.pad(signal, ((0, 0), (0, contract.hop_samples), (0, 0)))


def _dimension(shape: tuple[int, ...], contract: Contract, file: Path) -> int:
    """D, if one window gives one frame."""
    if len(shape) not in (2, 3) or shape[:-1] not in ((1,), (1, 1)):
        raise ContractError(
            f"{file} answers a window of {contract.window_samples} samples with shape {shape}, "
            "wanted one frame (1, 1, D) or (1, D): is that its window?"
        )
    return shape[-1]


def _completed(contract: Contract, dimension: int, mean: NDArray[np.float32] | None) -> Contract:
    return replace(contract, dimension=dimension, mean=np.zeros(dimension, np.float32) if mean is None else mean)
