"""Backup and restore: a store as one file, signed where that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecl.errors import SettingError
from edgecl.operations.open_store import OpenStore
from edgecl.store.backup import Backup, restore_backup


def backup(opened: OpenStore, file: str | Path, *, sign: str | Path | None = None, overwrite: bool = False) -> Backup:
    """Write a store to one file: every kept revision and the journal, not the recordings of the inbox.

    Parameters
    ----------
    file
        The file to write, with mode 0600: it has what the store has.
    sign
        PEM file of an Ed25519 private key.
    overwrite
        Replace a file that is there.

    Raises
    ------
    SettingError
        When the file is there already, or the key cannot be used.
    StoreDamagedError
        When the store is damaged.
    StoreLockedError
        When another process is writing.
    EdgeclError
        When the file cannot be written.
    """
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
    """Make the store of a backup, whole or not at all.

    Parameters
    ----------
    file
        What `backup` wrote.
    path
        The folder to make.
    require_signature
        PEM file of the Ed25519 public key that has to have signed it.
    overwrite
        Replace the store that is there: what it has learnt since is lost.

    Raises
    ------
    SettingError
        When the path is taken, or the key cannot be used.
    StoreDamagedError
        When the file is no backup, damaged, or not of a sound store.
    ModelError
        When it is not signed by that key.
    EdgeclError
        When it cannot be read, or the store cannot be written.
    """
    file, path = Path(file), Path(path)
    if not file.exists():
        raise SettingError(f"{file} does not exist: name the file of a backup")

    def require(digest: str, members: Mapping[str, Any]) -> None:
        if require_signature is not None:
            from edgecl.signatures import require_signed

            require_signed("backup", digest, members, key=Path(require_signature), what=file)

    return restore_backup(file, path, require=require, overwrite=overwrite)
