"""Accept what a listener suggested: detections that are taught under the label that they were answered with."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgecl.errors import DataError
from edgecl.operations.inbox import SUGGESTION, Inbox, Item
from edgecl.operations.teaching import Report, teach
from edgecl.progress import watched

if TYPE_CHECKING:
    from edgecl.learning.loop import Stage
    from edgecl.operations.data import Embedded
    from edgecl.operations.open_store import OpenStore
    from edgecl.sources.samples import Sample

WEIGHT = 0.25  # of a sample that nobody has labelled


@watched
def accept_suggestions(
    opened: OpenStore, inbox: Inbox, *, dry_run: bool = False
) -> Generator[Embedded | Stage, None, Report]:
    """Teach all suggestions in one lesson, each with a quarter of a sample's weight; those that are taught leave.

    They are judged as any lesson and none becomes an exemplar, so that they never vouch for each other later. Those of
    one day are one witness. Suggestions of a class that is no longer known leave the inbox.

    Raises
    ------
    DataError
        When there is none.
    """
    head = opened.head().head
    known = set(head.labels if head else ())
    items = [one for one in inbox.items(SUGGESTION) if one.label in known or _dropped(inbox, one, dry_run=dry_run)]
    if not items:
        raise DataError("no suggestions wait: a listener that may suggest keeps them", remedy="suggest")
    samples = [_sample(inbox, one) for one in items]
    how: dict[str, Any] = {"weight": WEIGHT, "dry_run": dry_run}
    report: Report = yield from teach(opened, samples, **how)
    if report.is_accepted and not dry_run:
        for one in items:
            inbox.remove(one)
    return report


def _sample(inbox: Inbox, item: Item) -> Sample:
    """Return a suggestion as a sample whose group is its day."""
    return replace(inbox.sample(item, label=item.label), group=f"suggested {item.kept[:10]}")


def _dropped(inbox: Inbox, item: Item, *, dry_run: bool) -> bool:
    """Remove a suggestion of a class that is no longer known; returns False, since it is not taught."""
    if not dry_run:
        inbox.remove(item)
    return False
