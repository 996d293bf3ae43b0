"""Repair a damaged store from what is intact in it, and report what was done."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgecl.errors import ModelError, SettingError, StoreDamagedError
from edgecl.store.files import digest_file, explained, flush, replace_file
from edgecl.store.folder import Folder, newest_readable
from edgecl.store.records import Header

if TYPE_CHECKING:
    from edgecl.store.writer import Writer


def repair(folder: Folder, writer: Writer, *, require_usable: Callable[[int], object], time: str) -> list[str]:
    """Make the newest intact revision live, remove what is damaged, and return what was done.

    Each step leaves a store that opens, and repeating all of them finishes what a cut has stopped.

    Parameters
    ----------
    require_usable
        Raises ModelError where a revision cannot be used though each of its bytes may be intact.
    time
        UTC, ISO 8601.

    Raises
    ------
    StoreDamagedError
        When no revision is intact: then nothing is changed.
    EdgeclError
        When writing fails.
    """
    numbers = folder.numbers()
    faults = {number: fault for number in numbers if (fault := _fault(folder, number, require_usable))}
    intact = [number for number in numbers if number not in faults]
    if not intact:
        raise StoreDamagedError(f"{folder.path} has no intact revision left: restore it from a copy")
    done = _go_live(folder, writer, intact[-1], newest=numbers[-1], time=time)
    with explained(f"repairing {folder.path}", outcome="what was repaired before that stays so"):
        for number, fault in faults.items():
            _remove(folder.revision(number))
            done.append(f"removed revision {number}: {fault}")
        flush(folder.revisions)  # a revision goes before its objects, in a power cut too
        removed = writer.remove_unused()
        if removed:
            done.append(f"removed {removed} objects that no revision uses")
        dropped = writer.repair_journal()
        if dropped:
            done.append(f"repaired {folder.journal}: {dropped}")
    return done


def remove_no_files(folder: Folder) -> list[str]:
    """Remove what is in the place of a file and is none, and return what was done.

    Raises
    ------
    StoreDamagedError
        When no revision can be read: then nothing is changed.
    EdgeclError
        When removing fails.
    """
    newest_readable(folder)
    found = folder.no_files()
    with explained(f"repairing {folder.path}", outcome="what was repaired before that stays so"):
        for path in found:
            _remove(path)
            flush(path.parent)
    return [f"removed {path}: it is not a regular file" for path in found]


def require_same_extractor(folder: Folder, header: Header, source: Path) -> None:
    """Raise SettingError unless `source` is the extractor that the store was made with."""
    if digest_file(source, limit=header.extractor_bytes) != header.extractor_digest:
        raise SettingError(
            f"{source} is not the extractor of {folder.path}, which has sha256 {header.extractor_digest}"
        )


def restore_extractor(folder: Folder, header: Header, source: Path) -> None:
    """Replace the extractor by a copy of `source`; EdgeclError when writing fails."""
    path = folder.path / header.extractor_file
    with explained(f"restoring {path}"):
        if path.is_dir():
            _remove(path)
        replace_file(path, source.read_bytes())


def _fault(folder: Folder, number: int, require_usable: Callable[[int], object]) -> str:
    """Return what is wrong with a revision: empty for nothing."""
    try:
        revision, _ = folder.load(number)
        for digest in sorted(set(revision.objects.values())):
            folder.read(digest)
        require_usable(number)
    except ModelError as error:
        return str(error)
    return ""


def _go_live(folder: Folder, writer: Writer, number: int, *, newest: int, time: str) -> list[str]:
    """Let `current` name an intact revision: itself where it is the newest, else a copy after the damaged ones."""
    if number == newest:
        if not writer.point_at(number):
            return []
        return [f"wrote {folder.current} again: revision {number} is live"]
    live = writer.rollback(number, time=time).number
    return [f"revision {live} is live: the model of revision {number}, the newest intact one"]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)  # a rollback may have made room
