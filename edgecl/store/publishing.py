"""Publish a revision: its objects first, then its own file, then `current`; or leave the old one live."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from edgecl.errors import EdgeclError, StoreDamagedError, StoreLockedError
from edgecl.store.arrays import pack, unpack
from edgecl.store.checksums import sha256
from edgecl.store.files import digest_file, explained, flush, replace_file, temporary, write_temporary
from edgecl.store.folder import Folder, read_object
from edgecl.store.records import Revision, decode_revision, encode_pointer, encode_revision
from edgecl.store.space import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays: TypeAlias = "Mapping[str, NDArray[Any]]"


class PendingObjects:
    """The objects of a store that were put and not committed.

    An object is *written* to its temporary file, *held* in memory until old revisions have made room for it, or
    *reused*: its file was there already, perhaps not flushed by a killed writer.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._written: dict[str, int] = {}  # digest to length
        self._held: dict[str, bytes] = {}
        self._reused: set[str] = set()

    @property
    def nbytes(self) -> int:
        """Return the length of all temporary files together."""
        return sum(self._written.values())

    def held_bytes(self, digests: Collection[str]) -> int:
        """Return how many bytes of these objects are not in a file yet."""
        return sum(len(self._held.get(digest, b"")) for digest in set(digests))

    def put(self, arrays: Arrays, *, free: int) -> str:
        """Write an object, or hold it where it exceeds `free` bytes, and return its digest.

        Raises
        ------
        DataError
            When a floating array contains NaN or infinity.
        EdgeclError
            When writing fails.
        """
        pieces = pack(arrays)
        hasher = hashlib.sha256()
        for piece in pieces:
            hasher.update(piece)
        digest, size = hasher.hexdigest(), sum(map(len, pieces))
        if digest in self._written or digest in self._held:
            return digest
        if self._is_stored(digest, size):
            self._reused.add(digest)
        elif self.nbytes + size > free:
            self._held[digest] = b"".join(pieces)
        else:
            self._write(digest, pieces, size=size)
        return digest

    def read(self, digest: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of an object, pending or committed; raises as `Folder.read` does."""
        if digest in self._held:
            return unpack(bytearray(self._held[digest]))
        path = self._folder.object(digest)
        return read_object(temporary(path) if digest in self._written else path, digest)

    def require(self, objects: Mapping[str, str]) -> None:
        """Raise StoreDamagedError unless every object, by role, is pending or has a file."""
        for role, digest in objects.items():
            path = self._folder.object(digest)
            if digest not in self._written and digest not in self._held and not path.is_file():
                raise StoreDamagedError(f"{path} is missing: {role!r} cannot be committed")

    def in_use(self, objects: Mapping[str, str]) -> set[str]:
        """Return the digests that must stay: those of a revision to come, and the reused ones."""
        return {*objects.values(), *self._reused}

    def flush(self, objects: Mapping[str, str]) -> None:
        """Bring the objects of a revision under their own names and wait until they are on the disk."""
        digests = sorted(set(objects.values()))
        for digest in [one for one in digests if one in self._held]:
            held = self._held.pop(digest)
            self._write(digest, [held], size=len(held))
        fresh = [self._folder.object(digest) for digest in digests if digest in self._written]
        reused = [self._folder.object(digest) for digest in digests if digest in self._reused]
        for path in [*map(temporary, fresh), *reused]:
            flush(path)
        for path in fresh:
            temporary(path).replace(path)
        if fresh or reused:
            flush(self._folder.objects)

    def discard(self) -> None:
        """Remove the temporary files and drop what is held."""
        for digest in self._written:
            with suppress(OSError):
                temporary(self._folder.object(digest)).unlink(missing_ok=True)
        self._written.clear()
        self._held.clear()
        self._reused.clear()

    def _is_stored(self, digest: str, size: int) -> bool:
        """Test whether the object has an intact file: a damaged one is written again."""
        path = self._folder.object(digest)
        with suppress(StoreDamagedError):
            return path.exists() and digest_file(path, limit=size) == digest
        return False

    def _write(self, digest: str, pieces: Collection[bytes | memoryview], *, size: int) -> None:
        with explained(f"writing an object of {self._folder.path}"):
            write_temporary(self._folder.object(digest), pieces)
        self._written[digest] = size


class Publisher:
    """Composes, writes and publishes revisions; `space.live` is the one that is live.

    Attributes
    ----------
    next_number
        Number of the next revision.
    """

    def __init__(self, folder: Folder, objects: PendingObjects, *, space: Space) -> None:
        self._folder = folder
        self._objects = objects
        self._space = space
        live = space.live.number
        self._pointer = encode_pointer(live, sha256(folder.load(live)[1]))
        self.next_number = live + 1

    def parent(self, stated: int | None) -> int:
        """Return the parent of the next revision: the live one, unless that is damaged.

        Raises
        ------
        StoreLockedError
            When another one is stated and the live one is intact.
        """
        live = self._space.live
        if stated is None or stated == live.number:
            return live.number
        try:
            for digest in set(live.objects.values()):
                self._folder.read(digest)
        except StoreDamagedError:
            return stated
        raise StoreLockedError(
            f"revision {live.number} was committed to {self._folder.path} after this lesson was computed from "
            f"revision {stated}: run the lesson again"
        )

    def compose(
        self, kind: str, *, objects: Mapping[str, str], body: Mapping[str, Any], time: str, parent: int | None
    ) -> tuple[Revision, bytes]:
        """Return the next revision, decoded from its text as any reader does, and the text."""
        self._objects.require(objects)
        revision = Revision(self.next_number, parent, kind, time, dict(objects), dict(body))
        text = encode_revision(revision, store_digest=self._folder.store_digest)
        return decode_revision(text, number=self.next_number, store_digest=self._folder.store_digest), text

    def publish(self, revision: Revision, text: bytes) -> None:
        """Write a revision and let `current` name it; where that fails the old one is live.

        Raises
        ------
        EdgeclError
            When writing fails; its message says which of the two is live.
        """
        pointer = encode_pointer(revision.number, sha256(text))
        try:
            with explained(f"writing revision {revision.number} of {self._folder.path}"):
                self._write(revision, text, pointer)
        except BaseException as error:
            self._withdraw(revision.number)
            if self._folder.pointer() == pointer:  # not even the way back could be written
                raise EdgeclError(
                    f"writing revision {revision.number} of {self._folder.path} failed, and so did taking it "
                    f"back: it is live, but may not last through a power cut ({error})"
                ) from error
            raise
        self._space.live, self._pointer, self.next_number = revision, pointer, revision.number + 1

    def _write(self, revision: Revision, text: bytes, pointer: bytes) -> None:
        """Each step is on the disk before the next begins; the files of one step are flushed together."""
        self._objects.flush(revision.objects)
        replace_file(self._folder.revision(revision.number), text)
        replace_file(self._folder.current, pointer)

    def _withdraw(self, number: int) -> None:
        """Leave the old model live, and as little as possible of the new one."""
        self._objects.discard()
        with suppress(OSError, EdgeclError):
            if self._folder.pointer() != self._pointer:
                replace_file(self._folder.current, self._pointer)
            self._folder.revision(number).unlink(missing_ok=True)
            self._space.sweep()
