"""Answer what a lesson asked about a new name."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgecl.errors import SettingError
from edgecl.model.model import Lesson, pair_of
from edgecl.operations.inbox import DETECTION, QUESTION, SET_ASIDE, Inbox, Item, open_inbox
from edgecl.operations.open_store import OverlayObjects, StoredObjects, utc_now
from edgecl.operations.teaching import Report, commit, teach
from edgecl.progress import watched

if TYPE_CHECKING:
    from edgecl.learning.loop import Stage
    from edgecl.model.model import Objects
    from edgecl.operations.data import Embedded
    from edgecl.operations.open_store import OpenStore

CONFIRMED = (SET_ASIDE, QUESTION, DETECTION)  # what its user has been asked about, or has heard and corrected


@watched
def answer(
    opened: OpenStore, label: str, *, same_as: str | None = None, distinct: bool = False, **how: Any
) -> Generator[Embedded | Stage, None, Report]:
    """Answer what was asked about a new name; see `Learner.answer`. `how` is as for `teach`."""
    if (same_as is not None) == distinct:
        raise SettingError("a name is the same as a known class, or distinct: say which", parameter="same_as")
    inbox = open_inbox(opened)
    items = [one for one in inbox.items() if one.kind == QUESTION and one.called == label]
    if items:
        if same_as is not None and same_as not in opened.live_body().classes:
            raise _not_known(same_as)
        how["label_case"] = "keep"  # the lesson that was asked about has settled it
        report: Report = yield from taught_items(opened, inbox, items, label=same_as or label, **how)
        return report
    return _answered_live(opened, label, same_as, **how)


@watched
def taught_items(
    opened: OpenStore, inbox: Inbox, items: Sequence[Item], *, label: str, **how: Any
) -> Generator[Embedded | Stage, None, Report]:
    """Teach recordings of the inbox under a name; those that are taught leave it.

    What its user has been asked about, or has heard, is not doubted. A question that is answered with the new name
    itself says that it is distinct.

    Raises
    ------
    SettingError, DataError
        As `teach` does.
    """
    samples = [inbox.sample(one, label=label) for one in items]
    sure = {sample.source for one, sample in zip(items, samples, strict=True) if one.kind in CONFIRMED}
    apart = {pair_of(one.called, one.label) for one in items if one.kind == QUESTION and label == one.called}
    report: Report = yield from teach(opened, samples, confirmed=sure, pairs=apart, **how)
    if report.is_accepted and not report.dry_run:
        waiting = {one.id for one in report.waiting}
        for one in items:
            if one.id not in waiting:
                inbox.remove(one)
    return report


def _answered_live(opened: OpenStore, label: str, same_as: str | None, *, dry_run: bool = False) -> Report:
    """Answer about a name that is live: it becomes part of a known class, or is remembered as distinct."""
    from edgecl.gate.verdict import Verdict
    from edgecl.learning.loop import Outcome
    from edgecl.learning.merging import merged

    started = time.perf_counter()
    with nullcontext() if dry_run else opened.store.writer() as writer:
        live, model = opened.model()
        one = model.alike.get(label)
        if label not in model.statistics or one is None or not one.asked:
            raise SettingError(f"nothing called {label!r} waits for an answer")
        objects: Objects = OverlayObjects(opened.store) if writer is None else StoredObjects(writer)
        if same_as is None:
            now = replace(model, distinct=model.distinct | {pair_of(label, one.like)})
            reason = f"{label!r} and {one.like!r} are not the same: that is remembered"
        else:
            if same_as not in model.statistics or same_as == label:
                raise _not_known(same_as)
            now = merged(model, label, same_as, objects=objects)
            reason = f"{label!r} is part of {same_as!r} now"
        outcome = Outcome(now, Verdict(True, True, (reason,), {}, None, None), "closed-form")
        lesson = Lesson({}, utc_now())
        revision = None if writer is None else commit(writer, live, outcome, lesson, forced=False)
    elapsed = 1e3 * (time.perf_counter() - started)
    return Report(
        outcome=outcome,
        revision=revision.number if revision else None,
        samples=0,
        skipped=(),
        new_classes=(),
        elapsed_ms=elapsed,
        learn_ms=elapsed,
        bytes=now.bytes(),
        bytes_written=objects.bytes_put if isinstance(objects, StoredObjects) else 0,
        dry_run=dry_run,
        forced=False,
    )


def _not_known(same_as: str) -> SettingError:
    return SettingError(f"{same_as!r} is not another class that is known", parameter="same_as")
