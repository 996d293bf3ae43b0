"""TFLite extractors (extra `[tflite]`): one window in, one frame out.

The contract is `edgecl.json` in a zip archive after the model, where TFLite's own format keeps associated files: an
extractor is one file here too.
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import ContractError
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.contract import Contract
from edgecl.hashes import sha256

MEMBER = "edgecl.json"
TFLITE = b"TFL3"
LARGEST_CONTRACT = 1 << 24  # bytes
# what zipfile, its decompressors and json raise on what is no archive with a contract
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,
)


class TfliteExtractor(FileExtractor):
    """An extractor run by LiteRT or tflite-runtime, in one thread; raises ContractError as `OnnxExtractor` does."""

    _slides = False
    _takes_threads = False  # an interpreter has one input

    def __init__(self, path: str | Path, content: bytes) -> None:
        self.digest = sha256(content).hexdigest()
        end, metadata = parts(content)
        self.contract = Contract.from_metadata(metadata, file=path)
        if self.contract.graph_digest != sha256(content[:end]).hexdigest():
            raise ContractError(f"{path}: its graph is not the one that the contract was made for: export it again")
        self._interpreter = open_interpreter(content, path)
        self._input, self._output = self._interpreter.get_input_details()[0], self._interpreter.get_output_details()[0]
        taken, given = self.contract.window_samples * len(self.contract.channels), self.contract.dimension
        for declared, size in ((self._input, taken), (self._output, given)):
            shape, kind = declared["shape"].tolist(), np.dtype(declared["dtype"])
            if not _is_readable(declared) or math.prod(shape) != size:
                raise ContractError(f"{path}: the graph has {kind.name} {shape}, the contract states {size} float32")

    def _run(
        self, batch: NDArray[np.float32], state: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], None]:
        return run_once(self._interpreter, batch).reshape(1, 1, -1), None


def run_once(interpreter: Any, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a model answers; whole numbers of 8 bits are scaled as the model states, in and out."""
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    signal = batch.reshape(taken["shape"])
    if np.dtype(taken["dtype"]) != np.float32:
        scale, zero = taken["quantization"]
        limits = np.iinfo(taken["dtype"])
        signal = np.clip(np.rint(signal / scale) + zero, limits.min, limits.max).astype(taken["dtype"])
    interpreter.set_tensor(taken["index"], signal)
    interpreter.invoke()
    answer: NDArray[np.float32] = interpreter.get_tensor(given["index"])
    if answer.dtype != np.float32:
        scale, zero = given["quantization"]
        answer = (answer.astype(np.float32) - np.float32(zero)) * np.float32(scale)
    return answer


def _is_readable(declared: Any) -> bool:
    """Test whether a tensor is float32, or of 8 bits with a scale."""
    kind = np.dtype(declared["dtype"])
    return kind == np.float32 or (kind in (np.int8, np.uint8) and declared["quantization"][0] > 0)


def open_interpreter(content: bytes, path: str | Path) -> Any:
    """Return an interpreter of the installed runtime, ready to run; raises ContractError."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError as error:
            raise ContractError(f"{path} is TFLite, which needs a runtime: pip install edgecl[tflite]") from error
    try:
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ContractError(f"{path} is not TFLite that this runtime can load: {error}") from error
    return interpreter


def parts(content: bytes) -> tuple[int, dict[str, str]]:
    """Return where the model ends, and the texts of its contract, none if it has none."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if MEMBER not in archive.namelist():
                return archive.start_dir, {}
            member = archive.getinfo(MEMBER)
            if member.file_size > LARGEST_CONTRACT:
                return len(content), {}
            return member.header_offset, dict(json.loads(archive.read(member)))
    except DAMAGE:
        return len(content), {}
