"""Making a damaged store whole again from what is sound in it, and saying what was done."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgecl.errors import ModelError, StoreDamagedError
from edgecl.store.files import explained, flush
from edgecl.store.folder import Layout

if TYPE_CHECKING:
    from edgecl.store.writer import Writer


def repair(layout: Layout, writer: Writer, *, require_usable: Callable[[int], object], time: str) -> list[str]:
    """Make the newest sound revision the live one, remove what is damaged, mend the journal; returns what was done.

    Each step leaves a store that opens, and doing all of them again ends what a cut has stopped.

    Parameters
    ----------
    require_usable
        Raises ModelError where a revision cannot be used though each of its bytes may be sound.

    Raises
    ------
    StoreDamagedError
        When no revision is sound: then nothing is changed.
    EdgeclError
        When writing fails.
    """
    numbers = layout.numbers()
    faults = {number: fault for number in numbers if (fault := _fault(layout, number, require_usable))}
    sound = [number for number in numbers if number not in faults]
    if not sound:
        raise StoreDamagedError(f"{layout.path} has no sound revision left: restore it from a copy")
    done = _go_live(layout, writer, sound[-1], newest=numbers[-1], time=time)
    with explained(f"repairing {layout.path}", outcome="what was repaired before that stays so"):
        for number, fault in faults.items():
            _remove(layout.revision(number))
            done.append(f"removed revision {number}: {fault}")
        flush(layout.revisions)  # a revision goes before its objects, in a power cut too
        removed = writer.remove_unused()
        if removed:
            done.append(f"removed {removed} objects that no revision is made of")
        dropped = writer.mend_journal()
        if dropped:
            done.append(f"mended {layout.journal}: {dropped}")
    return done


def _fault(layout: Layout, number: int, require_usable: Callable[[int], object]) -> str:
    try:
        revision, _ = layout.load(number)
        for digest in sorted(set(revision.objects.values())):
            layout.read(digest)
        require_usable(number)
    except ModelError as error:
        return str(error)
    return ""


def _go_live(layout: Layout, writer: Writer, number: int, *, newest: int, time: str) -> list[str]:
    """Let `current` name a sound revision: itself where it is the newest, else as a new one after the damaged."""
    if number == newest:
        if not writer.point_at(number):
            return []
        return [f"wrote {layout.current} again: revision {number} is live"]
    live = writer.rollback(number, time=time).number
    return [f"revision {live} is live: the model of revision {number}, the newest sound one"]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)  # a rollback may have made room
