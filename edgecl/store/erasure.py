"""Erasure: remove what saw a label from every file of a store."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from edgecl.store.files import flush
from edgecl.store.folder import entries

Saw: TypeAlias = "Callable[[Mapping[str, Any]], bool]"


@dataclass(frozen=True)
class Removed:
    """What `Writer.forget` took out of a store, or would."""

    revisions: tuple[int, ...] = ()
    objects: tuple[str, ...] = ()  # digests
    journal_lines: int = 0  # that lost their details
    inbox_files: int = 0

    def __bool__(self) -> bool:
        return bool(self.revisions or self.journal_lines)


def empty_folder(folder: Path) -> int:
    """Remove all that is in a folder, and return how many files that were; a link is removed, not followed."""
    if folder.is_symlink():
        folder.unlink()
        return 1
    count = sum(not path.is_dir() for path in folder.rglob("*"))
    for entry in entries(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()
    if count:
        flush(folder)
    return count
