"""The one hand that changes a store."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from edgecl.errors import EdgeclError, SettingError, StoreDamagedError, StoreLockedError
from edgecl.store import records
from edgecl.store.arrays import pack, unpack
from edgecl.store.checksums import sha256
from edgecl.store.erasure import Removed, Saw, empty_folder
from edgecl.store.files import TEMPORARY, digest_file, explained, flush, replace_file, temporary, write_temporary
from edgecl.store.folder import Layout, entries, read_object, tree_bytes
from edgecl.store.journal import RESERVED, Journal, tells
from edgecl.store.records import Revision, decode_revision, encode_pointer, encode_revision, journal_entry
from edgecl.store.space import KEEP_REVISIONS, require_within

if TYPE_CHECKING:
    from numpy.typing import NDArray


Arrays: TypeAlias = "Mapping[str, NDArray[Any]]"
logger = logging.getLogger(__name__)
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
        self._journal_damage: list[str] = []  # that was found at the start
        self._base = base
        self._pointer = encode_pointer(base.number, sha256(layout.load(base.number)[1]))
        numbers = layout.numbers()
        self._next = (base.number if is_followed else numbers[-1]) + 1
        longest = min(JOURNAL_BYTES, self._limit // JOURNAL_SHARE)
        self._journal = Journal(layout.journal, name=name, longest=longest)
        with explained(f"clearing up {layout.path}"):
            self._clear([number for number in numbers if number >= self._next])
            self._recover()
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
        pieces = pack(arrays)
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
            return unpack(bytearray(self._held[digest]))
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
        revision, text = self._composed(kind, objects=objects, body=body, time=time, parent=self._checked(parent))
        entry = journal_entry(revision, text)
        held = sum(len(self._held.get(digest, b"")) for digest in set(objects.values()))
        growth = held + len(text) + 2 * records.POINTER_BYTES + self._journal.cost(entry)
        self._make_room(growth, using=objects.values())
        self._go_live(revision, text)
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

    def forget(
        self,
        *,
        objects: Mapping[str, str],
        body: Mapping[str, Any],
        time: str,
        saw: Saw,
    ) -> tuple[Revision, Removed]:
        """Commit a revision, and remove the others that saw what it no longer knows, with all that only they used.

        From the first journal line that saw it on, the lines lose their details, but for those about revisions that
        stay. The inbox is emptied: nobody has said yet what is in it. The new revision has no parent, and may exceed
        `disk_bytes` until the old files are gone. When this returns, they are, and a power cut does not bring them
        back. A cut before that leaves the old revision, or the new one; then whoever opens the store next ends what
        was begun.

        Parameters
        ----------
        saw
            Whether a revision with that body, or the journal entry with those members, saw what is to be forgotten.

        Raises
        ------
        StoreDamagedError
            When an object is missing.
        EdgeclError
            When writing or removing fails; says which of the two models is live.
        """
        revisions, first = self._seen(saw)
        forgets = {"revisions": revisions, "first_line": first}
        revision, text = self._composed(
            "forget", objects=objects, body={**body, "forgets": forgets}, time=time, parent=None
        )
        self._go_live(revision, text)
        self.discard()
        self._untold.clear()
        outcome = f"revision {revision.number} is live, but what it forgot is not removed yet: open the store again"
        with explained(f"removing files of {self._layout.path}", outcome=outcome):
            return revision, self._finish_forgetting(journal_entry(revision, text))

    def would_forget(self, saw: Saw) -> Removed:
        """Return the revisions and the number of journal lines that `forget` would act on; see there."""
        revisions, first = self._seen(saw)
        lines = [one for one in self._journal.entries() if one["line"] >= first]
        kept = {one for one in self._layout.numbers() if one not in revisions}
        return Removed(tuple(revisions), journal_lines=sum(one.get("revision") not in kept for one in lines))

    def point_at(self, number: int) -> bool:
        """Let `current` name a sound revision, and return whether that was amiss."""
        pointer = encode_pointer(number, sha256(self._layout.load(number)[1]))
        if self._layout.pointer() == pointer:
            return False
        with explained(f"writing {self._layout.current}"):
            replace_file(self._layout.current, pointer)
        return True

    def remove_unused(self) -> int:
        """Remove the objects that no sound revision is made of, for good, and return how many there were."""
        unused = self._unused()
        for digest in unused:
            self._layout.object(digest).unlink()
        flush(self._layout.objects)
        self._used = tree_bytes(self._layout.path)
        return len(unused)

    def mend_journal(self) -> str:
        """Drop the damaged lines of the journal; returns what was wrong with it, or nothing."""
        damage = [*self._journal_damage, *self._journal.mend()]
        self._journal_damage.clear()
        self._used = tree_bytes(self._layout.path)
        return "; ".join(dict.fromkeys(damage))

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
        """Remove what a killed writer left."""
        for folder in (self._layout.path, self._layout.objects, self._layout.revisions):
            for entry in entries(folder):
                if entry.name.endswith(TEMPORARY) and not entry.is_dir(follow_symlinks=False):
                    Path(entry.path).unlink()
        for number in orphans:
            self._layout.revision(number).unlink()

    def _recover(self) -> None:
        """Add the journal lines that a killed writer did not come to, and end the forgetting that it began."""
        is_forgetting = self._base.kind == "forget" and not tells(self._layout.journal, self._base.number)
        without = {self._base.number, *self._base.body["forgets"]["revisions"]} if is_forgetting else set()
        committed = (self._loaded(number) for number in self._layout.numbers() if number not in without)
        self._journal_damage = self._journal.recover([journal_entry(*one) for one in committed if one])
        for damage in self._journal_damage:
            self._found(damage)
        if is_forgetting:
            removed = self._finish_forgetting(journal_entry(*self._layout.load(self._base.number)))
            logger.warning(
                "%s: a forgetting that was interrupted is done now: %d revisions and %d objects were removed",
                self._layout.path,
                len(removed.revisions),
                len(removed.objects),
            )

    def _seen(self, saw: Saw) -> tuple[list[int], int]:
        """The revisions that saw it, or cannot be read, and the number of the first journal line that did."""
        loaded = {number: self._loaded(number) for number in self._layout.numbers()}
        revisions = [number for number, one in loaded.items() if one is None or saw(one[0].body)]
        entries = self._journal.entries()
        lines = [one["line"] for one in entries if saw(one.get("body", one)) or one.get("revision") in revisions]
        return revisions, min(lines, default=entries[-1]["line"] + 1 if entries else 1)

    def _finish_forgetting(self, entry: Mapping[str, Any]) -> Removed:
        """Remove what the live revision forgets. Its journal line comes last: where it stands, all is done."""
        forgets = entry["body"]["forgets"]
        revisions = [number for number in forgets["revisions"] if self._layout.revision(number).exists()]
        for number in revisions:
            self._layout.revision(number).unlink()
        flush(self._layout.revisions)  # a revision goes before its objects, in a power cut too
        objects = self._unused()
        for digest in objects:
            self._layout.object(digest).unlink()
        flush(self._layout.objects)
        inbox_files = empty_folder(self._layout.path / "inbox")
        kept = self._layout.numbers()
        lines = self._journal.forget(entry, first=forgets["first_line"], kept=kept)
        self._used = tree_bytes(self._layout.path)
        return Removed(tuple(revisions), tuple(objects), lines, inbox_files)

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

    def _composed(
        self, kind: str, *, objects: Mapping[str, str], body: Mapping[str, Any], time: str, parent: int | None
    ) -> tuple[Revision, bytes]:
        """The next revision and its text, read back as any reader will."""
        self._require_objects(objects)
        revision = Revision(self._next, parent, kind, time, dict(objects), dict(body))
        text = encode_revision(revision, store_digest=self._layout.store_digest)
        return decode_revision(text, number=self._next, store_digest=self._layout.store_digest), text

    def _go_live(self, revision: Revision, text: bytes) -> None:
        """Write a revision and let `current` name it, or leave the old one live and raise."""
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
