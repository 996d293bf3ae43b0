"""Change a store: finish what a killed writer began, put objects, commit a revision, roll back, forget."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecl.errors import EdgeclError, SettingError
from edgecl.notes import Logger
from edgecl.store import records
from edgecl.store.files import TEMPORARY, Lock, explained, replace_file
from edgecl.store.folder import Folder, add_once, entries, has_unfinished_forgetting, upgrade_bytes
from edgecl.store.journal import RESERVED, Journal
from edgecl.store.publishing import Arrays, PendingObjects, Publisher, Space
from edgecl.store.records import Revision, encode_pointer, journal_entry, sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgecl.store.erasure import Removed, Saw


class Writer:
    """Puts objects and commits revisions; from `Store.writer`, which holds the lock.

    Parameters
    ----------
    base
        The live revision.
    is_followed
        Whether `current` names it; otherwise `current` or a newer revision is damaged.
    name
        Name of the store, from store.json.
    damage
        Receives what is found damaged, and trouble that leaves the model whole.
    lock
        What keeps others from writing.
    """

    def __init__(
        self,
        folder: Folder,
        base: Revision,
        *,
        is_followed: bool,
        name: str,
        settings: Mapping[str, Any],
        damage: list[str],
        lock: Lock,
    ) -> None:
        self._folder = folder
        self._lock = lock
        self._damage = damage
        self._unlogged: list[Mapping[str, Any]] = []  # entries of commits whose journal line failed
        self._objects = PendingObjects(folder)
        self._space = Space(folder, settings, live=base, damage=damage)
        self._publisher = Publisher(folder, self._objects, space=self._space, lock=lock)
        numbers = folder.numbers()
        if not is_followed:
            self._publisher.next_number = numbers[-1] + 1
        self._journal = Journal(folder.journal, name=name, longest=self._space.journal_bytes)
        with explained(f"clearing up {folder.path}"):
            remove_leftovers(folder, [number for number in numbers if number >= self._publisher.next_number])
            self._journal_damage = recover(self._journal, space=self._space, damage=damage)
        self._space.measure()

    def put(self, arrays: Arrays) -> str:
        """Write an object for the next commit and return its digest; the same arrays give the same digest.

        Raises
        ------
        DataError
            When a floating array contains NaN or infinity.
        EdgeclError
            When writing fails.
        """
        return self._objects.put(arrays, free=self._space.free)

    def read(self, digest: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of an object, also of one that is put and not committed; see `Store.read`."""
        return self._objects.read(digest)

    def commit(
        self,
        *,
        kind: str,
        objects: Mapping[str, str],
        body: Mapping[str, Any],
        time: str,
        parent: int | None = None,
        least_format: int = records.FORMAT,
    ) -> Revision:
        """Make a new live revision, add its line to the journal, and remove what is no longer kept.

        When this returns, the revision survives a power cut. When it raises, the old one is live, and where
        writing failed objects must be put again. Trouble with the journal or the removal, which come after
        that point, is only added to `Store.damage`.

        Parameters
        ----------
        kind
            One of KINDS.
        objects
            Role to digest: of objects put since the last commit, or of objects of kept revisions.
        body
            Plain JSON; `edgecl.store.body_kinds` has a class for each kind.
        time
            UTC, ISO 8601.
        parent
            The revision that the lesson was computed from; by default the live one.
        least_format
            Format of the store from now on, unless it has a later one; software of an earlier one refuses it.

        Raises
        ------
        SettingError
            When the store would exceed `disk_bytes` even without any older revision. Nothing is changed.
        StoreLockedError
            When `parent` is no longer the live revision, or the lock was lost: the folder was moved or replaced.
        StoreDamagedError
            When an object is missing.
        EdgeclError
            When writing fails.
        """
        revision, text = self._publisher.compose(
            kind, objects=objects, body=body, time=time, parent=self._publisher.parent(parent)
        )
        entry = journal_entry(revision, text)
        needed = self._objects.held_bytes(objects.values()) + len(text) + 2 * records.POINTER_BYTES
        needed += upgrade_bytes(self._folder, least_format) + self._journal.cost(entry)
        self._space.make_room(needed, pending=self._objects.nbytes, using=self._objects.in_use(objects))
        self._publisher.publish(revision, text, least_format=least_format)
        self._finish_commit(entry)
        return revision

    def rollback(self, number: int, *, time: str) -> Revision:
        """Commit the objects and the body of a kept revision again, with "rolled_back_to" in the body.

        Raises as `commit` does, and:

        SettingError
            When the revision is not kept.
        StoreDamagedError
            When the revision or one of its objects is damaged.
        """
        kept = [one for one in self._folder.numbers() if one < self._publisher.next_number]
        if number not in kept:
            raise SettingError(f"revision {number} is not kept: there are {', '.join(map(str, kept))}")
        target, _ = self._folder.load(number)
        for digest in set(target.objects.values()):
            self._folder.read(digest)
        body = {**target.body, "rolled_back_to": number}
        return self.commit(kind="rollback", objects=target.objects, body=body, time=time)

    def forget(
        self, *, objects: Mapping[str, str], body: Mapping[str, Any], time: str, saw: Saw
    ) -> tuple[Revision, Removed]:
        """Commit a revision, and remove the others that saw what it no longer knows, with all that only they used.

        From the first journal line that saw it on, the lines lose their details, except lines about revisions that
        stay. The inbox is emptied: its recordings have no confirmed label. The new revision has no parent, and may
        exceed `disk_bytes` until the old files are gone. When this returns, they are, and a power cut does not bring
        them back. A cut before that leaves the old revision, or the new one; then the next process that opens the
        store finishes the removal.

        Parameters
        ----------
        saw
            Tests whether a revision with that body, or the journal entry with those members, saw what is to be
            forgotten.

        Raises
        ------
        StoreDamagedError
            When an object is missing.
        EdgeclError
            When writing or removing fails; its message says which of the two models is live.
        """
        from edgecl.store.erasure import find_traces, remove_traces  # here and below: what a lesson does not need

        forgets = find_traces(self._folder, self._journal, saw, damage=self._damage)
        revision, text = self._publisher.compose(
            "forget", objects=objects, body={**body, "forgets": forgets.as_dict()}, time=time, parent=None
        )
        self._publisher.publish(revision, text)
        self.discard()
        self._unlogged.clear()
        outcome = f"revision {revision.number} is live, but what it forgot is not removed yet: open the store again"
        with explained(f"removing files of {self._folder.path}", outcome=outcome):
            return revision, remove_traces(self._journal, journal_entry(revision, text), space=self._space)

    @contextmanager
    def with_reserve(self) -> Iterator[None]:
        """Let what is written within use the room that is kept for a forgetting; it is kept again at the end."""
        with self._tolerated(), explained(f"releasing {self._folder.reserve}"):
            self._space.release_reserve()
        try:
            yield
        finally:
            self._keep_reserve(self._space.live.number)

    def _keep_reserve(self, number: int) -> None:
        outcome = f"revision {number} is live, and on a full disk `forget` may fail"
        with self._tolerated(), explained(f"keeping room for `forget` in {self._folder.path}", outcome=outcome):
            self._space.keep_reserve()

    def point_at(self, number: int) -> bool:
        """Let `current` name an intact revision, and return whether it had to be written."""
        pointer = encode_pointer(number, sha256(self._folder.load(number)[1]))
        self._lock.require()
        if self._folder.pointer() == pointer:
            return False
        with explained(f"writing {self._folder.current}"):
            replace_file(self._folder.current, pointer)
        self._publisher.follow_pointer()
        return True

    def remove_unused(self) -> int:
        """Remove the objects that no intact revision uses, flushed, and return how many there were."""
        removed = len(self._space.remove_unused())
        self._space.measure()
        return removed

    def repair_journal(self) -> str:
        """Drop the damaged lines of the journal, and return what was wrong with it: empty for nothing."""
        damage = [*self._journal_damage, *self._journal.drop_damaged()]
        self._journal_damage.clear()
        self._space.measure()
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
        self._space.make_room(self._journal.cost(entry))
        self._lock.require()
        with explained(f"writing the journal of {self._folder.path}"):
            self._journal.append(*self._unlogged, entry)
        self._unlogged.clear()
        self._space.measure()

    def discard(self) -> None:
        """Drop the objects that were put and not committed."""
        self._objects.discard()

    def _finish_commit(self, entry: Mapping[str, Any]) -> None:
        """Write the journal line of a commit and remove old files; what fails is only added to the damage."""
        self.discard()
        outcome = f"revision {entry['revision']} is committed all the same"
        with self._tolerated(), explained("writing the journal", outcome=outcome):
            self._unlogged.append(entry)
            self._journal.append(*self._unlogged)
            self._unlogged.clear()
        with self._tolerated(), explained("removing old files", outcome=outcome):
            self._space.sweep()
        self._keep_reserve(entry["revision"])

    @contextmanager
    def _tolerated(self) -> Iterator[None]:
        try:
            yield
        except EdgeclError as error:
            add_once(self._damage, error)


logger = Logger(__name__)


def remove_leftovers(folder: Folder, orphans: Collection[int]) -> None:
    """Remove temporary files, and revisions that never went live."""
    for place in (folder.path, folder.objects, folder.revisions):
        for entry in entries(place):
            if entry.name.endswith(TEMPORARY) and not entry.is_dir(follow_symlinks=False):
                Path(entry.path).unlink()
    for number in orphans:
        folder.revision(number).unlink()


def recover(journal: Journal, *, space: Space, damage: list[str]) -> list[str]:
    """Add the journal lines that are missing, and finish the forgetting that was interrupted.

    Returns
    -------
    What is wrong with the journal, which is in `damage` as well.
    """
    folder, live = space.folder, space.live
    is_forgetting = has_unfinished_forgetting(folder, live)
    without = {live.number, *live.body["forgets"]["revisions"]} if is_forgetting else set()
    committed = (folder.load_if_intact(number, damage) for number in folder.numbers() if number not in without)
    journal_damage = journal.recover([journal_entry(*one) for one in committed if one])
    for one in journal_damage:
        add_once(damage, one)
    if is_forgetting:
        from edgecl.store.erasure import remove_traces  # rare: what a lesson does not need

        removed = remove_traces(journal, journal_entry(*folder.load(live.number)), space=space)
        logger.warning(
            "%s: a forgetting that was interrupted is complete now: %d revisions and %d objects were removed",
            folder.path,
            len(removed.revisions),
            len(removed.objects),
        )
    return journal_damage
