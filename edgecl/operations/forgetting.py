"""Forget: remove classes from a model and its store, as if never taught, and return a receipt.

Exact, because nothing that stays was made from them: statistics and exemplars are kept by class, and the closed form
is a pure function of the statistics. A refined head was made from all classes at once, so it goes, and with it its EWC
state and the experts of a stream. What was measured while the classes were known (verdicts, evidence) goes too.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from edgecl.errors import EdgeclError, SettingError
from edgecl.learning.forgetting import outdated, without_classes
from edgecl.model.model import EXPERTS, MemoryObjects, Model
from edgecl.operations.open_store import OpenStore, now, utc_now
from edgecl.sources.labels import several
from edgecl.store.erasure import Removed
from edgecl.store.store import Store
from edgecl.store.writer import Writer

INSEPARABLE = "it is in an irreversible sum"  # why the age of a class does not matter
NOT_PROMISED = (
    "that flash, which levels its wear, has no old block left: encrypt the disk, or erase all of it",
    "copies, backups and snapshots of the folder, and the recordings that were taught from",
    "samples that were taught under another label",
    "the mean of samples without labels that the store was centred on: uncentring removes it",
    "how many exemplars the other classes keep: it tells how many classes there were",
    "the old model in the memory of a process that opened the store before",
)


@dataclass(frozen=True)
class State:
    """State of a store before or after, as a receipt compares it."""

    revision: int
    sha256: str
    """Digest of the revision's file, which has the digests of all its parts."""
    head: str | None
    classes: int
    disk_bytes: int


@dataclass(frozen=True)
class Receipt:
    """What was forgotten, and what cannot be promised."""

    classes: Mapping[str, int]
    """Label to samples; those that the live model knew."""
    exemplars: int
    had_ewc: bool
    had_experts: bool
    """Whether the experts of a stream answered, which go: they were made from all classes."""
    removed: Removed
    before: State
    after: State
    head_restarted: bool
    """Whether a refined head was replaced by the closed form."""
    dry_run: bool
    left_alone: Mapping[str, str] = field(default_factory=dict)
    """Label to the reason why its age is not known, where classes were chosen by age."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "forgotten": dict(self.classes),
            "removed": {
                "exemplars": self.exemplars,
                "ewc": self.had_ewc,
                "experts": self.had_experts,
                "revisions": list(self.removed.revisions),
                "objects": list(self.removed.objects),
                "journal_lines": self.removed.journal_lines,
                "inbox_files": self.removed.inbox_files,
            },
            "before": vars(self.before),
            "after": vars(self.after),
            "head_restarted": self.head_restarted,
            "dry_run": self.dry_run,
            "left_alone": dict(self.left_alone),
            "not_promised": list(NOT_PROMISED),
        }


def _taken_out(store: Store, writer: Writer | None, model: Model, labels: Collection[str], *, time: str) -> Receipt:
    """Take classes out of the live model, of every kept revision and of the journal, and look that nothing is left.

    Parameters
    ----------
    writer
        None for a trial, which removes nothing.
    model
        The live one, loaded under the writer.
    labels
        At least one; each known to the live model, a kept revision or the journal.
    time
        UTC, ISO 8601.

    Raises
    ------
    SettingError
        When nothing is known of a label.
    EdgeclError
        When writing or removing fails: the message states what is live then, and what is left.
    """

    def saw(told: Mapping[str, Any]) -> bool:
        return _mentions(told, labels)

    for label in labels:
        if not store.would_forget(lambda told, label=label: _mentions(told, [label])):  # type: ignore[misc]
            raise SettingError(f"{store.path} knows nothing of {label!r}: {_known(model)}")
    before, had_experts = _state(store, model), EXPERTS in store.current().objects
    if writer is None:
        left, removed = without_classes(model, labels, objects=MemoryObjects()), store.would_forget(saw)
    else:
        with writer.with_reserve():
            left = without_classes(model, labels, objects=writer)
            _, removed = writer.forget(objects=left.digests, body=left.body(), time=time, saw=saw)
        _require_no_trace(store, labels)
    return Receipt(
        classes={label: model.statistics[label].count for label in sorted(labels) if label in model.statistics},
        exemplars=sum(len(model.exemplars[label]) for label in labels if label in model.exemplars),
        had_ewc=model.ewc is not None and left.ewc is None,
        had_experts=had_experts,
        removed=removed,
        before=before,
        after=before if writer is None else _state(store, left),
        head_restarted=left.head is not model.head and model.head is not None and model.head.is_refined,
        dry_run=writer is None,
    )


def _mentions(told: Mapping[str, Any], labels: Collection[str]) -> bool:
    """Test whether a revision's body, or a journal entry without one, was made when one of the labels was known."""
    verdict = told.get("verdict", {})
    names = {*told.get("classes", ()), *told.get("lesson", ()), *verdict.get("classes", ())}
    waits = [*verdict.get("set_aside", ()), *verdict.get("asks", ())]
    names |= {one[part] for one in waits for part in ("label", "like")}
    reasons = " ".join(verdict.get("reasons", ()))
    return any(label in names or repr(label) in reasons for label in labels)


def _known(model: Model) -> str:
    return f"its classes are {', '.join(model.labels)}" if model.labels else "it has not learnt anything"


def _state(store: Store, model: Model) -> State:
    revision = store.current()
    return State(
        revision=revision.number,
        sha256=store.digest(revision.number),
        head=model.head.kind if model.head else None,
        classes=len(model.statistics),
        disk_bytes=store.bytes_on_disk(),
    )


def _require_no_trace(store: Store, labels: Collection[str]) -> None:
    """Read again what is kept: a receipt must not claim what is not so."""
    for number in store.revisions():
        revision = store.revision(number)
        roles = {role.partition("/")[2] for role in revision.objects}
        if roles & set(labels) or _mentions(revision.body, labels):
            raise EdgeclError(f"revision {number} of {store.path} still knows what should be forgotten: report this")
    for entry in store.journal():
        if _mentions(entry.get("body", entry), labels):
            raise EdgeclError(f"line {entry['line']} of the journal of {store.path} still tells what should be gone")
    if unused := store.unused_objects():
        raise EdgeclError(f"{len(unused)} objects of {store.path} belong to no revision and are still there")


def unchanged_labels(entry: Mapping[str, Any]) -> Collection[str]:
    """Return the labels of a lesson that had nothing new; none for another line of the journal."""
    return entry.get("lesson", {}) if entry["kind"] == "unchanged" else ()


def forget(
    opened: OpenStore,
    labels: str | Collection[str] = (),
    *,
    older_than: timedelta | None = None,
    dry_run: bool = False,
) -> Receipt | None:
    """Take classes out for good, and every revision that knew them; see `Learner.forget`."""
    named = sorted({_normalised(one) for one in several(labels)})
    if bool(named) == (older_than is not None):
        raise SettingError("name the classes to forget, or how old those are that are to be forgotten: one of the two")
    with nullcontext() if dry_run else opened.store.writer() as writer:
        model = opened.model()[1]
        left_alone: dict[str, str] = {}
        if older_than is not None:
            left_alone = {**undated(opened), **dict.fromkeys(sorted(model.inseparable), INSEPARABLE)}
            named = _outdated(opened.store, model, older_than, left_alone)
        if not named:
            return None
        _require_separable(model, named)
        if not dry_run:
            from edgecl.store.use_counts import drop_counts

            drop_counts(opened.store.path, set(named))
        receipt = _taken_out(opened.store, writer, model, named, time=utc_now())
        return replace(receipt, left_alone=left_alone)


def _require_separable(model: Model, labels: Collection[str]) -> None:
    """Raise SettingError where a class is in a matrix with others of an irreversible sum."""
    for share in model.others.values():
        mixed = sorted(set(labels) & set(share.statistics)) if share.plan else []
        if mixed:
            raise SettingError(
                f"{share.name!r} has shared {mixed[0]!r} as part of one matrix of all its classes, from which it "
                "cannot be taken out: take the whole device out first",
                remedy="merge",
            )


def undated(opened: OpenStore) -> dict[str, str]:
    """Return the classes whose age is not known, with the reason: the clock of their last lesson, or that of now."""
    model = opened.model()[1]
    doubt = now(model.taught[label] for label in model.timed if label in model.taught).doubt
    timed = {label for label, (_, is_timed) in _last_taught(opened.store, model).items() if is_timed}
    return {
        label: doubt or "the clock could not be trusted when it was last taught"
        for label in model.labels
        if doubt or label not in timed
    }


def _normalised(label: str) -> str:
    """Clean a label as a lesson would; one that no lesson would take stays as it is."""
    return unicodedata.normalize("NFC", label).strip()


def _outdated(store: Store, model: Model, older_than: timedelta, left_alone: Collection[str]) -> list[str]:
    """Find the classes not taught for so long; a lesson that had nothing new of them counts as taught."""
    last = {label: time for label, (time, _) in _last_taught(store, model).items()}
    timed = frozenset(last) - frozenset(left_alone)
    labels = outdated(replace(model, taught=last, timed=timed), older_than=older_than, now=datetime.now(UTC))
    if labels and len(labels) == len(model.labels):
        raise SettingError(f"all {len(labels)} classes are that old, is the clock right? Name those to forget")
    return list(labels)


def _last_taught(store: Store, model: Model) -> dict[str, tuple[str, bool]]:
    """Find when each class was last taught, or confirmed since, and whether that time can be trusted.

    What came last is decided by the order of the journal, never by the times.
    """
    confirmed: dict[str, tuple[str, bool]] = {}
    for entry in store.journal():
        for label in unchanged_labels(entry):
            confirmed[label] = (entry["time"], bool(entry.get("timed")))
        for label in entry.get("body", {}).get("lesson", ()):
            confirmed.pop(label, None)
    last = {label: (time, label in model.timed) for label, time in model.taught.items() if time}
    return {**last, **{label: one for label, one in confirmed.items() if label in model.labels}}
