"""Merge: the share files of other devices as a revision, through the gate."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecl.errors import SettingError
from edgecl.gate.verdict import Verdict
from edgecl.model.share import Share
from edgecl.model.shares import COMBINATIONS, SUM, own_classes
from edgecl.operations.changes import ChangeReport
from edgecl.operations.open_store import (
    OpenStore,
    OverlayObjects,
    StoredObjects,
    note_left_behind,
    note_rejected,
    utc_now,
)
from edgecl.operations.sharing import is_unit, paths_of
from edgecl.sharing import merging
from edgecl.sharing.checks import require_disjoint, require_fits, require_one_plan
from edgecl.sharing.screening import capped, screened
from edgecl.sharing.share_file import Incoming, Shape, read
from edgecl.sources.labels import several

if TYPE_CHECKING:
    from edgecl.model.model import Model, Objects
    from edgecl.sharing.plans import Plan
    from edgecl.store.records import Revision
    from edgecl.store.writer import Writer


@dataclass(frozen=True)
class MergeReport(ChangeReport):
    """What became of the shares."""

    shares: Mapping[str, Mapping[str, Any]]
    """Device to its name, its samples, and `became`: "new", "same", "older" or "left out", with the reason."""
    removed: tuple[str, ...]
    """Names of the devices that were taken out."""
    devices: Mapping[str, str]
    """Devices whose shares the store has now, or would have, by their names."""
    irreversible: tuple[str, ...]
    """Names of those of which no class can be forgotten alone."""
    unplanned: Mapping[str, int]
    """Label to the samples that the plan of an irreversible sum does not count, for which the sum is not exact."""
    classes: tuple[str, ...]
    unchanged: bool
    """Whether there was nothing to do."""

    @property
    def is_accepted(self) -> bool:
        """Whether the shares are in, or were already."""
        return self.unchanged or super().is_accepted

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            **super().as_dict(),
            "asks": [one.as_dict() for one in self.verdict.asks],
            "unchanged": self.unchanged,
            "shares": {device: dict(one) for device, one in self.shares.items()},
            "removed": list(self.removed),
            "devices": dict(self.devices),
            "irreversible": list(self.irreversible),
            "unplanned": dict(self.unplanned),
            "classes": list(self.classes),
        }


def merge(
    opened: OpenStore,
    files: str | Path | Sequence[str | Path] = (),
    *,
    without: str | Collection[str] = (),
    dry_run: bool = False,
    require_proof: bool = False,
    force: bool = False,
    same_as: str | Collection[str] | None = None,
    distinct: bool = False,
    screen: bool = True,
    cap: float | None = None,
    combine: str | None = None,
    irreversible: bool = False,
) -> MergeReport:
    """Take in what other devices have shared; committed only if nothing of one's own gets worse.

    A share is kept apart from one's own statistics and replaces an earlier one of the same device: the same file
    twice is as once.

    Parameters
    ----------
    files
        Share files, or one.
    without
        Devices, by name or by device, whose shares are taken out before others come in.
    dry_run
        Judge, commit nothing.
    require_proof
        Reject what is only unproven.
    force
        Commit whatever the verdict, unless it is a fault of the result itself.
    same_as, distinct
        Names that resemble these known classes are those, and all others that resemble a known one are classes of
        their own.
    screen
        Leave out devices whose class means the others would answer otherwise; needs three devices.
    cap
        Times the median count that a device's class weighs at most; None: as stated. Not exact where it acts.
    combine
        "sum" or "median"; by default as before.
    irreversible
        Take in shares of which no class can be forgotten alone: see `plan`.

    Raises
    ------
    SettingError
        When a share has other features, is the store's own, or would count a device twice.
    DataError
        When a file is not an intact share, or its numbers are not those of samples.
    """
    if force and require_proof:
        raise SettingError("force commits whatever the verdict, require_proof rejects doubt: choose one")
    if combine not in (None, *COMBINATIONS):
        raise SettingError(f"{combine!r} is not a way to combine: choose one of {', '.join(COMBINATIONS)}")
    incoming = [read(path) for path in paths_of(files)]
    with nullcontext() if dry_run else opened.store.writer() as writer:
        live, model = opened.model()
        _require_all_fit(opened, model, incoming)
        objects: Objects = OverlayObjects(opened.store) if writer is None else StoredObjects(writer)
        left, removed = _taken_out(model, several(without))
        others, became = merging.newest(left, [one.share for one in incoming])
        fresh = {device for device, one in became.items() if one.what == merging.NEW}
        plans = {one.share.device: one.plan for one in incoming if one.plan and one.share.device in fresh}
        _require_planned(opened, model, others, plans, irreversible=irreversible)
        names = merging.named(model, others, same_as=several(same_as or ()), distinct=distinct)
        kept, reasons = _trusted(model, names.others, screen=screen and bool(fresh) and not names.asks, cap=cap)
        require_disjoint(kept)
        names = replace(names, others=kept)
        how = combine or model.combine
        _require_exact(others, kept, names.others, cap=cap, combine=how)
        unchanged = _is_same(model, names.others) and how == model.combine and names.distinct == model.distinct
        if unchanged:
            verdict, made = Verdict(True, True, (_nothing_new(became.values()),), {}, None, None), None
        else:
            verdict, made = _candidate(model, names, how, objects)
        accepted = verdict.accepted and (verdict.proven or not require_proof)
        forced = force and not verdict.accepted and not verdict.is_final and made is not None
        revision = None
        if writer is not None and not unchanged:
            revision = _committed(writer, live, made if accepted or forced else None, verdict, forced=forced)
    if not accepted and verdict.accepted:
        verdict = replace(verdict, accepted=False)
    return MergeReport(
        verdict=verdict,
        revision=revision.number if revision else None,
        shares=_told([one.share for one in incoming], became, reasons, others),
        removed=removed,
        devices={device: one.name for device, one in sorted(names.others.items())},
        irreversible=tuple(sorted(one.name for one in names.others.values() if one.plan)),
        unplanned=_unplanned(made, plans),
        classes=(made or model).labels,
        dry_run=dry_run,
        forced=forced,
        unchanged=unchanged,
    )


def _require_all_fit(opened: OpenStore, model: Model, incoming: Sequence[Incoming]) -> None:
    if not incoming:
        return
    shape, unit = Shape.of(model.settings, opened.store.extractor_digest), is_unit(opened, model)
    for one in incoming:
        require_fits(one, shape, own=opened.store.name, is_unit=unit)


def _require_planned(
    opened: OpenStore, model: Model, others: Mapping[str, Share], plans: Mapping[str, Plan], *, irreversible: bool
) -> None:
    if not plans:
        return
    if not irreversible:
        names = ", ".join(sorted(repr(others[device].name) for device in plans))
        verb = "shares" if len(plans) == 1 else "share"
        raise SettingError(
            f"{names} {verb} all classes as one matrix, from which `forget` can take no class out: only the whole "
            "device could go again",
            parameter="irreversible",
        )
    counts = {label: one.count for label, one in own_classes(model).items()}
    require_one_plan(others, plans, own=opened.store.name, counts=counts)


def _require_exact(
    others: Mapping[str, Share],
    kept: Mapping[str, Share],
    named: Mapping[str, Share],
    *,
    cap: float | None,
    combine: str,
) -> None:
    """Raise SettingError where an irreversible sum, which is exact as a whole alone, would be another one."""
    planned = {device: share for device, share in others.items() if share.plan}
    if planned and (cap is not None or combine != SUM):
        raise SettingError(
            f"{next(iter(planned.values())).name!r} has shared an irreversible sum, which is exact only as it is: "
            "leave cap and median out, or take such devices out",
            parameter="combine" if cap is None else "cap",
        )
    for device, share in planned.items():
        if device not in kept:
            raise SettingError(
                f"{share.name!r} would be left out, and without it the irreversible sum is not exact: make a plan "
                "without it, or merge without the screen"
            )
        if set(named[device].statistics) != set(share.statistics):
            raise SettingError(
                f"{share.name!r} calls a class by another name, and in an irreversible sum names cannot be changed: "
                "agree on the names and make a plan again",
                parameter="same_as",
            )


def _unplanned(made: Model | None, plans: Mapping[str, Plan]) -> dict[str, int]:
    """Return the samples of each label of a plan that it does not count: kept out of it, or shared otherwise."""
    if made is None or not plans:
        return {}
    planned = next(iter(plans.values())).counts  # they are one
    more = {label: made.statistics[label].count - count for label, count in planned.items()}
    return {label: count for label, count in more.items() if count > 0}


def _taken_out(model: Model, without: Collection[str]) -> tuple[dict[str, Share], tuple[str, ...]]:
    """Return the shares that stay, and the names of those that go."""
    gone: set[str] = set()
    for one in without:
        found = [device for device, share in model.others.items() if one in (device, share.name)]
        if len(found) != 1:
            names = ", ".join(f"{share.name} ({device})" for device, share in sorted(model.others.items())) or "none"
            raise SettingError(f"{one!r} names {len(found)} of the devices that are merged: there are {names}")
        gone.update(found)
    left = {device: share for device, share in model.others.items() if device not in gone}
    return left, tuple(sorted(model.others[device].name for device in gone))


def _trusted(
    model: Model, others: Mapping[str, Share], *, screen: bool, cap: float | None
) -> tuple[dict[str, Share], Mapping[str, str]]:
    """Return the shares that pass the screen, capped where that is wanted, and why others do not."""
    own = own_classes(model)
    if screen:
        found = screened(others, own, floor=model.settings.shrinkage_floor)
        others, reasons = found.kept, found.left_out
    else:
        reasons = {}
    return (dict(others) if cap is None else capped(others, own, times=cap)), reasons


def _is_same(model: Model, others: Mapping[str, Share]) -> bool:
    def marks(shares: Mapping[str, Share]) -> dict[str, Any]:
        return {device: (one.digest, one.stated()["classes"]) for device, one in shares.items()}

    return marks(model.others) == marks(others)


def _nothing_new(became: Collection[merging.Became]) -> str:
    if any(one.what == merging.NEW for one in became):
        return "what is new was left out, and what the store has stays: see the reason at each device"
    if any(one.what == merging.OLDER for one in became):
        return "nothing that was given is newer than what the store has"
    return "the store has these shares already"


def _candidate(model: Model, names: merging.Named, combine: str, objects: Objects) -> tuple[Verdict, Model | None]:
    """Return the verdict and, where one was made, the merged model."""
    if names.asks:
        return Verdict(False, False, (), {}, None, None, asks=names.asks), None
    refused = merging.too_many(model, names.others)
    if refused is not None:
        return refused, None
    made = merging.merged(model, names.others, combine=combine, objects=objects, distinct=names.distinct)
    return merging.judged(model, made), made


def _committed(
    writer: Writer, live: Revision, made: Model | None, verdict: Verdict, *, forced: bool
) -> Revision | None:
    """Commit the merged model; a line in the journal where the old one stays."""
    from edgecl.store.body_kinds import MERGE, MergeBody

    if made is None:
        note_rejected(writer, MERGE, verdict, time=utc_now())
        return None
    body = MergeBody(**made.body(), verdict=verdict.stored(), forced=forced, bytes=made.bytes()).as_dict()
    revision = writer.commit(kind="lesson", objects=made.digests, body=body, time=utc_now(), parent=live.number)
    note_left_behind(live)
    return revision


def _told(
    given: Sequence[Share],
    became: Mapping[str, merging.Became],
    reasons: Mapping[str, str],
    others: Mapping[str, Share],
) -> dict[str, dict[str, Any]]:
    """Return what became of each device: those that were given, and those that were left out since."""
    found = {}
    for one in given:
        what = became[one.device]
        share = others[one.device] if what.what == merging.NEW else one
        found[one.device] = {"name": share.name, "samples": share.samples, "became": what.what, "reason": what.reason}
    for device, reason in reasons.items():
        share = others[device]
        found[device] = {"name": share.name, "samples": share.samples, "became": "left out", "reason": reason}
    return found
