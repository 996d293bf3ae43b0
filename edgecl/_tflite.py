"""TFLite extractors (extra `[tflite]`): one window in, one frame out.

The contract is `edgecl.json`, in the zip archive that the format allows after the model (TFLite calls those
associated files), so that an extractor is one file here too.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import ContractError
from edgecl.extractor import Contract, FileExtractor, read_file

MEMBER = "edgecl.json"
TFLITE = b"TFL3"


class TfliteExtractor(FileExtractor):
    """An extractor run by LiteRT, or by tflite-runtime, in one thread; raises ContractError as `OnnxExtractor` does."""

    _slides = _takes_batches = False

    def __init__(self, path: str | Path) -> None:
        content = read_file(path)
        self.digest = hashlib.sha256(content).hexdigest()
        end = graph_end(content, path)
        self.contract = Contract.from_metadata(_metadata(content), file=path)
        if self.contract.graph_digest != hashlib.sha256(content[:end]).hexdigest():
            raise ContractError(f"{path}: its graph is not the one that the contract was made for: export it again")
        self._interpreter = open_interpreter(content, path)
        self._input, self._output = (
            details[0] for details in (self._interpreter.get_input_details(), self._interpreter.get_output_details())
        )
        self._require(path, self._input, self.contract.window_samples * len(self.contract.channels))
        self._require(path, self._output, self.contract.dimension)

    def _require(self, path: str | Path, declared: Any, size: int) -> None:
        shape = declared["shape"].tolist()
        if declared["dtype"] is not np.float32 or math.prod(shape) != size:
            kind = np.dtype(declared["dtype"]).name
            raise ContractError(
                f"{path}: the graph has {kind} {shape} ({declared['name']}), the contract says {size} numbers of float32"
            )

    def _run(
        self, batch: NDArray[np.float32], state: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], None]:
        self._interpreter.set_tensor(self._input["index"], batch.reshape(self._input["shape"]))
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"]).reshape(1, 1, -1), None


def open_interpreter(content: bytes, path: str | Path) -> Any:
    """The interpreter of whichever runtime is installed, ready to run; raises ContractError."""
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
        raise ContractError(f"{path} is not a TFLite file that this runtime can load: {error}") from error
    return interpreter


def graph_end(content: bytes, path: str | Path) -> int:
    """Where the model ends and the contract begins, or would begin."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if MEMBER in archive.namelist():
                return archive.getinfo(MEMBER).header_offset
            return archive.start_dir
    except zipfile.BadZipFile:
        return len(content)


def _metadata(content: bytes) -> dict[str, str]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            stated = json.loads(archive.read(MEMBER))
    except (zipfile.BadZipFile, KeyError, ValueError):
        return {}
    return {str(key): str(value) for key, value in stated.items()} if isinstance(stated, dict) else {}
