"""The folder of a store: where each part is, and how it is read and checked by its digest."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecl.errors import StoreDamagedError
from edgecl.store import records
from edgecl.store.arrays import MAX_BYTES, unpack
from edgecl.store.checksums import sha256
from edgecl.store.files import TEMPORARY, map_file, read_file
from edgecl.store.records import Revision, decode_pointer, decode_revision

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DIGEST = re.compile(r"[0-9a-f]{64}")
_REVISION_FILE = re.compile(r"(\d{6,9})\.json")
_OBJECT_FILE = re.compile(r"([0-9a-f]{64})\.npz")


@dataclass(frozen=True)
class Folder:
    """The folder of one store. Nothing is kept in memory: every call reads the disk."""

    path: Path
    store_digest: str
    """Sha256 of store.json, which each revision states."""

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
        known |= {"objects", "revisions", "current", "journal.jsonl", "lock", "inbox"}
        names = [self.path / entry.name for entry in entries(self.path) if entry.name not in known]
        for folder, pattern in ((self.objects, _OBJECT_FILE), (self.revisions, _REVISION_FILE)):
            names += [folder / one.name for one in entries(folder) if not pattern.fullmatch(one.name)]
        return [path for path in names if not path.name.endswith(TEMPORARY)]

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
    """Return the entries of a folder: none where it is missing or not a folder."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


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
