"""The folder of a store: where each part is, how it is read and checked, and which revision is live."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecl.errors import StoreDamagedError, StoreMissingError
from edgecl.store import records
from edgecl.store.arrays import MAX_BYTES, unpack
from edgecl.store.files import TEMPORARY, digest_file, map_file, read_bytes, read_file, replace_file
from edgecl.store.journal import has_line_about
from edgecl.store.records import (
    Header,
    Revision,
    decode_header,
    decode_pointer,
    decode_revision,
    encode_header,
    identity,
    sha256,
    upgraded,
)
from edgecl.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXTRACTOR = "extractor"  # role of the extractor of a model, where it is not the file that the store was made with
_DIGEST = re.compile(r"[0-9a-f]{64}")
_REVISION_FILE = re.compile(r"(\d{6,9})\.json")
_OBJECT_FILE = re.compile(r"([0-9a-f]{64})\.npz")


@dataclass(frozen=True)
class Folder:
    """The folder of one store. Nothing is kept in memory: every call reads the disk."""

    path: Path
    store_digest: str
    """Sha256 of the store.json that the store was made with, which each revision states."""
    format: int = records.FORMAT
    """As it was when the folder was opened; see `upgrade`."""

    @property
    def objects(self) -> Path:
        return self.path / "objects"

    @property
    def revisions(self) -> Path:
        return self.path / "revisions"

    @property
    def current(self) -> Path:
        return self.path / "current"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def reserve(self) -> Path:
        return self.path / "reserve"

    def revision(self, number: int) -> Path:
        return self.revisions / f"{number:06d}.json"

    def object(self, digest: str) -> Path:
        """Return the file of an object; raises StoreDamagedError for what is not a digest."""
        if not _DIGEST.fullmatch(digest):
            raise StoreDamagedError(f"{digest[:80]!r} is not the digest of an object of {self.path}")
        return self.objects / f"{digest}.npz"

    def numbers(self) -> list[int]:
        """Return the numbers of all revision files, in order, valid or not."""
        names = (_REVISION_FILE.fullmatch(entry.name) for entry in entries(self.revisions))
        return sorted({int(match[1]) for match in names if match})

    def object_bytes(self) -> dict[str, int]:
        """Return digest and length in bytes of all object files."""
        return {
            match[1]: entry.stat(follow_symlinks=False).st_size
            for entry in entries(self.objects)
            if (match := _OBJECT_FILE.fullmatch(entry.name))
        }

    def strangers(self, known: set[str]) -> list[Path]:
        """Return the files that do not belong to a store, apart from temporary ones."""
        known |= {"objects", "revisions", "current", "journal.jsonl", "lock", "inbox", "reserve"}
        names = [self.path / entry.name for entry in entries(self.path) if entry.name not in known]
        for folder, pattern in ((self.objects, _OBJECT_FILE), (self.revisions, _REVISION_FILE)):
            names += [folder / one.name for one in entries(folder) if not pattern.fullmatch(one.name)]
        return [path for path in names if not path.name.endswith(TEMPORARY)]

    def no_files(self) -> list[Path]:
        """Return what has the name of a file of the store and is none: a folder, pipe, device or link."""
        objects = [self.object(digest) for digest in self.object_bytes()]
        names = [self.current, self.journal, self.lock, self.reserve, *map(self.revision, self.numbers()), *objects]
        return [path for path in names if _is_no_file(path)]

    def pointer(self) -> bytes:
        """Return the content of `current`, empty where it cannot be read."""
        with suppress(StoreDamagedError):
            return bytes(read_file(self.current, limit=records.POINTER_BYTES))
        return b""

    def follow(self, pointer: bytes) -> Revision:
        """Return the revision that a line of `current` names; StoreDamagedError unless its digest matches."""
        parts = decode_pointer(pointer)
        if parts is None:
            raise StoreDamagedError(f"{self.current} does not name a revision and its digest")
        revision, text = self.load(parts[0])
        if sha256(text) != parts[1]:
            raise StoreDamagedError(f"{self.revision(parts[0])} does not match its digest in `current`")
        return revision

    def load(self, number: int) -> tuple[Revision, bytearray]:
        """Return a revision and its text; StoreDamagedError unless it is intact and of this store."""
        path = self.revision(number)
        text = read_file(path, limit=records.MAX_BYTES)
        try:
            return decode_revision(text, number=number, store_digest=self.store_digest), text
        except ValueError as error:
            raise StoreDamagedError(f"{path} is damaged: {error}") from error

    def load_if_intact(self, number: int, damage: list[str]) -> tuple[Revision, bytearray] | None:
        """Return a revision and its text, or add what is wrong with it to `damage`."""
        try:
            return self.load(number)
        except StoreDamagedError as error:
            add_once(damage, error)
            return None

    def read(self, digest: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of an object; raises as `read_object` does."""
        return read_object(self.object(digest), digest)


def _is_no_file(path: Path) -> bool:
    try:
        return not stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def read_object(path: Path, digest: str) -> dict[str, NDArray[Any]]:
    """Return the arrays in a file; StoreDamagedError unless it has that sha256 and the format of `arrays`."""
    data = map_file(path, limit=MAX_BYTES)
    if sha256(data) != digest:
        raise StoreDamagedError(f"{path} does not match its digest")
    try:
        return unpack(data)
    except ValueError as error:
        raise StoreDamagedError(f"{path} is not allowed: {error}") from error


def add_once(damage: list[str], error: object) -> None:
    """Add a sentence about damage unless it is in the list."""
    if str(error) not in damage:
        damage.append(str(error))


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder: none where it is missing, not a folder, or a link to itself."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if error.errno == errno.ELOOP:
            return []
        raise


def tree_bytes(folder: Path) -> int:
    """Return the total length in bytes of all files below a folder."""
    total = 0
    for entry in entries(folder):
        if entry.is_dir(follow_symlinks=False):
            total += tree_bytes(Path(entry.path))
        else:
            with suppress(FileNotFoundError):  # a writer may be at work
                total += entry.stat(follow_symlinks=False).st_size
    return total


def read_header(path: Path) -> tuple[Header, str]:
    """Return the content of store.json in the folder `path`, and the digest that its revisions state.

    Raises
    ------
    StoreDamagedError
        When it is invalid.
    """
    data = read_file(path / "store.json", limit=records.MAX_BYTES)
    try:
        header = decode_header(data)
    except ValueError as error:
        raise StoreDamagedError(f"{path / 'store.json'} is damaged: {error}") from error
    return header, identity(header, data)


def upgrade_bytes(folder: Folder, version: int = records.FORMAT) -> int:
    """Return how many bytes `upgrade` may add to the store."""
    return records.UPGRADE_BYTES if folder.format < version else 0


def upgrade(folder: Folder, version: int = records.FORMAT) -> None:
    """Bring store.json to a format, by default that of this edgecl, on the disk when this returns.

    Earlier software refuses the store then.

    Revisions that were written before stay valid: they state the digest of the first store.json, which the new one
    states too.
    """
    if folder.format < version:
        header, digest = read_header(folder.path)
        if header.format < version:  # a process that has the store open may have done it already
            new = upgraded(header, version)
            if new.first != digest:  # revisions would no longer fit
                raise StoreDamagedError(
                    f"{folder.path / 'store.json'} was not written by edgecl: restore it from a copy"
                )
            replace_file(folder.path / "store.json", encode_header(new))


def verify_extractor(folder: Folder, header: Header) -> None:
    """Raise StoreDamagedError unless the extractor file is the one that was copied in."""
    path = folder.path / header.extractor_file
    _require_digest(path, header, digest_file(path, limit=header.extractor_bytes))


def extractor_content(folder: Folder, header: Header) -> bytes:
    """Return the extractor that was copied in; raises StoreDamagedError unless the file is that."""
    path = folder.path / header.extractor_file
    content = read_bytes(path, limit=header.extractor_bytes)
    _require_digest(path, header, sha256(content))
    return content


def _require_digest(path: Path, header: Header, digest: str) -> None:
    if digest != header.extractor_digest:
        raise StoreDamagedError(f"{path} does not match its digest in store.json")


def extractor_of(folder: Folder, header: Header, revision: Revision) -> tuple[Path, str]:
    """Return the file from which the extractor of a revision is opened, and the sha256 of the extractor."""
    if EXTRACTOR not in revision.objects:
        return folder.path / header.extractor_file, header.extractor_digest
    stated = revision.body.get("extractor")
    digest = stated.get("sha256") if isinstance(stated, dict) else None
    if not isinstance(digest, str):
        raise StoreDamagedError(f"revision {revision.number} does not state the sha256 of its extractor")
    return folder.object(revision.objects[EXTRACTOR]), digest


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
