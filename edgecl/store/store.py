"""The model store: one folder, immutable objects, numbered revisions, atomic commits.

::

    kitchen/
      store.json               format, name, extractor digest, settings; sealed by its own sha256
      extractor.onnx           as given to `Store.create`
      objects/<sha256>.npz     arrays that never change, named by their digest: _npz.py
      revisions/000007.json    digests of store.json and of the objects, time, body; sealed
      current                  "7 <sha256 of revisions/000007.json>"
      journal.jsonl            one line per decision: _journal.py
      lock                     empty; who holds its flock writes

A commit writes the objects, then the revision, then `current`, each under a temporary name, flushed and
renamed, and flushes each folder before the next step: a power cut leaves the old or the new revision. Readers
take no lock; one that misses a file reads `current` again.

`Store` reads, `_writer.Writer` writes, `_layout.Layout` knows where files are and checks what it reads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecl.errors import EdgeclError, SettingError, StoreDamagedError, StoreLockedError, StoreMissingError
from edgecl.store import records
from edgecl.store.check import collect_errors
from edgecl.store.checksums import sha256
from edgecl.store.creation import create_folder
from edgecl.store.files import digest_file, explained, locked, read_file, replace_file
from edgecl.store.folder import Layout, tree_bytes
from edgecl.store.journal import read_journal, tells
from edgecl.store.records import Header, Revision, decode_header
from edgecl.store.repair import repair
from edgecl.store.writer import Writer

if TYPE_CHECKING:
    from numpy.typing import NDArray


logger = logging.getLogger(__name__)


class Store:
    """A model folder, for reading; `writer` gives the one hand that may change it.

    Attributes
    ----------
    path
        The folder.
    settings
        What was given to `create`. The store itself looks at `disk_bytes`, the limit of all its files
        together, and at `keep_revisions`.
    extractor_path, extractor_digest
        The extractor's file and the sha256 it should have: `verify_extractor` compares.
    damage
        What was found damaged so far and could be got round, in sentences that name the file.

    Examples
    --------
    >>> import tempfile
    >>> from edgecl.extractors.opening import builtin_extractor
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Store.create(
    ...         Path(folder, "kitchen"),
    ...         extractor=builtin_extractor("voice"),
    ...         settings={"disk_bytes": 1 << 24, "keep_revisions": 10},
    ...         revision_body={},
    ...     )
    ...     store.current().number, store.revisions(), store.check()
    (1, [1], [])
    """

    def __init__(self, layout: Layout, header: Header) -> None:
        self._layout = layout
        self._header = header
        self.path = layout.path
        self.settings: Mapping[str, Any] = header.settings
        self.extractor_path = layout.path / header.extractor_file
        self.extractor_digest = header.extractor_digest
        self.damage: list[str] = []

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        extractor: str | Path,
        settings: Mapping[str, Any],
        revision_body: Mapping[str, Any],
        time: str | None = None,
    ) -> Store:
        """Make a store that knows nothing yet, with revision 1.

        All is written to a folder beside `path` that is renamed at the end, so a cut leaves no half store.

        Parameters
        ----------
        path
            A folder that does not exist, or is empty; the folder above it must exist.
        extractor
            The file that is copied in.
        settings, revision_body
            Plain JSON.
        time
            UTC, ISO 8601; now, where it is left out.

        Raises
        ------
        SettingError
            When `path` or `extractor` cannot be used, or `disk_bytes` is too small for an empty store.
        EdgeclError
            When writing fails.
        """
        path = Path(path).resolve()
        now = time or datetime.now(UTC).isoformat(timespec="seconds")
        first = Revision(1, None, "init", now, {}, dict(revision_body))
        create_folder(path, extractor=Path(extractor), settings=settings, revision=first)
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> Store:
        """Open for reading.

        Raises
        ------
        StoreMissingError
            When there is no store at `path`.
        StoreDamagedError
            When store.json is damaged or no revision is sound.
        ModelError
            When the store has a format that this edgecl does not read, or may not be read.
        """
        path = Path(path).absolute()
        _require_store(path)
        header, digest = _read_header(path)
        store = cls(Layout(path, digest), header)
        if store._is_forgetting():
            store._finish_forgetting()
        return store

    def _is_forgetting(self) -> bool:
        """Whether a cut came between the commit of a forgetting and its journal line, which ends it."""
        live = self.current()
        return live.kind == "forget" and not tells(self._layout.journal, live.number)

    def _finish_forgetting(self) -> None:
        try:
            with self.writer(timeout_s=0):
                pass
        except StoreLockedError:
            pass  # its writer is at it
        except EdgeclError as error:
            logger.warning("%s still holds what revision %d forgot: %s", self.path, self.current().number, error)

    def verify_extractor(self) -> None:
        """Raise StoreDamagedError unless the extractor file is the one that was copied in."""
        if digest_file(self.extractor_path, limit=self._header.extractor_bytes) != self.extractor_digest:
            raise StoreDamagedError(f"{self.extractor_path} is not what its digest in store.json says")

    def current(self) -> Revision:
        """Return the live revision.

        Where `current` or its revision is damaged, that goes to `damage`, and the newest revision of which
        every byte is sound is returned. Objects are checked when they are read: see `load`.

        Raises
        ------
        StoreDamagedError
            When no revision is sound.
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
        return self._layout.load(number)[0]

    def revisions(self) -> list[int]:
        """Return the numbers of the revisions that are kept, oldest first."""
        live, is_followed = self._live()
        return [number for number in self._layout.numbers() if number <= live.number or not is_followed]

    def read(self, digest: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of an object, private to the caller; large ones as pages of their file.

        Raises
        ------
        StoreDamagedError
            When the file is missing, not what its digest says, or not what the format allows.
        """
        return self._layout.read(digest)

    def load(self, *roles: str) -> tuple[Revision, dict[str, dict[str, NDArray[Any]]]]:
        """Return the live revision with the objects of some roles, all from the same revision.

        Where a commit takes a file away meanwhile, the new revision is read. Where an object is damaged, that
        goes to `damage`, and the newest revision of which every byte is sound is returned.

        Parameters
        ----------
        roles
            Such as "head", or "statistics" for all "statistics/...".
        """
        revision = self.current()
        while True:
            try:
                return revision, self._read_roles(revision, roles)
            except StoreDamagedError as error:
                live = self.current()
                if live == revision:
                    self._found(error)
                    live = self._newest_sound()
                revision = live

    def journal(self) -> list[dict[str, Any]]:
        """Return the decisions, oldest first, each with its "line"; damaged lines only go to `damage`.

        A commit's entry has "kind", "time", "revision", "sha256", "parent" and "body"; one of `Writer.note`
        what was given to it. The older half goes when there is 1 MiB of it, or a sixteenth of `disk_bytes`.
        """
        decisions, damage = read_journal(self._layout.journal, name=self._header.name)
        for found in damage:
            self._found(found)
        return decisions

    def check(self) -> list[str]:
        """Read every byte and return what is wrong, in sentences that name the file."""
        found = [f"{path} does not belong to a store" for path in self._strangers()]
        digests = set(self._layout.object_bytes())
        with collect_errors(found):
            if _read_header(self.path)[1] != self._layout.store_digest:
                found.append(f"{self.path / 'store.json'} is not the one that was opened")
        with collect_errors(found):
            self.verify_extractor()
        with collect_errors(found):
            self._layout.follow(self._layout.pointer())
        if self._is_forgetting():
            found.append(f"{self.path} still holds what its live revision forgot: the next writer removes it")
        for number in self._layout.numbers():
            with collect_errors(found):
                digests.update(self._layout.load(number)[0].objects.values())
        for digest in sorted(digests):
            with collect_errors(found):
                self.read(digest)
        found += read_journal(self._layout.journal, name=self._header.name)[1]
        return list(dict.fromkeys(found))

    def digest(self, number: int) -> str:
        """Return the sha256 of a kept revision's file; raises StoreDamagedError where that is damaged."""
        return sha256(self._layout.load(number)[1])

    def unused_objects(self) -> set[str]:
        """Return the digests of the object files that no kept revision is made of."""
        used = {one for number in self._layout.numbers() for one in self._layout.load(number)[0].objects.values()}
        return set(self._layout.object_bytes()) - used

    def newest_readable(self) -> tuple[Revision, dict[str, dict[str, NDArray[Any]]]]:
        """Return the newest revision whose own file is sound, and those of its parts that are, by role."""
        for number in reversed(self._layout.numbers()):
            with suppress(StoreDamagedError):
                revision, _ = self._layout.load(number)
                parts = {}
                for role, digest in revision.objects.items():
                    with suppress(StoreDamagedError):
                        parts[role] = self.read(digest)
                return revision, parts
        raise StoreDamagedError(f"{self.path} has no revision left that can be read: restore it from a copy")

    def newest_sound(self) -> Revision:
        """Return the newest revision of which every byte is sound; raises StoreDamagedError where none is."""
        return self._newest_sound()

    def repair(self, *, require_usable: Callable[[int], object], time: str) -> list[str]:
        """Make the store whole again from what is sound in it, and return what was done, in sentences.

        The newest sound revision becomes the live one; damaged revisions, objects that none is made of, and damaged
        journal lines are removed. Files that no store has are left alone, and so is the extractor: see `check`.

        Parameters
        ----------
        require_usable
            Raises ModelError for the number of a revision that cannot be used though its bytes are sound.
        time
            UTC, ISO 8601.

        Raises
        ------
        StoreDamagedError
            When no revision is sound: then nothing is changed.
        EdgeclError
            When writing fails.
        """
        with self.writer() as writer:
            done = repair(self._layout, writer, require_usable=require_usable, time=time)
        self.damage.clear()
        return done

    def restore_extractor(self, source: str | Path) -> None:
        """Put a copy of the extractor in its place again.

        Raises
        ------
        SettingError
            When `source` is not the file that the store was made with.
        EdgeclError
            When writing fails.
        """
        if digest_file(Path(source), limit=self._header.extractor_bytes) != self.extractor_digest:
            raise SettingError(
                f"{source} is not the extractor of {self.path}, which has sha256 {self.extractor_digest}"
            )
        with self.writer(), explained(f"restoring {self.extractor_path}"):
            replace_file(self.extractor_path, Path(source).read_bytes())

    def bytes_on_disk(self) -> int:
        """Return the lengths of all files in the folder, added up."""
        return tree_bytes(self.path)

    @contextmanager
    def writer(self, *, timeout_s: float = 10) -> Iterator[Writer]:
        """Hold the writer lock; what was put and not committed is dropped at the end.

        Raises
        ------
        StoreLockedError
            When another process still writes after `timeout_s` seconds.
        EdgeclError
            When the store cannot be written to.
        """
        with locked(self._layout.lock, timeout_s=timeout_s):
            base, is_followed = self._live()
            writer = Writer(
                self._layout,
                base,
                is_followed=is_followed,
                name=self._header.name,
                settings=self.settings,
                found=self._found,
            )
            try:
                yield writer
            finally:
                writer.discard()

    def _live(self) -> tuple[Revision, bool]:
        """Return the live revision, and whether it is the one that `current` names."""
        pointer = self._layout.pointer()
        while True:
            try:
                return self._layout.follow(pointer), True
            except StoreDamagedError as error:
                before, pointer = pointer, self._layout.pointer()
                if pointer == before:  # otherwise a commit took the file away
                    self._found(error)
                    return self._newest_sound(), False

    def _newest_sound(self) -> Revision:
        for number in reversed(self._layout.numbers()):
            try:
                revision, _ = self._layout.load(number)
                for digest in set(revision.objects.values()):
                    self.read(digest)
            except StoreDamagedError as error:
                self._found(error)
            else:
                return revision
        raise StoreDamagedError(f"{self.path} has no sound revision left: {'; '.join(self.damage[:3])}")

    def _read_roles(self, revision: Revision, roles: Collection[str]) -> dict[str, dict[str, NDArray[Any]]]:
        return {
            role: self.read(digest)
            for role, digest in revision.objects.items()
            if role in roles or role.partition("/")[0] in roles
        }

    def _found(self, damage: object) -> None:
        if str(damage) not in self.damage:
            self.damage.append(str(damage))

    def _strangers(self) -> list[Path]:
        return self._layout.strangers({"store.json", self.extractor_path.name})


def _read_header(path: Path) -> tuple[Header, str]:
    """Return what store.json says, and its sha256."""
    data = read_file(path / "store.json", limit=records.MAX_BYTES)
    try:
        return decode_header(data), sha256(data)
    except ValueError as error:
        raise StoreDamagedError(f"{path / 'store.json'} is damaged: {error}") from error


def _require_store(path: Path) -> None:
    if not path.exists():
        raise StoreMissingError(f"{path} does not exist: `edgecl init {path.name} --extractor voice` makes a store")
    if not path.is_dir():
        raise StoreMissingError(f"{path} is a file, a store is a folder: is the path right?")
    parts = [path / name for name in ("objects", "revisions", "current")]
    if not (path / "store.json").exists():
        if any(part.exists() for part in parts):
            raise StoreDamagedError(f"{path / 'store.json'} is missing: restore it from a copy")
        raise StoreMissingError(f"{path} is a folder without store.json, so no store: is the path right?")
    for part in parts:
        if part.is_symlink():
            raise StoreDamagedError(f"{part} is a symbolic link, which a store never holds")
