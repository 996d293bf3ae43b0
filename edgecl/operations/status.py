"""Status and history: what a store knows and what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgecl.extractors.opening import verifier_file
from edgecl.operations.background import calibration, student
from edgecl.operations.open_store import OpenStore
from edgecl.store.records import ModelBody

if TYPE_CHECKING:
    from edgecl.model.model import Model


FORCED, NOTHING_NEW = "forced", "nothing new"
FIRST, STUDENT, SECOND = "first stage", "student", "second stage"


def status(opened: OpenStore) -> dict[str, Any]:
    """Return what the store knows, without loading an extractor."""
    revision, model = opened.model()
    body = ModelBody(**ModelBody.members_of(revision.body))
    plan, second = model.plan(), _second_stage(opened, model)
    decided = dict.fromkeys(second["students_words"], STUDENT)
    if second["installed"]:
        decided |= dict.fromkeys(second["words"], SECOND)
    return {
        "revision": revision.number,
        "kind": revision.kind,
        "centred_on": model.centre.count if model.centre else 0,
        "time": revision.time,
        "classes": {
            label: {
                "samples": count,
                "exemplars": body.exemplars.get(label, 0),
                "taught": (body.taught or {}).get(label, ""),
                "taught_trusted": label in (body.timed or ()),
                "remembered": model.exemplars[label].remembered if label in model.exemplars else 0,
                "kept": model.priorities.get(label),
                "use": model.use.get(label, 0.0),
            }
            for label, count in body.classes.items()
        },
        "head": body.head,
        "strategy": revision.body.get("strategy"),
        "verdict": decision(revision.kind, revision.body),
        "bytes": model.bytes(),
        "budget_bytes": opened.settings.memory_bytes,
        "exemplar_capacity_bytes": plan.exemplars,
        "disk_bytes": opened.store.bytes_on_disk(),
        "disk_budget_bytes": opened.settings.disk_bytes,
        "max_classes": opened.settings.max_classes,
        "features": {
            "latent_dimension": opened.settings.latent_dimension,
            "projection": opened.settings.projection,
            "lift_width": opened.settings.lift_width,
            "dimension": opened.settings.features.dimension,
            "precision": opened.settings.precision,
            "paged": opened.settings.paged,
        },
        "extractor": dict(opened.described_by(revision)),
        "revisions": opened.store.revisions(),
        "spotting": {
            label: {**asdict(one), "decided_by": decided.get(label, FIRST)}
            for label, one in calibration(opened).items()
        },
        "second_stage": second,
        "unknown": _unknown(opened, model),
        "remembered": _remembered(model),
        "devices": _devices(model),
        "irreversible": sorted(one.name for one in model.others.values() if one.plan),
        "damage": list(opened.store.damage),
        "waiting": _waiting(opened, model),
    }


def _devices(model: Model) -> dict[str, Any]:
    """What each device has shared that is merged."""
    return {
        device: {"name": one.name, "revision": one.revision, "samples": one.samples, "classes": sorted(one.statistics)}
        for device, one in sorted(model.others.items())
    }


def _second_stage(opened: OpenStore, model: Model) -> dict[str, Any]:
    """Whether the network of a second stage is installed, and the words that it decides on where it is quick enough.

    The student has a part in the scores of other words that have a reference of it.
    """
    words = sorted(label for label, one in model.exemplars.items() if one.reference is not None)
    found = student(opened, model)
    students = [label for label, one in sorted(model.exemplars.items()) if found is not None and found.knows(one)]
    return {
        "installed": verifier_file() is not None,
        "words": words,
        "students_words": students,
        "other_student_words": other_student_words(opened, model),
    }


def other_student_words(opened: OpenStore, model: Model) -> list[str]:
    """Return the words whose references are of another student than the one that is here."""
    found = student(opened, model)
    return [label for label, one in sorted(model.exemplars.items()) if found is not None and found.is_of_another(one)]


def _remembered(model: Model) -> dict[str, int]:
    """Number of taught samples that would be recognised, the bytes of their digests, and how many may be kept."""
    from edgecl.model.exemplars import DIGEST_BYTES, memory_bytes

    samples = sum(one.remembered for one in model.exemplars.values())
    most = memory_bytes(model.plan().exemplars)
    return {"samples": samples, "bytes": DIGEST_BYTES * samples, "most_bytes": most}


def _unknown(opened: OpenStore, model: Model) -> dict[str, Any] | None:
    """Novelty above which an answer is "unknown", and who set it; None of a store that has learnt nothing."""
    if model.head is None:
        return None
    from edgecl.operations.judging import judge_with

    above = judge_with(opened, model).unknown_above
    return {"above": round(above, 4), "set_by": "store" if model.unknown_above is None else "user"}


def _waiting(opened: OpenStore, model: Model) -> dict[str, Any]:
    """What waits for the user: samples that were set aside, and questions about names."""
    folder = opened.store.path / "inbox"
    if not folder.exists() and not any(one.asked for one in model.alike.values()):
        return {"set_aside": 0, "questions": []}
    from edgecl.operations.inbox import SET_ASIDE, listed, questions

    items = listed(folder)
    asked = [one.as_dict() for one in questions(items, model)]
    return {"set_aside": sum(one.kind == SET_ASIDE for one in items), "questions": asked}


def decision(kind: str, told: Mapping[str, Any]) -> str:
    """Return the one word for what became of a lesson, as `learn` prints it; empty where nothing was judged.

    Parameters
    ----------
    kind
        Of the revision, or of the journal's note.
    told
        Body of the revision, or the note.
    """
    from edgecl.gate.verdict import ACCEPTED, ASKS, REJECTED, UNPROVEN

    verdict = told.get("verdict")
    if kind == "rollback" or not isinstance(verdict, Mapping):
        return ""
    if kind == "unchanged":
        return NOTHING_NEW
    if kind == "rejected":
        return ASKS if verdict.get("verdict") == ASKS else REJECTED
    if told.get("forced") and not verdict["accepted"]:
        return FORCED
    return ACCEPTED if verdict["proven"] else UNPROVEN


def history(opened: OpenStore) -> dict[str, Any]:
    """Tell the live revision, those that are kept, and the journal, oldest entry first."""
    store = opened.store
    return {"revision": store.current().number, "revisions": store.revisions(), "journal": store.journal()}
