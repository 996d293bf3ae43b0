"""Backup and restore: a store as one file, signed where that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecl.errors import SettingError
from edgecl.operations.open_store import OpenStore
from edgecl.store.backup import Backup, restore_backup


def backup(opened: OpenStore, file: str | Path, *, sign: str | Path | None = None, overwrite: bool = False) -> Backup:
    """Write a store to one file; see `Learner.backup`."""
    signer = None
    if sign is not None:
        from edgecl.signatures import private_key, signed

        private_key(Path(sign))  # a key that cannot be used is refused before anything is read

        def signer(digest: str) -> Mapping[str, str]:
            return signed("backup", digest, Path(sign))

    return opened.store.backup(Path(file), sign=signer, overwrite=overwrite)


def restore(
    file: str | Path, path: str | Path, *, require_signature: str | Path | None = None, overwrite: bool = False
) -> Backup:
    """Make the store of a backup, whole or not at all; see `Learner.restore`."""
    file, path = Path(file), Path(path)
    if not file.exists():
        raise SettingError(f"{file} does not exist: name the file of a backup")

    def require(digest: str, members: Mapping[str, Any]) -> None:
        if require_signature is not None:
            from edgecl.signatures import require_signed

            require_signed("backup", digest, members, key=Path(require_signature), what=file)

    return restore_backup(file, path, require=require, overwrite=overwrite)
