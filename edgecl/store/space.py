"""Make room: old revisions and unused objects go, so that new ones fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from edgecl.errors import SettingError
from edgecl.store.files import explained, flush
from edgecl.store.folder import Folder, tree_bytes
from edgecl.store.records import Revision

KEEP_REVISIONS = 10
JOURNAL_BYTES = 1 << 20
JOURNAL_SHARE = 16  # of disk_bytes, where that is less

_UNLIMITED = 1 << 62


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
        """Remove old revisions, oldest first, until `growth` more bytes fit.

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
        need = self.used + pending + growth
        if need <= self._limit:
            return
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
            f"{path} would need {need:,} bytes, its disk_bytes allow {limit:,}: make a store with a larger limit",
            parameter="disk_bytes",
        )
