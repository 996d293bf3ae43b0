"""An extractor that runs in ONNX Runtime, and how its session is set up."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import ContractError, DataError
from edgecl.extractors.base import FileExtractor, Step, finite, is_finite
from edgecl.extractors.contract import Contract
from edgecl.hashes import sha256

FIRST_CHUNK_BYTES = 4 << 20
_LARGE_BYTES = 8 << 20  # of a file, from which on opening it leaves memory worth giving back
_METADATA_PROPS = 14  # the field of ModelProto in onnx.proto


class OnnxExtractor(FileExtractor):
    """An extractor run by ONNX Runtime, in one thread that sleeps between runs.

    Parameters
    ----------
    path
        An ONNX file with a contract, which errors name.
    content
        What is in it.
    digest
        As of `open_extractor`.

    Raises
    ------
    ContractError
        It is not ONNX, it has no contract or not the one it was given, or the graph differs from the contract.
    """

    def __init__(self, path: str | Path, content: bytes, digest: str = "") -> None:
        self._session, self.contract, self.digest, _ = open_graph(path, content, digest)
        signal, frames = self._check(path)
        self._names = signal.name, frames.name
        defaults = [one.name for one in self._session.get_overridable_initializers()]
        self._answers = [frames.name, *(["next_state"] if "state" in defaults else [])]
        self._slides = not isinstance(signal.shape[1], int) and frames.shape[1] != 1

    def _check(self, path: str | Path) -> tuple[Any, Any]:
        """Return the signal and the frames, as the graph declares them."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or not outputs:
            names = [one.name for one in inputs]
            raise ContractError(f"{path}: the graph wants {names or 'nothing'}, an extractor takes one signal")
        signal, frames = inputs[0], outputs[0]
        self._require(path, "signal", signal, len(self.contract.channels))
        self._require(path, "frames", frames, self.contract.dimension)
        return signal, frames

    def _require(self, path: str | Path, what: str, declared: Any, last: int) -> None:
        given = f"{declared.type} {declared.shape}"
        if declared.type != "tensor(float)" or len(declared.shape) != 3 or declared.shape[2] != last:
            raise ContractError(
                f"{path}: the graph's {what} are {given}, the contract states float (batch, n, {last}): "
                "wrap the graph again",
                remedy="wrap",
            )

    def _run(
        self, batch: NDArray[np.float32], state: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        feeds = {self._names[0]: batch}
        if state is not None:
            feeds["state"] = state
        try:
            frames, *rest = self._session.run(self._answers, feeds)
        except Exception as error:  # ONNX Runtime's errors have no other base
            raise _refused(batch, error) from error
        return frames, (rest[0] if rest else None)

    def one_by_one(self) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """As of any extractor; what is one row of a table runs in arrays that stay, in half the time."""
        contract = self.contract
        if contract.modality != "table" or contract.clip_samples != 1 or contract.pool_frames != 1 or self._answers[1:]:
            return super().one_by_one()
        row = np.zeros((1, 1, len(contract.channels)), np.float32)
        frames = np.zeros((1, 1, contract.dimension), np.float32)
        run = self._bound({self._names[0]: row}, {self._answers[0]: frames})

        def latent(signal: NDArray[np.float32]) -> NDArray[np.float32]:
            row[0] = self.checked(signal)
            try:
                run()
            except Exception as error:  # ONNX Runtime's errors have no other base
                raise _refused(row, error) from error
            return self.pool(finite(frames))

        return latent

    def hop_by_hop(self, state: NDArray[np.float32]) -> Step:
        """As of any extractor; in arrays that stay: ONNX Runtime makes and checks new ones at each call otherwise."""
        contract = self.contract
        samples = contract.hop_samples * len(contract.channels)
        both = np.zeros(samples + contract.dimension, np.float32)  # which one test looks at
        hop, frames = both[:samples].reshape(1, contract.hop_samples, -1), both[samples:].reshape(1, 1, -1)
        states = state.copy(), np.empty_like(state)  # read and written in turn
        runs = [
            self._bound({self._names[0]: hop, "state": now}, dict(zip(self._answers, (frames, after), strict=True)))
            for now, after in (states, states[::-1])
        ]
        turn = 0

        def step(signal: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            nonlocal turn
            hop[0] = signal
            try:
                runs[turn]()
            except Exception as error:  # ONNX Runtime's errors have no other base
                raise _refused(hop, error) from error
            if not math.isfinite(both.dot(both)) and not is_finite(both):
                self.checked(signal)
                finite(frames)
            turn = 1 - turn
            return frames[0].copy(), states[turn]

        return step

    def _bound(
        self, given: Mapping[str, NDArray[np.float32]], answers: Mapping[str, NDArray[np.float32]]
    ) -> Callable[[], None]:
        """Return what runs the graph on arrays that stay, and writes its answers to such."""
        binding = self._session.io_binding()
        for name, array in given.items():
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for name, array in answers.items():
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        # what ONNX Runtime's own method calls, without asking at each call for a GPU: 5 us where caches are cold
        session, bound = getattr(self._session, "_sess", self._session), getattr(binding, "_iobinding", binding)
        run: Any = partial(session.run_with_iobinding, bound, None)
        run.held = (*given.values(), *answers.values(), binding)  # whose addresses it has
        return cast("Callable[[], None]", run)


def _refused(batch: NDArray[np.float32], error: Exception) -> DataError:
    return DataError(f"the extractor cannot take a signal of shape {batch.shape}: {error}")


def open_graph(path: str | Path, content: bytes, digest: str = "") -> tuple[Any, Contract, str, Mapping[str, str]]:
    """Open the content of an ONNX file with a contract; the digest is as of `open_extractor`.

    Returns
    -------
    tuple
        The session, the contract, the sha256 of the file and its metadata.

    Raises
    ------
    ContractError
        It is not ONNX, or it has no contract or that of another graph.
    """
    is_known = bool(digest)
    try:
        require_self_contained(content)
        digest, of_graph = (digest, "") if is_known else digests(content)
    except ValueError as error:
        raise ContractError(f"{path} is not an ONNX file that can be used: {error}") from error
    session = onnx_session(content, path)
    metadata: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    contract = Contract.from_metadata(metadata, file=path)
    if not is_known and contract.graph_digest != of_graph:
        raise ContractError(f"{path}: its graph is not the one that the contract was made for: export it again")
    return session, contract, digest, metadata


def onnx_session(content: bytes, path: str | Path) -> Any:
    """Open a session of ONNX Runtime, in one thread that sleeps between runs; raises ContractError."""
    # ONNX Runtime 1.32 reports its use to its maker from the moment it is imported: a device keeps to itself
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.use_env_allocators", "1" if _has_arena() else "0")
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no other base
        raise ContractError(f"{path} is not an ONNX file that this ONNX Runtime can load: {error}") from error
    session._model_bytes = None  # kept for a change of providers, of which there is one: megabytes
    if len(content) >= _LARGE_BYTES:
        _give_back()
    return session


def _give_back() -> None:
    """Give the system what a large model took while it was opened: 50 MB of the text extractor, in 2 ms."""
    import ctypes

    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # which is glibc's alone
        trim(0)


@cache
def _has_arena() -> bool:
    """Give the sessions of this process one arena, whose first chunk takes a run of the voice extractor.

    The second run of a signal's length lays its tensors out in one block. Where the first chunk is ONNX Runtime's own
    of 1 MiB that block takes 2 MB more, and a millisecond: here it has the place of the first run's tensors.
    """
    import onnxruntime as runtime

    kind, whole = runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, runtime.OrtMemType.DEFAULT
    try:
        arena = runtime.OrtArenaCfg(0, -1, FIRST_CHUNK_BYTES, -1)
        runtime.create_and_register_allocator(runtime.OrtMemoryInfo("Cpu", kind, 0, whole), arena)
    except Exception:  # ONNX Runtime's errors have no other base
        return False
    return True


def graph_digest(model: bytes) -> str:
    """Return the sha256 of a serialised ONNX model without its metadata; raises as `digests` does."""
    return digests(model)[1]


def digests(model: bytes) -> tuple[str, str]:
    """Return the sha256 of a serialised ONNX model, and that of the model without its metadata.

    Read by hand, because a device has no `onnx`: of the top-level fields of ModelProto, in their order, all but
    `metadata_props`. These usually come last; what is before them is read once for both.

    Raises
    ------
    ValueError
        It is not a serialised message, or cut short.
    """
    of_graph, of_file, whole = sha256(of_bytes=len(model)), None, memoryview(model)
    for number, start, _, end in _fields(model, 0, len(model)):
        if number != _METADATA_PROPS:
            of_graph.update(whole[start:end])
        elif of_file is None:
            of_file, rest = of_graph.copy(), start
    if of_file is None:
        return of_graph.hexdigest(), of_graph.hexdigest()
    of_file.update(whole[rest:])
    return of_file.hexdigest(), of_graph.hexdigest()


def require_self_contained(model: bytes) -> None:
    """Refuse an ONNX model of which a part is not in its bytes, or that runs what ONNX Runtime does not ship.

    Weights in another file would be resolved against the working folder, and are in no digest.

    Raises
    ------
    ValueError
        It is not a serialised message, has external data, an operator of a custom domain, or one that reads files.
    """
    to_read, left = [("model", 0, len(model))], MOST_FIELDS
    while to_read:
        kind, start, end = to_read.pop()
        known = _READ[kind]
        for number, _, at, after in _fields(model, start, end):
            left -= 1
            if not left:
                raise ValueError(f"it has more than {MOST_FIELDS:,} fields")
            inner = known.get(number)
            if inner is None:
                continue
            if inner == "external" and model[at:after] != _IN_PLACE:
                raise ValueError("its weights are in another file: save the model as one file")
            if inner == "domain" and bytes(model[at:after]).decode("utf-8", "replace") not in _DOMAINS:
                name = ascii(bytes(model[at:after]))[1:60]
                raise ValueError(f"it has operators of the domain {name}, which no ONNX Runtime ships")
            if inner == "operator" and model[at:after] in _READS_FILES:
                raise ValueError(f"its operator {bytes(model[at:after]).decode()} reads other files")
            if inner in _READ:
                to_read.append((inner, at, after))


MOST_FIELDS = 500_000  # the text extractor, of 22 million weights, has some thousands
# of each message of onnx.proto the fields that matter: a message, or what is judged
_READ: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "opset": {1: "domain"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {4: "operator", 5: "attribute", 7: "domain"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external", 14: "external"},
}
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "ai.onnx.training", "ai.onnx.preview.training"}
_IN_PLACE = b"\0"  # TensorProto.DEFAULT
_READS_FILES = {b"EPContext", b"PyOp", b"PythonOp"}


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, start, start of the content and end of each field of a message; raises ValueError.

    Numbers of one byte, which nearly all are, are read here: that halves the time of a graph.
    """
    try:
        while at < end:
            start, tag, at = at, data[at], at + 1
            if tag > 0x7F:
                tag, at = _varint(data, start)
            if tag >> 32 or not tag >> 3:  # which others may cut to a field that was not judged
                raise ValueError("no such field")
            content = at
            match tag & 7:
                case 2:
                    length, content = data[at], at + 1
                    if length > 0x7F:
                        length, content = _varint(data, at)
                    at = content + length
                case 0:
                    _, at = _varint(data, at)
                case 1:
                    at += 8
                case 5:
                    at += 4
                case kind:
                    raise ValueError(f"no field of kind {kind}")
            if at > end:
                raise ValueError("cut short")
            yield tag >> 3, start, content, at
    except IndexError:
        raise ValueError("cut short") from None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("cut short")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("no such number")
