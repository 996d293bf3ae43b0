"""Files that packages carry, found without importing them."""

from __future__ import annotations

import hashlib

from edgecl.errors import ContractError
from edgecl.extractors.opening import package_file


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
    path = package_file(package, name)
    if path is None:
        raise ContractError(f"{package} is not installed: pip install edgecl[{extra}]")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ContractError(f"{path} is not the file that edgecl was made for: pip install edgecl[{extra}]")
    return content
