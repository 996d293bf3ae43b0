"""Open an extractor by its file or by the name of one that ships. Importable without numpy."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from edgecl.errors import ContractError

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor

BUILTIN = ("voice", "imu")  # the extractors that ship
VERIFIER = "eff_word_net"  # the package that has the network of `edgecl.extractors.verifier`
NETWORK = "models/resnet_50_arc/slim_93%_accuracy_72.7390%_qint8.onnx"
NETWORK_BYTES = 22_121_264  # of version 1.0.5; what ships was made with it
LARGEST_FILE = 1 << 30  # bytes; what a store accepts too
OBJECT, MODEL = ".npz", "model"  # suffix of an object of a store, and the name of the array in it: an extractor's bytes
LARGEST_METADATA = 1 << 21  # bytes, at the end of the file: more than a tokenizer takes


def open_extractor(path: str | Path, content: bytes | None = None, digest: str = "") -> FileExtractor:
    """Open an extractor by its content: ONNX, TFLite (extra `[tflite]`) or ONNX with a tokenizer (`[text]`).

    Parameters
    ----------
    content
        What is in the file, where it has been read.
    digest
        Sha256 of the content, where it is known to be that of a file which was opened before: its graph is not
        compared with its contract again.

    Raises
    ------
    ContractError
        There is no such file, it is of another kind, or its contract is missing or wrong.

    Examples
    --------
    >>> import numpy as np
    >>> extractor = open_extractor(builtin_extractor("voice"))
    >>> noise = np.random.default_rng(0).normal(size=(16000, 1)).astype(np.float32) / 10
    >>> extractor.latents([noise]).shape
    (1, 96)
    """
    from edgecl.extractors.contract import PREFIX

    content = extractor_bytes(path) if content is None else content
    if content[4:8] == b"TFL3":
        from edgecl.extractors.tflite import TfliteExtractor

        return TfliteExtractor(path, content)
    if content.find((PREFIX + "tokenizer").encode(), -LARGEST_METADATA) >= 0:
        from edgecl.extractors.text import TextExtractor

        return TextExtractor(path, content, digest)
    from edgecl.extractors.onnx import OnnxExtractor

    return OnnxExtractor(path, content, digest)


def extractor_bytes(path: str | Path) -> bytes:
    """Return the content of an extractor's file; raises ContractError."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is no regular file")
            if status.st_size > LARGEST_FILE:
                raise OSError(errno.EFBIG, f"it has more than {LARGEST_FILE >> 20} MiB")
            if Path(path).suffix != OBJECT:
                whole: bytes | None = file.read()
                if whole is None:
                    raise OSError(errno.EAGAIN, "it has no end")
                return whole
    except OSError as error:
        raise ContractError(f"{path} cannot be read ({error.strerror}): give the file of an extractor") from error
    import numpy as np

    try:  # the extractor of an upgraded store is an object of it
        with np.load(path, allow_pickle=False) as arrays:
            content = arrays[MODEL]
    except Exception as error:  # zipfile and numpy raise anything for what is no archive
        raise ContractError(f"{path} is not the object of an extractor: give the file of one") from error
    return bytes(content.tobytes())


def package_file(package: str, name: str) -> Path | None:
    """Return a file that a package carries, without importing the package; None where there is none."""
    from importlib.util import find_spec

    spec = find_spec(package)
    files = (Path(folder, name) for folder in (spec and spec.submodule_search_locations) or ())
    return next((file for file in files if file.is_file()), None)


def verifier_file() -> Path | None:
    """Return the file of the verifier's network; None where its package is not installed, or is another version."""
    file = package_file(VERIFIER, NETWORK)
    return file if file is not None and file.stat().st_size == NETWORK_BYTES else None


def extractor_file(extractor: str | Path) -> Path:
    """Return the file of an extractor, given by its path or as one of BUILTIN; raises as `builtin_extractor`."""
    return builtin_extractor(str(extractor)) if extractor in BUILTIN else Path(extractor)


def builtin_extractor(name: str) -> Path:
    """Return the file of the extractor that ships under this name.

    Raises
    ------
    ContractError
        There is none, or this is a checkout in which it has not been built.
    """
    path = Path(__file__).parents[1] / "data" / f"{name}.onnx"
    if not path.is_file():
        raise ContractError(
            f"no {name} extractor ships with this installation: build one and give its file", remedy="export"
        )
    return path
