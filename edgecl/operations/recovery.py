"""Rollback and repair.

A class has its own parts, so a damaged byte costs one class.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from edgecl.errors import ModelError, SettingError, StoreDamagedError
from edgecl.model.head import whitened_cosine
from edgecl.model.loading import load_model
from edgecl.model.model import OWN, Arrays, Model, Objects, factor_of
from edgecl.operations.open_store import OpenStore, utc_now
from edgecl.store.body_kinds import RepairBody
from edgecl.store.folder import EXTRACTOR
from edgecl.store.records import ModelBody, Revision, member
from edgecl.units import whole_number


def salvaged(
    opened: OpenStore, revision: Revision, parts: Mapping[str, Arrays], *, objects: Objects
) -> tuple[Model, list[str]]:
    """Rebuild what is left of a damaged revision; tell what is lost, in sentences.

    A class needs its statistics; without its exemplars it stays, unseen by the gate. A head that is damaged, or knew
    a class that is lost, is solved again.

    Parameters
    ----------
    parts
        The sound ones, by role.

    Raises
    ------
    StoreDamagedError
        When the parts that are there do not fit together.
    """
    stated, parts, roles = _own_alone(ModelBody(**ModelBody.members_of(revision.body)), parts, revision.objects)
    classes = [label for label in stated.classes if f"statistics/{label}" in parts]
    lost = [f"{label!r} is lost: its statistics are damaged" for label in stated.classes if label not in classes]
    unseen = [label for label in stated.exemplars if label in classes and f"exemplars/{label}" not in parts]
    lost += ["what other devices have shared is left out: merge it again"] if revision.body.get("others") else []
    lost += [f"the exemplars of {label!r} are lost" for label in unseen]
    body = replace(
        stated,
        classes={label: stated.classes[label] for label in classes},
        exemplars={one: n for one, n in stated.exemplars.items() if one in classes and one not in unseen},
        ewc_classes=[],
    ).as_dict()
    kept = {role: part for role, part in parts.items() if role.partition("/")[0] in ("statistics", "exemplars")}
    digests = {role: roles[role] for role in (*kept, EXTRACTOR) if role in roles}
    left = opened.paged(load_model(opened.settings_of(revision), digests, body, kept))
    if not left.statistics:
        return left, lost
    head = whitened_cosine(factor_of(left))
    return replace(left, head=head, digests={**digests, "head": objects.put(head.arrays())}), lost


def _own_alone(
    stated: ModelBody, parts: Mapping[str, Arrays], roles: Mapping[str, str]
) -> tuple[ModelBody, Mapping[str, Arrays], Mapping[str, str]]:
    """Return a body, its intact parts and the digests of their roles without what other devices have shared."""
    if not stated.others:
        return stated, parts, roles
    own = stated.others["own"]
    shared = {label for one in stated.others["devices"].values() for label in one["classes"]}
    alone = {label: count for label, count in stated.classes.items() if label not in shared}
    classes = {label: own.get(label, alone.get(label, 0)) for label in stated.classes if label in own or label in alone}
    moved = {f"{OWN}/{label}": f"statistics/{label}" for label in own}
    apart = {f"statistics/{label}" for label in shared}
    left = {moved.get(role, role): part for role, part in parts.items() if role not in apart}
    digests = {moved.get(role, role): one for role, one in roles.items() if role not in apart}
    return replace(stated, classes=classes, others=None), left, digests


def rollback(opened: OpenStore, number: int | None = None) -> Revision:
    """Make the model of an earlier revision the live one, as a new revision.

    By default that from which the live one was learnt: a second rollback goes one further back.
    """
    with opened.store.writer() as writer:
        current = opened.store.current()
        kept = ", ".join(str(one) for one in opened.store.revisions())
        target = _before(opened, current) if number is None else whole_number(number, "revision", least=None)
        if target is None and current.kind == "forget":
            raise SettingError(f"revision {current.number} forgot for good: name one that never knew it, of {kept}")
        if target is None:
            raise SettingError(f"revision {current.number} is the first: there is nothing to roll back to")
        if target not in opened.store.revisions():
            raise SettingError(f"revision {target} is not kept: choose one of {kept}")
        return writer.rollback(target, time=utc_now())


def _before(opened: OpenStore, revision: Revision) -> int | None:
    """Find the revision before a model; a rollback stands where the revision stood that it went back to."""
    while revision.kind == "rollback":
        origin = member(revision.body, "rolled_back_to", int)
        if origin not in opened.store.revisions():
            return origin
        revision = opened.store.revision(origin)
    return revision.parent


def repair(opened: OpenStore) -> list[str]:
    """Make the store whole again from what is intact in it; returns what was done, and what could not be.

    Where that keeps more classes than the newest intact revision has, the newest revision goes on without the
    classes whose statistics are damaged. A damaged extractor comes back where it is one that ships with edgecl.

    Raises
    ------
    StoreDamagedError
        When no revision is intact: then nothing is changed.
    EdgeclError
        When writing fails.
    """
    done = [
        *opened.store.remove_no_files(),
        *_salvage(opened),
        *opened.store.repair(require_usable=opened.model_of, time=utc_now()),
    ]
    try:
        opened.store.verify_extractor()
    except StoreDamagedError:
        done.append(_restored_extractor(opened))
    return done


def _salvage(opened: OpenStore) -> list[str]:
    """Commit what is left of the newest revision, where some of its parts are damaged."""
    with opened.store.writer() as writer:
        revision, parts = opened.store.newest_readable()
        if len(parts) == len(revision.objects) or (EXTRACTOR in revision.objects and EXTRACTOR not in parts):
            return []  # nothing is damaged, or what the classes were taught through is
        try:
            left, lost = salvaged(opened, revision, parts, objects=writer)
        except StoreDamagedError:
            return []
        intact = ModelBody.members_of(opened.store.newest_intact().body)
        if len(left.statistics) <= len(intact["classes"]):
            return []
        body = RepairBody(**left.body()).as_dict()
        live = writer.commit(kind="repair", objects=left.digests, body=body, time=utc_now())
        return [f"revision {live.number} is live: what is left of revision {revision.number}", *lost]


def _restored_extractor(opened: OpenStore) -> str:
    from edgecl.extractors.opening import BUILTIN, builtin_extractor

    for name in BUILTIN:
        with suppress(SettingError, ModelError):
            opened.store.restore_extractor(builtin_extractor(name))
            return f"restored {opened.store.extractor_path} from the {name} extractor that ships with edgecl"
    return f"could not restore {opened.store.extractor_path}: copy the file with sha256 {opened.store.extractor_digest}"


def check(opened: OpenStore) -> list[str]:
    """Read every byte and the model of every kept revision; returns whatever is wrong."""
    store = opened.store
    found: list[str] = store.check()
    for number in store.revisions():
        try:
            opened.model_of(number)
        except ModelError as error:  # every byte of it may be sound
            found.append(f"revision {number}: {error}")
    return found + [one for one in store.damage if one not in found]
