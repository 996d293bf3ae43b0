"""Merge shares into a model: which are new, what they are called here, the candidate, and its verdict."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from edgecl.errors import SettingError
from edgecl.gate.gather import Known, Seen, judged_rows, left_out
from edgecl.gate.judge import judge
from edgecl.gate.resemblance import resemblance
from edgecl.gate.verdict import Ask, Evidence, Policy, Verdict
from edgecl.learning.loop import within_memory
from edgecl.model.exemplars import Exemplars
from edgecl.model.head import whiten, whitened_cosine
from edgecl.model.model import Model, Objects, factor_of, pair_of
from edgecl.model.share import Share
from edgecl.model.shares import with_others
from edgecl.sources.labels import plain_form
from edgecl.units import format_bytes

NEW, SAME, OLDER = "new", "same", "older"


@dataclass(frozen=True)
class Became:
    """What became of the share of a device."""

    what: str
    """NEW, SAME or OLDER."""
    reason: str = ""
    """What its user has to know; mostly nothing."""


def newest(held: Mapping[str, Share], given: Collection[Share]) -> tuple[dict[str, Share], dict[str, Became]]:
    """Return the shares that a store would have, and by device what became of each that was given.

    One that is there already changes nothing; an older one is not taken; one that is newer replaces the one before.
    """
    others, found = dict(held), dict[str, Became]()
    for share in given:
        before = others.get(share.device)
        if before is None:
            others[share.device], found[share.device] = share, Became(NEW)
        elif before.digest == share.digest:
            found.setdefault(share.device, Became(SAME))
        elif before.revision > share.revision:
            found.setdefault(share.device, Became(OLDER, _kept(before, share)))
        else:
            now = share.called(before.renamed)
            others[share.device], found[share.device] = now, Became(NEW, _replaced(before, now))
    return others, found


def _kept(before: Share, older: Share) -> str:
    """Say why an older share is not taken, and how it is: a store that was restored counts its revisions again."""
    return (
        f"it is of revision {older.revision}, what the device shared at revision {before.revision} stays; where it was "
        "restored from a backup, take it out and merge this"
    )


def _replaced(before: Share, now: Share) -> str:
    """Say what is lost where a share replaces one; nothing where it is what the device has learnt since.

    A copy of a store is the same device, and so are two files of parts of one store.
    """
    lost = sorted(set(before.statistics) - set(now.statistics))
    if not lost and before.name == now.name:
        return ""
    without = f", without its {'classes' if len(lost) > 1 else 'class'} {', '.join(lost)}" if lost else ""
    copied = "" if before.name == now.name else "; a copy of a store counts as the same device"
    return f"it replaces what {before.name!r} had shared{without}{copied}"


@dataclass(frozen=True)
class Named:
    """Shares under the names of this store, and what has to be asked about them."""

    others: Mapping[str, Share]
    asks: tuple[Ask, ...]
    """Names that are new here and resemble a known class."""
    distinct: frozenset[tuple[str, str]]
    """Pairs of labels that are not the same."""


def named(
    model: Model,
    others: Mapping[str, Share],
    *,
    same_as: Collection[str] = (),
    distinct: bool = False,
) -> Named:
    """Return shares under the store's labels, with a question for each new name that resembles a known class.

    Parameters
    ----------
    same_as
        Known classes, or those of another device, that names are which resemble them.
    distinct
        All other such names are classes of their own, which the store remembers.

    Raises
    ------
    SettingError
        When a label of `same_as` is not known.
    """
    asks = _asks(model, others)
    known = sorted({*model.labels, *(one.like for one in asks)})
    for label in same_as:
        if label not in known:
            raise SettingError(f"{label!r} is not known: there are {', '.join(known)}", parameter="same_as")
    meant = {one.label: one.like for one in asks if one.like in same_as}
    meant = {label: meant.get(like, like) for label, like in meant.items()}  # a spelling of what is itself another's
    left = [one for one in asks if one.label not in meant]
    if meant:
        others = {device: share.called(meant) for device, share in others.items()}
    if distinct:
        return Named(others, (), model.distinct | {pair_of(one.label, one.like) for one in left})
    return Named(others, tuple(left), model.distinct)


def _asks(model: Model, others: Mapping[str, Share]) -> list[Ask]:
    """Return a question for each label that is new here and close to a known class, in spelling or as it is."""
    known, asks = Known.of(model), _spelled(model, others)
    if known is None or not known.scale.is_usable:
        return list(asks.values())
    factor = known.factor
    for share in others.values():
        for label, one in share.statistics.items():
            where = {other: row for row, other in enumerate(factor.labels) if not model.are_distinct(label, other)}
            if label in model.statistics or label in asks or not where:
                continue
            mean = whiten(factor, one.mean[None].astype(np.float32))[0]
            found = resemblance(mean, one.count, where, factor.whitened, factor.counts, known.scale)
            if found is not None and found.is_close:
                odds = None if np.isnan(found.odds) else found.odds
                asks[label] = Ask(label, found.like, odds, one.count)
    return list(asks.values())


def _spelled(model: Model, others: Mapping[str, Share]) -> dict[str, Ask]:
    """Return a question for each new label that is a known one, or another device's, in another spelling.

    A device that has both tells them apart; a sum of several does not.
    """
    first, asks = {plain_form(one): one for one in model.labels}, dict[str, Ask]()
    own = [set(one.statistics) for one in others.values() if not one.members]
    for share in others.values():
        for label, one in share.statistics.items():
            like = first.setdefault(plain_form(label), label)
            is_new = label not in model.statistics and label != like and not any({label, like} <= one for one in own)
            if is_new and not model.are_distinct(label, like):
                asks.setdefault(label, Ask(label, like, None, one.count))
    return asks


def merged(
    model: Model, others: Mapping[str, Share], *, combine: str, objects: Objects, distinct: frozenset[tuple[str, str]]
) -> Model:
    """Return the model with these shares in place of those that it has, under the closed form of the sums."""
    made = with_others(model, others, combine=combine, objects=objects)
    digests = {role: one for role, one in made.digests.items() if role not in ("head", "ewc")}
    made = within_memory(replace(made, head=None, ewc=None, digests=digests, distinct=distinct))
    if not made.statistics:
        return made
    head = whitened_cosine(factor_of(made))
    return replace(made, head=head, digests={**made.digests, "head": objects.put(head.arrays())})


def too_many(model: Model, others: Mapping[str, Share]) -> Verdict | None:
    """Return a rejection where one's own classes and those of the shares are more than the store was made for."""
    own = {label for label in model.statistics if model.own_of(label) is not None}
    classes = own | {label for share in others.values() for label in share.statistics}
    if len(classes) <= model.settings.max_classes:
        return None
    reason = (
        f"the shares would make {len(classes)} classes, the store was made for {model.settings.max_classes}, and force "
        f"does not change that: resize it, or share some of them"
    )
    return Verdict(False, False, (reason,), {}, None, None, is_final=True)


def judged(model: Model, made: Model, policy: Policy | None = None) -> Verdict:
    """Judge a merged model by one's own kept samples, each left out of the old closed form and of the new one.

    Exactly: the old one may have fewer samples than columns, and the new one many more.
    """
    faults, rows = _faults(made), judged_rows(model)
    if not rows:
        doubt = "unproven: this store keeps no samples by which shares could be judged"
        return Verdict(not faults, False, tuple(faults) or (doubt,), {}, None, None, is_final=bool(faults))
    rows = {label: one for label, one in rows.items() if label in made.statistics}
    if not made.statistics:
        return Verdict(False, False, ("nothing would be left",), {}, None, None, is_final=True)
    before = {label: one.correct for label, one in _left_out(model, rows, old=model).items()}
    seen = _left_out(made, rows, old=model)
    pairs = {label: one for label, one in seen.items() if len(one.correct) == len(before[label])}
    return judge(
        Evidence(
            before={label: before[label] for label in pairs},
            after={label: one.correct for label, one in pairs.items()},
            among_old={label: one.among_old for label, one in pairs.items()},
            taught={},
            new_labels=frozenset(),
            faults=faults,
        ),
        policy or Policy(),
    )


def _left_out(model: Model, rows: Mapping[str, Exemplars], *, old: Model) -> dict[str, Seen]:
    """Return what a model answers for one's own kept samples, each left out; its factor's workspace is free again."""
    return left_out(factor_of(model), model, rows, old=old, kept=old.exemplars)


def _faults(made: Model) -> list[str]:
    """List what no verdict may let through: a head that is not finite, and a budget that is exceeded."""
    faults, held, granted = [], made.bytes()["total"], made.settings.memory_bytes
    if made.head is not None and not made.head.is_finite:
        faults.append("the merged head is not finite")
    if held > granted:
        faults.append(
            f"with these shares the model would take {format_bytes(held)}, {format_bytes(granted)} granted: "
            "resize its memory, or merge fewer devices or one sum of them"
        )
    return faults
