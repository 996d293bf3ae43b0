"""Recovery: finish what a killed writer began, before the next one writes."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from edgecl.store.files import TEMPORARY
from edgecl.store.folder import Folder, add_once, entries
from edgecl.store.journal import Journal
from edgecl.store.reading import has_unfinished_forgetting
from edgecl.store.records import journal_entry
from edgecl.store.space import Space

logger = logging.getLogger(__name__)


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
