"""Open_extractor(path), builtin_extractor(name), BUILTIN = ("voice", "imu")."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from edgecl.errors import ContractError
from edgecl.extractors.base import FileExtractor, read_file
from edgecl.extractors.contract import PREFIX
from edgecl.extractors.onnx import OnnxExtractor

LARGEST_METADATA = 1 << 21  # bytes, at the end of the file: more than a tokenizer takes


def open_extractor(path: str | Path) -> FileExtractor:
    """Open an extractor by what the file holds: ONNX, TFLite (extra `[tflite]`), ONNX with a tokenizer (`[text]`).

    Raises
    ------
    ContractError
        There is no such file, it is neither, or its contract is missing or wrong.

    Examples
    --------
    >>> import numpy as np
    >>> extractor = open_extractor(builtin_extractor("voice"))
    >>> noise = np.random.default_rng(0).normal(size=(16000, 1)).astype(np.float32) / 10
    >>> extractor.latents([noise]).shape
    (1, 96)
    """
    if read_file(path, limit=8)[4:] == b"TFL3":
        from edgecl.extractors.tflite import TfliteExtractor

        return TfliteExtractor(path)
    if (PREFIX + "tokenizer").encode() in read_file(path)[-LARGEST_METADATA:]:
        from edgecl.extractors.text import TextExtractor

        return TextExtractor(path)
    return OnnxExtractor(path)


def builtin_extractor(name: str) -> Path:
    """The file of the extractor that ships with edgecl under this name.

    Raises
    ------
    ContractError
        None does, or this is a checkout in which it has not been built.
    """
    path = Path(str(files("edgecl").joinpath("data", f"{name}.onnx")))
    if not path.is_file():
        like = "" if name == "voice" else " --like windows.npz"
        raise ContractError(
            f"no {name} extractor ships with this installation: make one with "
            f"`edgecl export {name}{like} -o {name}.onnx` and give that file"
        )
    return path
