"""Open an extractor by its file or by the name of one that ships. Importable without numpy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgecl.errors import ContractError

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor

BUILTIN = ("voice", "imu")  # the extractors that ship
VERIFIER = "eff_word_net"  # the package that has the network of `edgecl.extractors.verifier`
NETWORK = "models/resnet_50_arc/slim_93%_accuracy_72.7390%_qint8.onnx"
NETWORK_BYTES = 22_121_264  # of version 1.0.5; what ships was made with it
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
    from edgecl.extractors.base import extractor_bytes
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
