"""Erasure: remove what saw a label from every file of a store.

Two steps, so that a cut between them can be noticed: the live revision of kind "forget" states what is to be
removed (`Forgets`), and its journal line is written last, when all of it is gone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from edgecl.store.files import flush
from edgecl.store.folder import Folder, entries
from edgecl.store.journal import Journal
from edgecl.store.publishing import Space

Saw: TypeAlias = "Callable[[Mapping[str, Any]], bool]"


@dataclass(frozen=True)
class Forgets:
    """What a forgetting removes, as the body of its revision states it."""

    revisions: Sequence[int]
    first_line: int
    """Number of the first journal line that loses its details."""

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> Forgets:
        """Read what `as_dict` returned."""
        return cls(members["revisions"], members["first_line"])

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        return {"revisions": self.revisions, "first_line": self.first_line}


@dataclass(frozen=True)
class Removed:
    """What `Writer.forget` removed from a store, or would remove."""

    revisions: tuple[int, ...] = ()
    objects: tuple[str, ...] = ()
    """Digests."""
    journal_lines: int = 0
    """Lines that lost their details."""
    inbox_files: int = 0

    def __bool__(self) -> bool:
        return bool(self.revisions or self.journal_lines)


def find_traces(folder: Folder, journal: Journal, saw: Saw, *, damage: list[str]) -> Forgets:
    """Return the revisions and the first journal line that saw it; an unreadable revision counts as one."""
    loaded = {number: folder.load_if_intact(number, damage) for number in folder.numbers()}
    revisions = [number for number, one in loaded.items() if one is None or saw(one[0].body)]
    lines = journal.entries()
    seen = [one["line"] for one in lines if saw(one.get("body", one)) or one.get("revision") in revisions]
    return Forgets(revisions, min(seen, default=lines[-1]["line"] + 1 if lines else 1))


def count_traces(folder: Folder, journal: Journal, saw: Saw, *, damage: list[str]) -> Removed:
    """Return the revisions and the number of journal lines that forgetting would change."""
    forgets = find_traces(folder, journal, saw, damage=damage)
    lines = [one for one in journal.entries() if one["line"] >= forgets.first_line]
    kept = {one for one in folder.numbers() if one not in forgets.revisions}
    return Removed(tuple(forgets.revisions), journal_lines=sum(one.get("revision") not in kept for one in lines))


def remove_traces(journal: Journal, entry: Mapping[str, Any], *, space: Space) -> Removed:
    """Remove what the live revision forgets; its journal line comes last: where it is there, all is done.

    Parameters
    ----------
    entry
        The journal's entry about the live revision.
    """
    folder = space.folder
    forgets = Forgets.from_dict(entry["body"]["forgets"])
    revisions = [number for number in forgets.revisions if folder.revision(number).exists()]
    for number in revisions:
        folder.revision(number).unlink()
    flush(folder.revisions)  # a revision goes before its objects, in a power cut too
    objects = space.remove_unused()
    inbox_files = empty_folder(folder.path / "inbox")
    kept = folder.numbers()
    lines = journal.remove_details(entry, first=forgets.first_line, kept=kept)
    space.measure()
    return Removed(tuple(revisions), objects, lines, inbox_files)


def empty_folder(folder: Path) -> int:
    """Remove everything in a folder and return how many files that were; a link is removed, not followed."""
    if folder.is_symlink():
        folder.unlink()
        return 1
    count = sum(not path.is_dir() for path in folder.rglob("*"))
    for entry in entries(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()
    if count:
        flush(folder)
    return count
