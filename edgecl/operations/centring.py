"""Centre: samples without labels adapt a store to its user."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, SettingError
from edgecl.model.model import CENTRE
from edgecl.operations.background import background
from edgecl.operations.data import Embedded, embedded
from edgecl.operations.open_store import OpenStore, utc_now
from edgecl.progress import watched
from edgecl.sources.samples import Sample, Skip

if TYPE_CHECKING:
    from edgecl.gate.verdict import Verdict
    from edgecl.store.records import Revision


@dataclass(frozen=True)
class CentringReport:
    """Outcome of centring."""

    verdict: Verdict
    revision: int | None
    samples: int
    samples_in_all: int
    nearer: float
    """Share, 0 to 1, by which they lie nearer to what is known."""
    skipped: tuple[Skip, ...]
    dry_run: bool
    forced: bool

    def as_dict(self) -> dict[str, Any]:
        told = {**vars(self), "skipped": [one.as_dict() for one in self.skipped], "reasons": list(self.verdict.reasons)}
        told.pop("verdict")
        return {"accepted": self.verdict.accepted, **told}


@watched
def centre(
    opened: OpenStore, items: Iterable[Sample | Skip], *, dry_run: bool = False, force: bool = False
) -> Generator[Embedded, None, CentringReport]:
    """Take off every latent what its own user or place adds to it.

    The samples need no labels. What was given before counts on.

    Raises
    ------
    SettingError
        When the store cannot be centred.
    DataError
        When there is no sample.
    """
    from edgecl.learning.centring import fit_centre
    from edgecl.learning.loop import within_memory
    from edgecl.store.body_kinds import CentreBody, CentreNote

    require_centrable(opened)
    skipped: list[Skip] = []
    blocks: list[NDArray[np.float32]] = []
    extractor = opened.extractor
    for _, latents in embedded(opened, items, skipped):
        blocks.append(latents)
        yield Embedded(sum(map(len, blocks)))
    if not blocks:
        raise DataError("there is no sample that could be used")
    with nullcontext() if dry_run else opened.store.writer() as writer:
        live, model = opened.model()
        opened.require_extractor(extractor)
        found = fit_centre(model, np.concatenate(blocks))
        verdict, revision = found.verdict.as_dict(), None
        if found.verdict.accepted or force:
            if writer is not None:
                now = within_memory(replace(model, centre=found.centre))
                digests = {**now.digests, CENTRE: writer.put(found.centre.arrays())}
                body = CentreBody(
                    **now.body(), verdict=verdict, forced=force, bytes=now.bytes(), centred_on=found.centre.count
                ).as_dict()
                revision = writer.commit(kind="lesson", objects=digests, body=body, time=utc_now(), parent=live.number)
        elif writer is not None:
            note = CentreNote(
                kind="rejected", time=utc_now(), lesson={}, strategy=CENTRE, verdict=verdict, forced=force
            )
            writer.note(note.as_dict())
    return CentringReport(
        verdict=found.verdict,
        revision=revision.number if revision else None,
        samples=sum(map(len, blocks)),
        samples_in_all=found.centre.count,
        nearer=found.nearer,
        skipped=tuple(skipped),
        dry_run=dry_run,
        forced=force and not found.verdict.accepted,
    )


def uncentre(opened: OpenStore) -> Revision:
    """Take latents as they are from now on.

    Raises
    ------
    SettingError
        When they are taken as they are.
    """
    from edgecl.store.body_kinds import UncentreBody

    with opened.store.writer() as writer:
        live, model = opened.model()
        if model.centre is None:
            raise SettingError(f"{opened.store.path} is not centred")
        objects = {role: digest for role, digest in live.objects.items() if role != CENTRE}
        body = UncentreBody(**replace(model, centre=None).body()).as_dict()
        return writer.commit(kind="lesson", objects=objects, body=body, time=utc_now(), parent=live.number)


def require_centrable(opened: OpenStore) -> None:
    """Raises SettingError where latents cannot be centred."""
    features, path = opened.settings.features, opened.store.path
    if background(opened) is not None:
        raise SettingError(f"{path} detects words, which a stream compares with background: it is not centred")
    if features.dimension != opened.settings.latent_dimension:
        raise SettingError(
            f"{path} projects or lifts its latents, which cannot be centred: a store without a lift, made with more "
            "memory, can",
            parameter="memory_bytes",
        )
    kind = opened.live_body().head
    if kind in (None, "lda"):
        why = "its head is that of a stream, which goes on with its labels" if kind else "it has learnt nothing yet"
        raise SettingError(f"{path} cannot be centred: {why}")
