"""The one hand that changes a store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecl import _npz, _records
from edgecl._creation import require_within
from edgecl._durable import (
    TEMPORARY,
    digest_file,
    explained,
    flush,
    replace_file,
    temporary,
    write_temporary,
)
from edgecl._journal import RESERVED, Journal
from edgecl._layout import Layout, entries, read_object, tree_bytes
from edgecl._records import Revision, decode_revision, encode_pointer, encode_revision, journal_entry
from edgecl._sealed import sha256
from edgecl.errors import EdgeclError, SettingError, StoreDamagedError, StoreLockedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

KEEP_REVISIONS = 10
JOURNAL_BYTES = 1 << 20
JOURNAL_SHARE = 16  # of disk_bytes, where that is less

_UNLIMITED = 1 << 62


class Writer:
    """Puts objects and commits revisions; from `Store.writer`, which holds the lock.

    Parameters
    ----------
    base
        The live revision.
    is_followed
        Whether `current` names it; otherwise `current` or a newer revision is damaged.
    found
        Is told of damage, and of trouble that leaves the model whole.
    """

    def __init__(
        self,
        layout: Layout,
        base: Revision,
        *,
        is_followed: bool,
        name: str,
        settings: Mapping[str, Any],
        found: Callable[[object], None],
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._found = found
        self._limit = settings.get("disk_bytes") or _UNLIMITED
        self._written: dict[str, int] = {}  # digest to length: objects in their temporary files
        self._held: dict[str, bytes] = {}  # objects that fit once old revisions have gone
        self._reused: set[str] = set()  # objects that were there, perhaps not flushed by a killed writer
        self._untold: list[Mapping[str, Any]] = []  # entries of commits whose journal line failed
        self._base = base
        self._pointer = encode_pointer(base.number, sha256(layout.load(base.number)[1]))
        numbers = layout.numbers()
        self._next = (base.number if is_followed else numbers[-1]) + 1
        longest = min(JOURNAL_BYTES, self._limit // JOURNAL_SHARE)
        self._journal = Journal(layout.journal, name=name, longest=longest)
        with explained(f"clearing up {layout.path}"):
            self._clear([number for number in numbers if number >= self._next])
        self._used = tree_bytes(layout.path)  # without `_written`

    def put(self, arrays: Arrays) -> str:
        """Write an object for the next commit and return its digest; the same arrays give the same digest.

        Raises
        ------
        DataError
            When a floating array holds NaN or infinity.
        EdgeclError
            When writing fails.
        """
        pieces = _npz.pack(arrays)
        hasher = hashlib.sha256()
        for piece in pieces:
            hasher.update(piece)
        digest, size = hasher.hexdigest(), sum(map(len, pieces))
        if digest in self._written or digest in self._held:
            return digest
        if self._is_there(digest, size):
            self._reused.add(digest)
        elif self._used + sum(self._written.values()) + size > self._limit:
            self._held[digest] = b"".join(pieces)
        else:
            self._write_object(digest, pieces, size=size)
        return digest

    def read(self, digest: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of an object, also of one that is put and not committed; see `Store.read`."""
        if digest in self._held:
            return _npz.unpack(bytearray(self._held[digest]))
        path = self._layout.object(digest)
        return read_object(temporary(path) if digest in self._written else path, digest)

    def commit(
        self,
        *,
        kind: str,
        objects: Mapping[str, str],
        body: Mapping[str, Any],
        time: str,
        parent: int | None = None,
    ) -> Revision:
        """Make a new live revision, add its line to the journal, and collect what is no longer kept.

        When this returns, the revision survives a power cut. When it raises, the old one is live, and where
        writing failed objects must be put again. Trouble with the journal or the collection, which come after
        that point, only goes to `Store.damage`.

        Parameters
        ----------
        kind
            One of KINDS.
        objects
            Role to digest: of objects put since the last commit, or of objects of kept revisions.
        parent
            The revision that the lesson was computed from; the live one, where it is left out.

        Raises
        ------
        SettingError
            When the store would exceed `disk_bytes` even without any older revision. Nothing is changed.
        StoreLockedError
            When `parent` is no longer the live revision.
        StoreDamagedError
            When an object is missing.
        EdgeclError
            When writing fails.
        """
        self._require_objects(objects)
        revision = Revision(self._next, self._checked(parent), kind, time, dict(objects), dict(body))
        text = encode_revision(revision, store_digest=self._layout.store_digest)
        revision = decode_revision(text, number=self._next, store_digest=self._layout.store_digest)
        entry = journal_entry(revision, text)
        held = sum(len(self._held.get(digest, b"")) for digest in set(objects.values()))
        growth = held + len(text) + 2 * _records.POINTER_BYTES + self._journal.cost(entry)
        self._make_room(growth, using=objects.values())
        pointer = encode_pointer(revision.number, sha256(text))
        try:
            with explained(f"writing revision {revision.number} of {self._layout.path}"):
                self._write_revision(revision, text, pointer)
        except BaseException as error:
            self._withdraw(revision.number)
            if self._layout.pointer() == pointer:  # not even the way back could be written
                raise EdgeclError(
                    f"writing revision {revision.number} of {self._layout.path} failed, and so did taking it "
                    f"back: it is live, but may not last through a power cut ({error})"
                ) from error
            raise
        self._base, self._pointer, self._next = revision, pointer, revision.number + 1
        self._follow_up(entry)
        return revision

    def rollback(self, number: int, *, time: str) -> Revision:
        """Commit the objects and the body of a kept revision again, with "rolled_back_to" in the body.

        Raises as `commit` does, and:

        SettingError
            When the revision is not kept.
        StoreDamagedError
            When the revision or one of its objects is damaged.
        """
        kept = [one for one in self._layout.numbers() if one < self._next]
        if number not in kept:
            raise SettingError(f"revision {number} is not kept: there are {', '.join(map(str, kept))}")
        target, _ = self._layout.load(number)
        for digest in set(target.objects.values()):
            self._layout.read(digest)
        body = {**target.body, "rolled_back_to": number}
        return self.commit(kind="rollback", objects=target.objects, body=body, time=time)

    def note(self, entry: Mapping[str, Any]) -> None:
        """Add a journal line without a revision, such as a rejected lesson; what was put is dropped.

        Raises
        ------
        SettingError
            When it does not fit `disk_bytes` even without any older revision.
        EdgeclError
            When writing fails.
        """
        if not entry or RESERVED & set(entry):
            raise ValueError(f"a journal entry has at least one key, and not {', '.join(sorted(RESERVED))}")
        self.discard()
        self._make_room(self._journal.cost(entry), using=())
        with explained(f"writing the journal of {self._layout.path}"):
            self._journal.append(*self._untold, entry)
        self._untold.clear()
        self._used = tree_bytes(self._layout.path)

    def discard(self) -> None:
        """Drop the objects that were put and not committed."""
        for digest in self._written:
            with suppress(OSError):
                temporary(self._layout.object(digest)).unlink(missing_ok=True)
        self._written.clear()
        self._held.clear()
        self._reused.clear()

    def _clear(self, orphans: Collection[int]) -> None:
        """Remove what a killed writer left, and add the journal lines that it did not come to."""
        for folder in (self._layout.path, self._layout.objects, self._layout.revisions):
            for entry in entries(folder):
                if entry.name.endswith(TEMPORARY) and not entry.is_dir(follow_symlinks=False):
                    Path(entry.path).unlink()
        for number in orphans:
            self._layout.revision(number).unlink()
        committed = (self._loaded(number) for number in self._layout.numbers())
        for damage in self._journal.recover([journal_entry(*one) for one in committed if one]):
            self._found(damage)

    def _loaded(self, number: int) -> tuple[Revision, bytearray] | None:
        try:
            return self._layout.load(number)
        except StoreDamagedError as error:
            self._found(error)
            return None

    def _is_there(self, digest: str, size: int) -> bool:
        """Whether the object exists, sound: a damaged one is written anew."""
        path = self._layout.object(digest)
        with suppress(StoreDamagedError):
            return path.exists() and digest_file(path, limit=size) == digest
        return False

    def _write_object(self, digest: str, pieces: Collection[bytes | memoryview], *, size: int) -> None:
        with explained(f"writing an object of {self._layout.path}"):
            write_temporary(self._layout.object(digest), pieces)
        self._written[digest] = size

    def _checked(self, parent: int | None) -> int:
        """Return the parent of the next revision: the live one, unless that is damaged."""
        live = self._base.number
        if parent is None or parent == live:
            return live
        try:
            for digest in set(self._base.objects.values()):
                self._layout.read(digest)
        except StoreDamagedError:
            return parent
        raise StoreLockedError(
            f"revision {live} was committed to {self._layout.path} after this lesson was computed from "
            f"revision {parent}: run the lesson again"
        )

    def _require_objects(self, objects: Mapping[str, str]) -> None:
        for role, digest in objects.items():
            path = self._layout.object(digest)
            if digest not in self._written and digest not in self._held and not path.is_file():
                raise StoreDamagedError(f"{path} is missing: {role!r} cannot be committed")

    def _make_room(self, growth: int, *, using: Collection[str]) -> None:
        """Drop old revisions, oldest first, until `growth` more bytes fit; none where all would not do."""
        need = self._used + sum(self._written.values()) + growth
        if need <= self._limit:
            return
        old = [number for number in self._layout.numbers() if number != self._base.number]
        for count in range(len(old) + 1):
            least = need - self._freed(old[:count], using)
            if least <= self._limit:
                self._drop(old[:count], using)
                return
        require_within(self._settings, least, self._layout.path)

    def _freed(self, dropped: Collection[int], using: Collection[str]) -> int:
        files = sum(self._layout.revision(number).stat().st_size for number in dropped)
        return files + sum(self._unused(dropped, using).values())

    def _unused(self, dropped: Collection[int] = (), using: Collection[str] = ()) -> dict[str, int]:
        """Return digest and length of the objects that no revision uses, the dropped ones left out."""
        used = {*using, *self._base.objects.values(), *self._reused}
        for number in self._layout.numbers():
            loaded = self._loaded(number) if number not in dropped else None
            used.update(loaded[0].objects.values() if loaded else ())
        return {digest: size for digest, size in self._layout.object_bytes().items() if digest not in used}

    def _drop(self, numbers: Collection[int], using: Collection[str]) -> None:
        with explained(f"making room in {self._layout.path}"):
            unused = self._unused(numbers, using)
            for number in numbers:
                self._layout.revision(number).unlink()
            flush(self._layout.revisions)  # a revision goes before its objects, in a power cut too
            for digest in unused:
                self._layout.object(digest).unlink()
        self._used = tree_bytes(self._layout.path) - sum(self._written.values())

    def _write_revision(self, revision: Revision, text: bytes, pointer: bytes) -> None:
        """Each step is on the disk before the next begins; the files of one step are flushed together."""
        digests = sorted(set(revision.objects.values()))
        for digest in [one for one in digests if one in self._held]:
            held = self._held.pop(digest)
            self._write_object(digest, [held], size=len(held))
        fresh = [self._layout.object(digest) for digest in digests if digest in self._written]
        reused = [self._layout.object(digest) for digest in digests if digest in self._reused]
        for path in [*map(temporary, fresh), *reused]:
            flush(path)
        for path in fresh:
            temporary(path).replace(path)
        if fresh or reused:
            flush(self._layout.objects)
        replace_file(self._layout.revision(revision.number), text)
        replace_file(self._layout.current, pointer)

    def _withdraw(self, number: int) -> None:
        """Leave the old model live, and as little as possible of the new one."""
        self.discard()
        with suppress(OSError, EdgeclError):
            if self._layout.pointer() != self._pointer:
                replace_file(self._layout.current, self._pointer)
            self._layout.revision(number).unlink(missing_ok=True)
            self._sweep()

    def _follow_up(self, entry: Mapping[str, Any]) -> None:
        self.discard()
        outcome = f"revision {entry['revision']} is committed all the same"
        with self._tolerated(), explained("writing the journal", outcome=outcome):
            self._untold.append(entry)
            self._journal.append(*self._untold)
            self._untold.clear()
        with self._tolerated(), explained("removing old files", outcome=outcome):
            self._sweep()

    @contextmanager
    def _tolerated(self) -> Iterator[None]:
        try:
            yield
        except EdgeclError as error:
            self._found(error)

    def _sweep(self) -> None:
        """Remove objects that no revision uses, then revisions that are no longer kept.

        In this order the objects of a revision go one commit after it, when its own removal has been flushed:
        a cut never leaves a revision without its objects.
        """
        for digest in self._unused():
            self._layout.object(digest).unlink()
        keep = max(self._settings.get("keep_revisions", KEEP_REVISIONS), 1)
        for number in self._layout.numbers()[:-keep]:
            self._layout.revision(number).unlink()
        self._used = tree_bytes(self._layout.path)
