"""A contract for a model of one's own, ONNX or TFLite."""

from __future__ import annotations

import enum
import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Callable, Mapping, Sequence
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
from edgecl.extractors.tflite import MEMBER, TFLITE, open_interpreter, parts, run_once
from edgecl_export._contract import place, write

HIGHEST_OPSET, HIGHEST_IR = 21, 10
_PREFIX = "own/"
_LAST = _PREFIX + "channels_last"
logger = logging.getLogger("edgecl.export.wrap")


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
        ONNX or TFLite. It takes float32 (batch, samples, channels), as PyTorch exports it (batch, channels, samples),
        (batch, samples) of one channel or (batch, features) of a table, and gives float32 (batch, frames, D) or
        (batch, D).
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
    content = content_of(file, "an ONNX or TFLite file")
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
    model = parsed(content, file)
    taken, given = ends(model, file, output=output)
    signal = np.random.default_rng(0).normal(scale=1e-2, size=_shape(contract)).astype(np.float32)
    layout = _layout_of(taken, contract, file)
    answer = _run(open_session(model, file), taken.name, given.name, layout.of(signal), file)
    dimension = _dimension(answer, contract, file)
    if layout is Layout.CHANNELS_FIRST:
        logger.warning("%s takes %s, channels before time: its input is transposed", file, sizes_of(taken))

    model = _adapted(model, taken.name, given.name, layout=layout, out_rank=len(answer), contract=contract)
    session = open_session(model, file)
    require_answers(lambda one: session.run(["frames"], {"signal": one})[0], signal, file)
    slides = _shape_of(session, _longer(signal, contract)) == (1, 2, dimension)
    samples, count = ("samples", "frames") if slides else (contract.window_samples, 1)
    declare(model.graph.input, "signal", (1, samples, len(contract.channels)))
    declare(model.graph.output, "frames", (1, count, dimension))
    return write(model, completed(contract, dimension, mean), out)


class Layout(enum.Enum):
    """Axes of a model's input."""

    SAMPLES_FIRST = "(batch, samples, channels)"
    CHANNELS_FIRST = "(batch, channels, samples)"
    FLAT = "(batch, samples) of one channel, or (batch, features)"

    def of(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a signal (batch, samples, channels) as the model takes it."""
        match self:
            case Layout.SAMPLES_FIRST:
                return signal
            case Layout.CHANNELS_FIRST:
                return np.ascontiguousarray(signal.transpose(0, 2, 1))
        return signal.reshape(len(signal), -1)


def _layout_of(taken: onnx.ValueInfoProto, contract: Contract, file: Path) -> Layout:
    """Return the axes of the input, from the sizes that it states."""
    sizes, width, length = sizes_of(taken), len(contract.channels), contract.window_samples
    if len(sizes) == 2 and 1 in (width, length):
        return Layout.FLAT
    if len(sizes) != 3:
        raise ContractError(f"{file} takes {sizes}, wanted (batch, samples, {width}): {', '.join(contract.channels)}")
    _, first, second = sizes
    if _fits(first, length) and _fits(second, width):
        is_other = isinstance(first, str) and isinstance(second, str) and first.lower().startswith(("c", "ch"))
        return Layout.CHANNELS_FIRST if is_other else Layout.SAMPLES_FIRST
    if _fits(first, width) and _fits(second, length):
        return Layout.CHANNELS_FIRST
    raise ContractError(
        f"{file} takes {sizes}, wanted (batch, {length}, {width}), or (batch, {width}, {length}) with the channels "
        f"first: are --window {length} and --channels {','.join(contract.channels)} its own?"
    )


def _fits(size: str | int, wanted: int) -> bool:
    return isinstance(size, str) or size == wanted


def require_answers(
    run: Callable[[NDArray[np.float32]], NDArray[Any]], signal: NDArray[np.float32], file: Path
) -> None:
    """Refuse a model that answers one window in two ways, or all windows in one.

    Raises
    ------
    ContractError
        Two runs on one window differ, or different windows have the same answer.
    """
    first, again = run(signal), run(signal)
    if not np.array_equal(first, again, equal_nan=True):
        raise ContractError(
            f"{file} answers one window in two ways: it holds random nodes, such as dropout. Export it for inference, "
            "in PyTorch after model.eval()"
        )
    rng = np.random.default_rng(1)
    others = [run((scale * rng.normal(size=signal.shape)).astype(np.float32)) for scale in (1e-2, 0.3, 1, 10)]
    if all(np.array_equal(first, one, equal_nan=True) for one in others):
        raise ContractError(
            f"{file} answers {first.reshape(-1)[:3].tolist()} ... to every window, whatever is in it: are its weights "
            "those of the trained model, and is the output the right one?"
        )


def refuse_contract(texts: Mapping[str, str], file: Path) -> None:
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
    refuse_contract(texts, file)
    interpreter = open_interpreter(content, file)
    given = interpreter.get_output_details()
    if output is not None or len(given) != 1:
        raise ContractError(f"{file} gives {len(given)} outputs, of a TFLite model wanted exactly one")
    shape = tuple(int(size) for size in given[0]["shape"])
    if set(shape[:-1]) == {1}:
        shape = (1, shape[-1])  # an image model's (1, 1, 1, D): the extractor reshapes what goes in and comes out
    dimension = _dimension(shape, contract, file)
    contract = replace(completed(contract, dimension, mean), graph_digest=hashlib.sha256(content[:end]).hexdigest())
    signal = np.random.default_rng(0).normal(scale=1e-2, size=_shape(contract)).astype(np.float32)
    require_answers(lambda one: _answer(interpreter, one, file), signal, file)
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:  # its date is 1980-01-01 unless told
        archive.writestr(zipfile.ZipInfo(MEMBER), json.dumps(contract.metadata(), ensure_ascii=False))
    return place(stream.getvalue(), contract, out)


def _answer(interpreter: Any, signal: NDArray[np.float32], file: Path) -> NDArray[np.float32]:
    """Run a TFLite model on one window; a model of other sizes is refused when it is opened."""
    taken = interpreter.get_input_details()
    if len(taken) != 1:
        named = ", ".join(str(one["name"]) for one in taken)
        raise ContractError(f"{file} takes {len(taken)} inputs, {named}, and an extractor has one, the signal")
    if int(np.prod(taken[0]["shape"])) != signal.size:
        raise ContractError(
            f"{file} takes {taken[0]['shape'].tolist()}, wanted {signal.size} numbers: "
            f"{signal.shape[1]} samples of {signal.shape[2]} channels"
        )
    return run_once(interpreter, signal)


def content_of(file: Path, wanted: str) -> bytes:
    """Read a model's file; raises ContractError where that fails."""
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ContractError(f"{file} cannot be read ({error.strerror}): give {wanted}") from error


def parsed(content: bytes, file: Path) -> onnx.ModelProto:
    """Read an ONNX model that a device can run; raises ContractError where it is none, or has a contract already."""
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
    refuse_contract({one.key: one.value for one in model.metadata_props}, file)
    return model


def ends(model: onnx.ModelProto, file: Path, *, output: str | None) -> tuple[onnx.ValueInfoProto, onnx.ValueInfoProto]:
    """The one input and the chosen output."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in constants]
    outputs = [one for one in model.graph.output if output in (None, one.name)]
    if len(inputs) != 1:
        raise ContractError(
            f"{file} takes {len(inputs)} inputs, {', '.join(one.name for one in inputs)}, and an extractor has one, "
            "the signal: make the others constants where it is exported"
        )
    if len(outputs) != 1:
        takes, gives = [one.name for one in inputs], [one.name for one in model.graph.output]
        raise ContractError(f"{file} takes {takes} and gives {gives}, wanted one each: name one with --output")
    _require_float(inputs[0], "takes", file)
    _require_float(outputs[0], "gives", file)
    return inputs[0], outputs[0]


def _adapted(
    model: onnx.ModelProto, taken: str, given: str, *, layout: Layout, out_rank: int, contract: Contract
) -> onnx.ModelProto:
    """The graph, its own names out of the way, with `signal` (batch, samples, channels) in and `frames` out."""
    model = onnx.compose.add_prefix(model, _PREFIX)
    graph = model.graph
    if layout is Layout.CHANNELS_FIRST:
        node = helper.make_node("Transpose", [_LAST], [_PREFIX + taken], name="channels_first", perm=[0, 2, 1])
        graph.node.insert(0, node)
        taken = _LAST.removeprefix(_PREFIX)
    before = [0, -1] if layout is Layout.FLAT else [0, 0, len(contract.channels)]
    after = [0, 1, -1] if out_rank == 2 else [0, 0, -1]
    for index, (source, target, shape) in enumerate(
        [("signal", _PREFIX + taken, before), (_PREFIX + given, "frames", after)]
    ):
        name = f"{target}_shape"
        graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), name))
        node = helper.make_node("Reshape", [source, name], [target], name=f"{target}_reshaped")
        graph.node.insert(index * len(graph.node), node)
    declare(graph.input, "signal", (None, None, len(contract.channels)))
    declare(graph.output, "frames", (None, None, None))
    return model


def _require_float(value: onnx.ValueInfoProto, verb: str, file: Path) -> None:
    kind = value.type.tensor_type.elem_type
    if kind != TensorProto.FLOAT:
        name = TensorProto.DataType.Name(kind)
        raise ContractError(f"{file} {verb} {name} ({value.name}), wanted FLOAT: add a Cast where it is exported")


def sizes_of(value: onnx.ValueInfoProto) -> list[str | int]:
    return [one.dim_param or one.dim_value or "?" for one in value.type.tensor_type.shape.dim]


def declare(values: Any, name: str, shape: tuple[str | int | None, ...] | None) -> None:
    """Replace the inputs or outputs of a graph by one of a shape; None leaves it open."""
    del values[:]
    values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def open_session(model: onnx.ModelProto, file: Path) -> Any:
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


def completed(contract: Contract, dimension: int, mean: NDArray[np.float32] | None) -> Contract:
    return replace(contract, dimension=dimension, mean=np.zeros(dimension, np.float32) if mean is None else mean)
