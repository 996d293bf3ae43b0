"""Status and history: what a store holds and what was decided."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgecl.operations.background import calibration
from edgecl.operations.open_store import OpenStore
from edgecl.store.records import ModelBody


def status(opened: OpenStore) -> dict[str, Any]:
    """Tell what the store holds, without loading an extractor."""
    revision, model = opened.model()
    body = ModelBody(**ModelBody.members_of(revision.body))
    plan = model.plan()
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
            }
            for label, count in body.classes.items()
        },
        "head": body.head,
        "strategy": revision.body.get("strategy"),
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
        },
        "extractor": dict(opened.store.settings["contract"]),
        "revisions": opened.store.revisions(),
        "spotting": {label: asdict(one) for label, one in calibration(opened).items()},
        "damage": list(opened.store.damage),
    }


def history(opened: OpenStore) -> dict[str, Any]:
    """Tell the live revision, those that are kept, and the journal, oldest entry first."""
    store = opened.store
    return {"revision": store.current().number, "revisions": store.revisions(), "journal": store.journal()}
