"""Files that packages carry, found without importing them."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from edgecl.errors import ContractError


def packaged(package: str, name: str, digest: str, *, extra: str) -> bytes:
    """Return a file of a package.

    Parameters
    ----------
    name
        Its path in the package.
    digest
        Its sha256.
    extra
        The extra of edgecl that brings the package.

    Raises
    ------
    ContractError
        The package is not installed, or its file is another one.
    """
    spec = importlib.util.find_spec(package)
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or []]
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None:
        raise ContractError(f"{package} is not installed: pip install edgecl[{extra}]")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ContractError(f"{path} is not the file that edgecl was made for: pip install edgecl[{extra}]")
    return content
