"""Open a store for reading, and find its live revision, or where that is damaged the newest intact one."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecl.errors import StoreDamagedError, StoreMissingError
from edgecl.store import records
from edgecl.store.checksums import sha256
from edgecl.store.files import digest_file, read_file
from edgecl.store.folder import Folder, add_once
from edgecl.store.journal import has_line_about
from edgecl.store.records import Header, Revision, decode_header

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_header(path: Path) -> tuple[Header, str]:
    """Return the content of store.json in the folder `path`, and its sha256; StoreDamagedError when invalid."""
    data = read_file(path / "store.json", limit=records.MAX_BYTES)
    try:
        return decode_header(data), sha256(data)
    except ValueError as error:
        raise StoreDamagedError(f"{path / 'store.json'} is damaged: {error}") from error


def verify_extractor(folder: Folder, header: Header) -> None:
    """Raise StoreDamagedError unless the extractor file is the one that was copied in."""
    path = folder.path / header.extractor_file
    if digest_file(path, limit=header.extractor_bytes) != header.extractor_digest:
        raise StoreDamagedError(f"{path} does not match its digest in store.json")


def require_store(path: Path) -> None:
    """Raise StoreMissingError or StoreDamagedError unless `path` has the parts of a store."""
    if not path.exists():
        raise StoreMissingError(f"{path} does not exist: make a store first", remedy="create")
    if not path.is_dir():
        raise StoreMissingError(f"{path} is a file, a store is a folder: is the path right?")
    parts = [path / name for name in ("objects", "revisions", "current")]
    if not (path / "store.json").exists():
        if any(part.exists() for part in parts):
            raise StoreDamagedError(f"{path / 'store.json'} is missing: restore it from a copy")
        raise StoreMissingError(f"{path} is no store, it has no store.json: is the path right?")
    for part in parts:
        if part.is_symlink():
            raise StoreDamagedError(f"{part} is a symbolic link, which a store never contains")


def live_revision(folder: Folder, damage: list[str]) -> tuple[Revision, bool]:
    """Return the live revision, and whether it is the one that `current` names.

    Where that one is damaged, this is added to `damage`, and the newest intact revision is live.

    Raises
    ------
    StoreDamagedError
        When no revision is intact.
    """
    pointer = folder.pointer()
    while True:
        try:
            return folder.follow(pointer), True
        except StoreDamagedError as error:
            before, pointer = pointer, folder.pointer()
            if pointer == before:  # otherwise a commit took the file away
                add_once(damage, error)
                return newest_intact(folder, damage), False


def has_unfinished_forgetting(folder: Folder, live: Revision) -> bool:
    """Test whether a cut came between the commit of a forgetting and its journal line, which ends it."""
    return live.kind == "forget" and not has_line_about(folder.journal, live.number)


def newest_intact(folder: Folder, damage: list[str]) -> Revision:
    """Return the newest revision of which every byte is intact, objects included.

    Raises
    ------
    StoreDamagedError
        When there is none.
    """
    for number in reversed(folder.numbers()):
        try:
            revision, _ = folder.load(number)
            for digest in set(revision.objects.values()):
                folder.read(digest)
        except StoreDamagedError as error:
            add_once(damage, error)
        else:
            return revision
    raise StoreDamagedError(f"{folder.path} has no intact revision left: {'; '.join(damage[:3])}")


def read_roles(folder: Folder, revision: Revision, roles: Collection[str]) -> dict[str, dict[str, NDArray[Any]]]:
    """Return the objects of some roles of a revision, such as "head" or "statistics"; raises as `Folder.read`."""
    return {
        role: folder.read(digest)
        for role, digest in revision.objects.items()
        if role in roles or role.partition("/")[0] in roles
    }


def newest_readable(folder: Folder) -> tuple[Revision, dict[str, dict[str, NDArray[Any]]]]:
    """Return the newest revision whose own file is intact, and its intact parts by role.

    Raises
    ------
    StoreDamagedError
        When there is none.
    """
    for number in reversed(folder.numbers()):
        with suppress(StoreDamagedError):
            revision, _ = folder.load(number)
            parts = {}
            for role, digest in revision.objects.items():
                with suppress(StoreDamagedError):
                    parts[role] = folder.read(digest)
            return revision, parts
    raise StoreDamagedError(f"{folder.path} has no revision left that can be read: restore it from a copy")
