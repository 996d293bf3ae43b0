"""Publish a revision: make room, write its objects, its own file, then `current`; or leave the old one live."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from edgecl import hashes
from edgecl.errors import EdgeclError, SettingError, StoreDamagedError, StoreLockedError
from edgecl.store import reserve
from edgecl.store.arrays import pack, unpack
from edgecl.store.files import Lock, digest_file, explained, flush, replace_file, temporary, write_temporary
from edgecl.store.folder import Folder, read_object, tree_bytes, upgrade
from edgecl.store.records import FORMAT, Revision, decode_revision, encode_pointer, encode_revision, sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEEP_REVISIONS = 10
JOURNAL_BYTES = 1 << 20
JOURNAL_SHARE = 16  # of disk_bytes, where that is less

_UNLIMITED = 1 << 62

Arrays: TypeAlias = "Mapping[str, NDArray[Any]]"


class Space:
    """Counts the bytes of a store and removes what may go.

    Parameters
    ----------
    live
        The live revision: its objects are never removed.
    damage
        Receives what is found damaged, in sentences.

    Attributes
    ----------
    used
        Bytes of all files as of the last `measure`, without temporary objects.
    """

    def __init__(self, folder: Folder, settings: Mapping[str, Any], *, live: Revision, damage: list[str]) -> None:
        self.folder = folder
        self.live = live
        self.used = 0
        self._settings = settings
        self._damage = damage
        self._limit: int = settings.get("disk_bytes") or _UNLIMITED

    @property
    def free(self) -> int:
        """Return how many bytes may be added before `disk_bytes` is reached."""
        return self._limit - self.used

    @property
    def journal_bytes(self) -> int:
        """Return the length at which the journal is shortened."""
        return min(JOURNAL_BYTES, self._limit // JOURNAL_SHARE)

    def measure(self, *, pending: int = 0) -> None:
        """Read the lengths of all files; `pending` bytes of them are temporary objects."""
        self.used = tree_bytes(self.folder.path) - pending

    def make_room(self, growth: int, *, pending: int = 0, using: Collection[str] = ()) -> None:
        """Remove old revisions, oldest first, and in the end the reserve, until `growth` more bytes fit.

        Parameters
        ----------
        growth
            Bytes that will be added, without `pending`.
        pending
            Bytes of temporary objects.
        using
            Digests of objects that must stay though no revision uses them yet.

        Raises
        ------
        SettingError
            When removing all of them would not be enough. Then nothing is removed.
        EdgeclError
            When removing fails.
        """
        if self.used + pending + growth <= self._limit:
            return
        try:
            self._make_room(growth, pending=pending, using=using)
        except SettingError:
            if not self.folder.reserve.exists():
                raise
            self.release_reserve(pending=pending)  # what is to be written is worth more
            self.make_room(growth, pending=pending, using=using)

    def _make_room(self, growth: int, *, pending: int = 0, using: Collection[str] = ()) -> None:
        need = self.used + pending + growth
        old = [number for number in self.folder.numbers() if number != self.live.number]
        for count in range(len(old) + 1):
            least = need - self._freed(old[:count], using)
            if least <= self._limit:
                self._remove(old[:count], using)
                self.measure(pending=pending)
                return
        require_within(self._settings, least, self.folder.path)

    def unused(self, dropped: Collection[int] = (), using: Collection[str] = ()) -> dict[str, int]:
        """Return digest and length of the objects that no revision uses, apart from the dropped ones."""
        used = {*using, *self.live.objects.values()}
        for number in self.folder.numbers():
            loaded = self.folder.load_if_intact(number, self._damage) if number not in dropped else None
            used.update(loaded[0].objects.values() if loaded else ())
        return {digest: size for digest, size in self.folder.object_bytes().items() if digest not in used}

    def remove_unused(self) -> tuple[str, ...]:
        """Remove the objects that no revision uses, flushed, and return their digests."""
        unused = tuple(self.unused())
        for digest in unused:
            self.folder.object(digest).unlink()
        flush(self.folder.objects)
        return unused

    def sweep(self) -> None:
        """Remove objects that no revision uses, then revisions that are no longer kept.

        In this order the objects of a revision go one commit after it, when its own removal has been flushed:
        a cut never leaves a revision without its objects.
        """
        for digest in self.unused():
            self.folder.object(digest).unlink()
        keep = max(self._settings.get("keep_revisions", KEEP_REVISIONS), 1)
        for number in self.folder.numbers()[:-keep]:
            self.folder.revision(number).unlink()
        self.measure()

    def release_reserve(self, *, pending: int = 0) -> None:
        """Give the room that is kept for forgetting back to the disk; see `reserve`."""
        reserve.release(self.folder)
        self.measure(pending=pending)

    def keep_reserve(self) -> None:
        """Keep the room that forgetting the classes of the live revision may need, if `disk_bytes` allow it."""
        wanted, held = reserve.wanted_bytes(self.folder, self.live), reserve.held_bytes(self.folder)
        if wanted <= held <= 2 * wanted or wanted > self._limit // reserve.SHARE:
            return
        with suppress(SettingError):
            self._make_room(max(wanted - held, 0))
            reserve.take(self.folder, wanted)
        self.measure()

    def _freed(self, dropped: Collection[int], using: Collection[str]) -> int:
        files = sum(self.folder.revision(number).stat().st_size for number in dropped)
        return files + sum(self.unused(dropped, using).values())

    def _remove(self, numbers: Collection[int], using: Collection[str]) -> None:
        with explained(f"making room in {self.folder.path}"):
            unused = self.unused(numbers, using)
            for number in numbers:
                self.folder.revision(number).unlink()
            flush(self.folder.revisions)  # a revision goes before its objects, in a power cut too
            for digest in unused:
                self.folder.object(digest).unlink()


def require_within(settings: Mapping[str, Any], need: int, path: Path) -> None:
    """Raise SettingError when `need` bytes are more than `disk_bytes` allows."""
    limit = settings.get("disk_bytes")
    if isinstance(limit, int) and need > limit:
        raise SettingError(
            f"{path} would need {need:,} bytes, its disk_bytes allow {limit:,}: give it a larger limit",
            parameter="disk_bytes",
        )


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
        size = sum(map(len, pieces))
        hasher = hashes.sha256(of_bytes=size)
        for piece in pieces:
            hasher.update(piece)
        digest = hasher.hexdigest()
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

    def __init__(self, folder: Folder, objects: PendingObjects, *, space: Space, lock: Lock) -> None:
        self._folder = folder
        self._objects = objects
        self._space = space
        self._lock = lock
        self._found = folder.pointer()  # what `current` says as long as nobody else writes
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

    def publish(self, revision: Revision, text: bytes, *, least_format: int = FORMAT) -> None:
        """Write a revision and let `current` name it; where that fails the old one is live.

        Software of a format before `least_format` refuses the store from then on.

        Raises
        ------
        EdgeclError
            When writing fails; its message says which of the two is live.
        """
        pointer = encode_pointer(revision.number, sha256(text))
        self._require_alone()
        try:
            with explained(f"writing revision {revision.number} of {self._folder.path}"):
                self._write(revision, text, pointer, least_format)
        except StoreLockedError:
            raise  # what is there now is another writer's
        except BaseException as error:
            self._withdraw(revision.number)
            self.follow_pointer()
            if self._folder.pointer() == pointer:  # not even the way back could be written
                raise EdgeclError(
                    f"writing revision {revision.number} of {self._folder.path} failed, and so did taking it "
                    f"back: it is live, but may not last through a power cut ({error})"
                ) from error
            raise
        self._found = self._pointer = pointer
        self._space.live, self.next_number = revision, revision.number + 1

    def _write(self, revision: Revision, text: bytes, pointer: bytes, least_format: int) -> None:
        """Each step is on the disk before the next begins; the files of one step are flushed together."""
        self._objects.flush(revision.objects)
        upgrade(self._folder, least_format)
        replace_file(self._folder.revision(revision.number), text)
        self._require_alone()
        replace_file(self._folder.current, pointer)

    def follow_pointer(self) -> None:
        """Take what `current` says now as written by this process."""
        self._found = self._folder.pointer()

    def _require_alone(self) -> None:
        """Raise StoreLockedError where the lock is lost, or another process has let `current` name another revision."""
        self._lock.require()
        if self._folder.pointer() != self._found:
            raise StoreLockedError(
                f"another process has written {self._folder.current} at the same time: nothing was committed, try again"
            )

    def _withdraw(self, number: int) -> None:
        """Leave the old model live, and as little as possible of the new one."""
        self._objects.discard()
        with suppress(OSError, EdgeclError):
            if self._folder.pointer() != self._pointer:
                replace_file(self._folder.current, self._pointer)
            self._folder.revision(number).unlink(missing_ok=True)
            self._space.sweep()
