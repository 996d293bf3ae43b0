"""A contract for a model of one's own, ONNX or TFLite."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgecl.errors import ContractError
from edgecl.extractors.contract import PREFIX, Contract
from edgecl.extractors.tflite import MEMBER, TFLITE, open_interpreter, parts
from edgecl_export._contract import place, write

HIGHEST_OPSET, HIGHEST_IR = 21, 10
_PREFIX = "own/"


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
    _refuse_contract({one.key: one.value for one in model.metadata_props}, file)
    taken, given = _ends(model, file, output=output)
    signal = np.random.default_rng(0).normal(scale=1e-2, size=_shape(contract)).astype(np.float32)
    only = signal[..., 0] if len(_sizes(taken)) == 2 else signal
    if only.ndim != len(_sizes(taken)) or (only.ndim == 2 and len(contract.channels) > 1):
        width = len(contract.channels)
        raise ContractError(
            f"{file} takes {_sizes(taken)}, wanted (batch, samples, {width}): {', '.join(contract.channels)}"
        )
    answer = _run(_session(model, file), taken.name, given.name, only, file)
    dimension = _dimension(answer, contract, file)

    model = _adapted(model, taken.name, given.name, in_rank=only.ndim, out_rank=len(answer), contract=contract)
    session = _session(model, file)
    slides = _shape_of(session, _longer(signal, contract)) == (1, 2, dimension)
    samples, count = ("samples", "frames") if slides else (contract.window_samples, 1)
    _declare(model.graph.input, "signal", (1, samples, len(contract.channels)))
    _declare(model.graph.output, "frames", (1, count, dimension))
    return write(model, _completed(contract, dimension, mean), out)


def _refuse_contract(texts: Mapping[str, str], file: Path) -> None:
    if any(key.startswith(PREFIX) for key in texts):
        raise ContractError(f"{file} carries a contract already: use it as it is, or wrap the model it was made of")


def _wrap_tflite(
    content: bytes,
    contract: Contract,
    out: Path,
    *,
    file: Path,
    mean: NDArray[np.float32] | None,
    output: str | None,
) -> Contract:
    end, texts = parts(content)
    _refuse_contract(texts, file)
    given = open_interpreter(content, file).get_output_details()
    if output is not None or len(given) != 1:
        raise ContractError(f"{file} gives {len(given)} outputs, of a TFLite model wanted exactly one")
    shape = tuple(int(size) for size in given[0]["shape"])
    if set(shape[:-1]) == {1}:
        shape = (1, shape[-1])  # an image model's (1, 1, 1, D): the extractor reshapes what goes in and comes out
    dimension = _dimension(shape, contract, file)
    contract = replace(_completed(contract, dimension, mean), graph_digest=hashlib.sha256(content[:end]).hexdigest())
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:  # its date is 1980-01-01 unless told
        archive.writestr(zipfile.ZipInfo(MEMBER), json.dumps(contract.metadata(), ensure_ascii=False))
    return place(stream.getvalue(), contract, out)


def _parsed(content: bytes, file: Path) -> onnx.ModelProto:
    try:
        model = onnx.load_from_string(content)
        if any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
            raise ContractError(f"{file} keeps its weights in other files: save it as one, without external data")
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise ContractError(f"{file} is neither a sound ONNX model nor TFLite: {error}") from error
    opset = max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=0)
    if opset > HIGHEST_OPSET:
        raise ContractError(
            f"{file} has opset {opset}, devices take up to {HIGHEST_OPSET}: export it with opset_version=17"
        )
    model.ir_version = min(model.ir_version, HIGHEST_IR)
    return model


def _ends(model: onnx.ModelProto, file: Path, *, output: str | None) -> tuple[onnx.ValueInfoProto, onnx.ValueInfoProto]:
    """The one input and the chosen output."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in constants]
    outputs = [one for one in model.graph.output if output in (None, one.name)]
    if len(inputs) != 1 or len(outputs) != 1:
        takes, gives = [one.name for one in inputs], [one.name for one in model.graph.output]
        raise ContractError(f"{file} takes {takes} and gives {gives}, wanted one each: name one with --output")
    _require_float(inputs[0], "takes", file)
    _require_float(outputs[0], "gives", file)
    return inputs[0], outputs[0]


def _adapted(
    model: onnx.ModelProto, taken: str, given: str, *, in_rank: int, out_rank: int, contract: Contract
) -> onnx.ModelProto:
    """The graph, its own names out of the way, with `signal` (batch, samples, channels) in and `frames` out."""
    model = onnx.compose.add_prefix(model, _PREFIX)
    graph = model.graph
    before = [0, -1] if in_rank == 2 else [0, 0, len(contract.channels)]
    after = [0, 1, -1] if out_rank == 2 else [0, 0, -1]
    for index, (source, target, shape) in enumerate(
        [("signal", _PREFIX + taken, before), (_PREFIX + given, "frames", after)]
    ):
        name = f"{target}_shape"
        graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), name))
        node = helper.make_node("Reshape", [source, name], [target], name=f"{target}_reshaped")
        graph.node.insert(index * len(graph.node), node)
    _declare(graph.input, "signal", (None, None, len(contract.channels)))
    _declare(graph.output, "frames", (None, None, None))
    return model


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


def _run(session: Any, taken: str, given: str, signal: NDArray[np.float32], file: Path) -> tuple[int, ...]:
    """The shape of the answer to one window."""
    try:
        return tuple(session.run([given], {taken: signal})[0].shape)
    except Exception as error:  # ONNX Runtime's errors have no other base
        raise ContractError(
            f"{file} does not take a window of shape {signal.shape}: are --window and --channels its own? ({error})"
        ) from error


def _shape_of(session: Any, signal: NDArray[np.float32]) -> tuple[int, ...] | None:
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
