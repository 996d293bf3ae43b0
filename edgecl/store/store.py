"""The model store: one folder, immutable objects, numbered revisions, atomic commits.

::

    kitchen/
      store.json               format, name, extractor digest, settings; sealed by its own sha256
      extractor.onnx           as given to `Store.create`; that of an upgrade is an object
      objects/<sha256>.npz     arrays that never change, named by their digest: arrays.py
      revisions/000007.json    digests of store.json and of the objects, time, body; sealed: records.py
      current                  "7 <sha256 of revisions/000007.json>"
      journal.jsonl            one line per decision: journal.py
      lock                     empty; the process that holds its flock writes
      reserve                  room that is kept for a forgetting: reserve.py

A commit writes the objects, then the revision, then `current`, each under a temporary name, flushed and
renamed, and flushes each folder before the next step: a power cut leaves the old or the new revision. Readers
take no lock; one that misses a file reads `current` again.

`Store` reads, `writer.Writer` writes, `folder.Folder` knows where files are and checks what it reads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecl.errors import EdgeclError, SettingError, StoreDamagedError, StoreLockedError
from edgecl.notes import Logger
from edgecl.store import reserve
from edgecl.store.files import locked_store
from edgecl.store.folder import (
    EXTRACTOR,
    Folder,
    add_once,
    extractor_content,
    extractor_of,
    has_unfinished_forgetting,
    live_revision,
    newest_intact,
    newest_readable,
    read_header,
    read_roles,
    require_store,
    tree_bytes,
    verify_extractor,
)
from edgecl.store.journal import read_journal
from edgecl.store.records import FORMAT, Header, Revision, sha256
from edgecl.store.writer import Writer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgecl.store.backup import Backup
    from edgecl.store.erasure import Removed, Saw


logger = Logger(__name__)


class Reader:
    """What can be read of a model folder, without a lock."""

    def __init__(self, folder: Folder, header: Header) -> None:
        self._folder = folder
        self._header = header
        self.path = folder.path
        self.settings: Mapping[str, Any] = header.settings
        self.damage: list[str] = []
        self.stand_in: int | None = None

    @property
    def name(self) -> str:
        """Random name, by which other devices know what it shares."""
        return self._header.name

    @property
    def extractor_path(self) -> Path:
        """File of the live revision's extractor: the one that was copied in, or the object of an upgrade."""
        return extractor_of(self._folder, self._header, self.current())[0]

    @property
    def extractor_digest(self) -> str:
        """Sha256 of the live revision's extractor."""
        return self.extractor_digest_of(self.current())

    def extractor_digest_of(self, revision: Revision) -> str:
        """Return the sha256 of a revision's extractor; raises StoreDamagedError where it is not stated."""
        return extractor_of(self._folder, self._header, revision)[1]

    def verify_extractor(self) -> bytes | None:
        """Return what is in the extractor's file; None where the live extractor is the object of an upgrade.

        Raises StoreDamagedError unless the file that was copied in, and the live extractor, match their digests.
        """
        if EXTRACTOR not in (objects := self.current().objects):
            return extractor_content(self._folder, self._header)
        verify_extractor(self._folder, self._header)
        self._folder.read(objects[EXTRACTOR])
        return None

    def write_fault(self) -> str:
        """Return why the store cannot be written to: empty where it can."""
        from edgecl.store.check import write_fault

        return write_fault(self._folder)

    def reserve(self) -> tuple[int, int]:
        """Return how many bytes are kept for a forgetting, and how many it may need before it removes anything."""
        return reserve.held_bytes(self._folder), reserve.wanted_bytes(self._folder, self.current())

    def current(self) -> Revision:
        """Return the live revision.

        Where `current` or its revision is damaged, that is added to `damage`, and the newest intact revision is
        returned; where there is none, StoreDamagedError is raised. Objects are checked when they are read: see `load`.
        """
        return self._live()[0]

    def revision(self, number: int) -> Revision:
        """Return one of `revisions`.

        Raises
        ------
        SettingError
            When it is not kept.
        StoreDamagedError
            When it is damaged.
        """
        kept = self.revisions()
        if number not in kept:
            raise SettingError(f"revision {number} is not kept: there are {', '.join(map(str, kept))}")
        return self._folder.load(number)[0]

    def revisions(self) -> list[int]:
        """Return the numbers of the revisions that are kept, oldest first."""
        live, is_followed = self._live()
        return [number for number in self._folder.numbers() if number <= live.number or not is_followed]

    def read(self, digest: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of an object, private to the caller; large ones as pages of their file.

        Raises
        ------
        StoreDamagedError
            When the file is missing, does not match its digest, or is not of the format.
        """
        return self._folder.read(digest)

    def load(self, *roles: str) -> tuple[Revision, dict[str, dict[str, NDArray[Any]]]]:
        """Return the live revision with the objects of some roles, all from the same revision.

        Where a commit removes a file meanwhile, the new revision is read; where an object is damaged, the newest
        intact revision, and `damage` states it.

        Parameters
        ----------
        roles
            Such as "head", or "statistics" for all "statistics/...".
        """
        revision = self.current()
        while True:
            try:
                return revision, read_roles(self._folder, revision, roles)
            except StoreDamagedError as error:
                live = self.current()
                if live == revision:
                    add_once(self.damage, error)
                    live = self.newest_intact()
                    self.stand_in = live.number
                revision = live

    def journal(self) -> list[dict[str, Any]]:
        """Return the decisions, oldest first, each with its "line"; damaged lines are added to `damage`.

        A commit's entry is that of `records.journal_entry`; one of `Writer.note` has what was given to it. The older
        half is dropped at 1 MiB, or at a sixteenth of `disk_bytes`.
        """
        decisions, damage = read_journal(self._folder.journal, name=self._header.name)
        for found in damage:
            add_once(self.damage, found)
        return decisions

    def check(self) -> list[str]:
        """Read every byte and return what is wrong, in sentences that name the file."""
        from edgecl.store.check import check

        return check(self._folder, self._header, damage=self.damage)

    def digest(self, number: int) -> str:
        """Return the sha256 of a kept revision's file; raises StoreDamagedError where that is damaged."""
        return sha256(self._folder.load(number)[1])

    def unused_objects(self) -> set[str]:
        """Return the digests of the object files that no kept revision uses."""
        used = {one for number in self._folder.numbers() for one in self._folder.load(number)[0].objects.values()}
        return set(self._folder.object_bytes()) - used

    def newest_readable(self) -> tuple[Revision, dict[str, dict[str, NDArray[Any]]]]:
        """Return the newest revision whose own file is intact, and its intact parts by role."""
        return newest_readable(self._folder)

    def newest_intact(self) -> Revision:
        """Return the newest revision of which every byte is intact; raises StoreDamagedError where none is."""
        return newest_intact(self._folder, self.damage)

    def bytes_on_disk(self) -> int:
        """Return the total length in bytes of all files in the folder."""
        return tree_bytes(self.path)

    def _live(self) -> tuple[Revision, bool]:
        live, is_followed = live_revision(self._folder, self.damage)
        if not is_followed:
            self.stand_in = live.number
        return live, is_followed


class Store(Reader):
    """A model folder, for reading; `writer` returns the one object that may change it.

    Attributes
    ----------
    path
        The folder.
    settings
        As given to `create`. The store itself uses `disk_bytes`, the limit of all files, and `keep_revisions`.
    extractor_path, extractor_digest
        File of the live extractor and the sha256 that the extractor should have: `verify_extractor` compares.
    damage
        What was found damaged so far, or failed, and could be worked around, in sentences that name the file.
    stand_in
        Number of the revision that was used last in the place of a damaged one; None where nothing had to be.

    Examples
    --------
    >>> import tempfile
    >>> from edgecl import Learner
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Learner.create(folder + "/kitchen", extractor="voice").store
    ...     store.current().number, store.revisions(), store.check()
    (1, [1], [])
    """

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        extractor: str | Path,
        settings: Mapping[str, Any],
        revision_body: Mapping[str, Any],
        time: str | None = None,
        version: int = FORMAT,
    ) -> Store:
        """Make an empty store with revision 1.

        It is written to a folder next to `path` that is renamed at the end, so a cut leaves no half store.

        Parameters
        ----------
        path
            A folder that does not exist, or is empty; its parent folder must exist.
        extractor
            The file that is copied in.
        settings, revision_body
            Plain JSON.
        time
            UTC, ISO 8601; by default now.
        version
            FORMAT, or PAGED_FORMAT where software of the former would misread the settings.

        Raises
        ------
        SettingError
            When `path` or `extractor` cannot be used, or `disk_bytes` is too small for an empty store.
        EdgeclError
            When writing fails.
        """
        from edgecl.store.creation import create_folder  # here and below: what a lesson does not need

        path = Path(os.path.realpath(path))
        create_folder(
            path, extractor=Path(extractor), settings=settings, body=revision_body, time=time, version=version
        )
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> Store:
        """Open for reading.

        Raises
        ------
        StoreMissingError
            When there is no store at `path`.
        StoreDamagedError
            When store.json is damaged or no revision is intact.
        ModelError
            When the store has a format that this edgecl does not read, or may not be read.
        """
        path = Path(path).absolute()
        require_store(path)
        header, digest = read_header(path)
        store = cls(Folder(path, digest, header.format), header)
        if has_unfinished_forgetting(store._folder, store.current()):
            store._finish_interrupted()
        return store

    def _finish_interrupted(self) -> None:
        """Open and close a writer, which finishes the forgetting that was interrupted."""
        try:
            with self.writer(timeout_s=0):
                pass
        except StoreLockedError:
            pass  # its writer does that
        except EdgeclError as error:
            logger.warning("%s still contains what revision %d forgot: %s", self.path, self.current().number, error)

    def repair(self, *, require_usable: Callable[[int], object], time: str) -> list[str]:
        """Repair the store from what is intact in it, and return what was done, in sentences.

        The newest intact revision becomes the live one; damaged revisions and lines, and objects that none uses, are
        removed. Other files stay. Parameters and errors are those of `edgecl.store.repair.repair`.
        """
        from edgecl.store.repair import repair

        with self.writer() as writer:
            done = repair(self._folder, writer, require_usable=require_usable, time=time)
        self.damage.clear()
        self.stand_in = None
        return done

    def backup(
        self, file: Path, *, sign: Callable[[str], Mapping[str, str]] | None = None, overwrite: bool = False
    ) -> Backup:
        """Write the store to one file; see `edgecl.store.backup.write_backup`."""
        from edgecl.store.backup import held_still, write_backup

        with held_still(self._folder.path):
            return write_backup(self._folder, self._header, file, sign=sign, overwrite=overwrite)

    def remove_no_files(self) -> list[str]:
        """Remove folders, pipes, devices and links in the place of files; see `edgecl.store.repair.remove_no_files`."""
        from edgecl.store.repair import remove_no_files

        return remove_no_files(self._folder)

    def restore_extractor(self, source: str | Path) -> None:
        """Replace the extractor by a copy of the same file; raises SettingError where `source` is another one."""
        from edgecl.store.repair import require_same_extractor, restore_extractor

        require_same_extractor(self._folder, self._header, Path(source))
        with self.writer():
            restore_extractor(self._folder, self._header, Path(source))

    def would_forget(self, saw: Saw) -> Removed:
        """Return what `Writer.forget` would remove, without the lock and without a change: see there."""
        from edgecl.store.erasure import count_traces
        from edgecl.store.journal import Journal

        journal = Journal(self._folder.journal, name=self._header.name, longest=0)
        return count_traces(self._folder, journal, saw, damage=self.damage)

    @contextmanager
    def writer(self, *, timeout_s: float = 10, disk_bytes: int | None = None) -> Iterator[Writer]:
        """Hold the writer lock; what was put and not committed is dropped at the end.

        Parameters
        ----------
        disk_bytes
            Limit of all files; by default that of the live revision, or of store.json.

        Raises
        ------
        StoreLockedError
            When another process still writes after `timeout_s` seconds.
        EdgeclError
            When the store cannot be written to.
        """
        with locked_store(self._folder.path, timeout_s=timeout_s) as lock:
            base, is_followed = self._live()
            limits = {"disk_bytes": disk_bytes} if disk_bytes else base.body.get("settings", {})
            writer = Writer(
                self._folder,
                base,
                is_followed=is_followed,
                name=self._header.name,
                settings={**self.settings, **{name: one for name, one in limits.items() if name == "disk_bytes"}},
                damage=self.damage,
                lock=lock,
            )
            try:
                yield writer
            finally:
                writer.discard()
