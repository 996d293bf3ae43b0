"""Resize: other budgets for a store that has learnt, as a new revision through the gate."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from edgecl.errors import SettingError
from edgecl.model.model import EXPERTS
from edgecl.model.settings import PROJECTIONS, Settings, choose_tier, smallest_memory
from edgecl.operations.changes import ChangeReport
from edgecl.operations.creation import require_storable
from edgecl.operations.open_store import (
    OpenStore,
    OverlayObjects,
    StoredObjects,
    note_left_behind,
    note_rejected,
    utc_now,
)
from edgecl.units import format_bytes, whole_number

if TYPE_CHECKING:
    from edgecl.model.model import Model, Objects

OVERHEAD_BYTES = 64 << 10


@dataclass(frozen=True)
class ResizeReport(ChangeReport):
    """Outcome of a change of budgets."""

    before: Settings
    after: Settings
    exemplars_before: int
    exemplars_after: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            **super().as_dict(),
            "before": _size(self.before, self.exemplars_before),
            "after": _size(self.after, self.exemplars_after),
        }


def _size(settings: Settings, exemplars: int) -> dict[str, Any]:
    members = asdict(settings)
    sizes = {name: members[name] for name in ("memory_bytes", "disk_bytes", "max_classes", "precision")}
    return {**sizes, "features": settings.features.dimension, "exemplars": exemplars}


def resize(
    opened: OpenStore,
    *,
    memory_bytes: int | None = None,
    disk_bytes: int | None = None,
    max_classes: int | None = None,
    dry_run: bool = False,
    force: bool = False,
) -> ResizeReport:
    """Give a store other budgets.

    Within its features, exemplars and classes change; a smaller memory may make the features narrower. What was
    committed before keeps its own budgets, so a rollback brings them back.

    Parameters
    ----------
    memory_bytes, disk_bytes, max_classes
        What changes.
    dry_run
        Judge, commit nothing.
    force
        Commit whatever the verdict.

    Raises
    ------
    SettingError
        When nothing changes, the budgets cannot work, or would have room for richer features: latents are not kept, so
        these need every class to be taught again.
    EdgeclError
        When the store cannot be written.
    """
    from edgecl.learning.resizing import judged, resized

    given = {"memory_bytes": memory_bytes, "disk_bytes": disk_bytes, "max_classes": max_classes}
    changes = {name: whole_number(value, name, least=1) for name, value in given.items() if value is not None}
    with nullcontext() if dry_run else opened.store.writer(disk_bytes=changes.get("disk_bytes")) as writer:
        live, model = opened.model()
        settings = _chosen(opened, model, changes)
        objects: Objects = OverlayObjects(opened.store) if writer is None else StoredObjects(writer)
        made = resized(model, settings, objects=objects)
        verdict = judged(model, made)
        forced, revision = force and not verdict.accepted, None
        if writer is not None and (verdict.accepted or force):
            from edgecl.store.body_kinds import ResizeBody

            is_followed = EXPERTS in live.objects and _keeps_experts(model.settings, settings)
            kept = {EXPERTS: live.objects[EXPERTS]} if is_followed else {}
            stream = ResizeBody.stream_of(live.body) if is_followed else {}
            body = ResizeBody(
                **made.body(), verdict=verdict.stored(), forced=forced, bytes=made.bytes(), **stream
            ).as_dict()
            revision = writer.commit(
                kind="lesson", objects={**made.digests, **kept}, body=body, time=utc_now(), parent=live.number
            )
            if not is_followed:
                note_left_behind(live)
        elif writer is not None:
            from edgecl.store.body_kinds import RESIZE

            note_rejected(writer, RESIZE, verdict, time=utc_now())
    return ResizeReport(
        verdict=verdict,
        revision=revision.number if revision else None,
        before=model.settings,
        after=settings,
        exemplars_before=sum(map(len, model.exemplars.values())),
        exemplars_after=sum(map(len, made.exemplars.values())),
        dry_run=dry_run,
        forced=forced,
    )


def _keeps_experts(before: Settings, after: Settings) -> bool:
    """Test whether the experts of a stream fit as they are."""
    return before.features == after.features and before.memory_bytes <= after.memory_bytes


def _chosen(opened: OpenStore, model: Model, changes: dict[str, Any]) -> Settings:
    """Return the settings that are asked for, with the richest features that fit and that the model can have."""
    now = model.settings
    wanted = replace(now, **changes)
    if not changes or wanted == now:
        raise SettingError(f"{opened.store.path} has those budgets: nothing to resize", parameter="memory_bytes")
    if wanted.max_classes < len(model.labels):
        raise SettingError(
            f"{opened.store.path} knows {len(model.labels)} classes, {wanted.max_classes} are too few: forget some "
            f"first, of {', '.join(model.labels)}",
            parameter="max_classes",
        )
    require_storable(wanted)
    overhead = opened.store.extractor_path.stat().st_size + OVERHEAD_BYTES
    best = choose_tier(wanted, overhead_disk_bytes=overhead, may_page=now.paged)
    if not model.statistics:
        return best
    width, widest = now.features.row_dimension, best.features.row_dimension
    if widest > width:
        raise SettingError(_richer(opened, model, wanted, best), parameter="memory_bytes")
    if widest < width and now.lift_width:
        raise SettingError(
            f"narrower features would be needed, and those of {opened.store.path} are lifted: make a new store and "
            f"teach again {', '.join(model.labels)}",
            parameter="memory_bytes",
        )
    return best


def _richer(opened: OpenStore, model: Model, wanted: Settings, best: Settings) -> str:
    """Say what a richer tier would need, and up to where the store keeps its own."""
    width = model.settings.features.row_dimension
    wider = min(one for one in (*PROJECTIONS, wanted.latent_dimension) if width < one <= wanted.latent_dimension)
    projection = 0 if wider == wanted.latent_dimension else wider
    limit = smallest_memory(replace(wanted, projection=projection, precision="float32"))
    return (
        f"{format_bytes(wanted.memory_bytes)} have room for {best.features.row_dimension} features, "
        f"{opened.store.path} has {width}, and the samples are not kept: make a new store and teach again "
        f"{', '.join(model.labels)}; below {format_bytes(limit)} it keeps its features"
    )
