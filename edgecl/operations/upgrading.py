"""Upgrade: a better extractor under an old store, taught again from recordings that its user has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from edgecl.errors import DataError, EdgeclError, SettingError
from edgecl.extractors.opening import MODEL, OBJECT, extractor_bytes, extractor_file, open_extractor
from edgecl.hashes import sha256
from edgecl.learning.collector import LessonCollector, without_repeats
from edgecl.model.model import CENTRE, EXPERTS, Lesson, Model
from edgecl.model.settings import Settings, choose_tier
from edgecl.operations.background import ROOM
from edgecl.operations.changes import ChangeReport
from edgecl.operations.creation import described
from edgecl.operations.data import Embedded, Through, checked_label, embedded, samples_of, spool_folder
from edgecl.operations.open_store import OpenStore, OverlayObjects, StoredObjects, note_rejected, now, trusted_times
from edgecl.operations.twins import is_recorded
from edgecl.progress import watched
from edgecl.sources.samples import Sample, Skip
from edgecl.store.arrays import MAX_BYTES
from edgecl.store.folder import EXTRACTOR

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor
    from edgecl.extractors.contract import Contract
    from edgecl.gate.verdict import Verdict
    from edgecl.learning.loop import Stage
    from edgecl.model.model import Objects
    from edgecl.operations.data import Data
    from edgecl.store.records import Revision

Read: TypeAlias = "Callable[[Contract], Iterable[Sample | Skip]]"
OVERHEAD_BYTES = 64 << 10
CARRIED = {ROOM: "the sound of the room", CENTRE: "the centre of its user or place"}


@dataclass(frozen=True)
class UpgradeReport(ChangeReport):
    """Outcome of an upgrade."""

    before: Mapping[str, Any]
    """Sha256, source and dimension of the extractor before."""
    after: Mapping[str, Any]
    taught_before: Mapping[str, int]
    """Label to samples that the class was taught from until now."""
    taught: Mapping[str, int]
    """Label to samples that it was taught from again."""
    dropped: tuple[str, ...]
    """Classes without recordings, which the new revision does not have."""
    unknown: Mapping[str, int]
    """Labels of the recordings that the store does not know, with their samples: they are not taught."""
    left_behind: tuple[str, ...]
    """What was learnt through the old extractor and is not in the new revision."""
    skipped: tuple[Skip, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            **super().as_dict(),
            "pooled_change": self.verdict.pooled_change,
            "pooled_bound": self.verdict.pooled_bound,
            "before": dict(self.before),
            "after": dict(self.after),
            "classes": {label: self.of(label) for label in self.taught_before},
            "unknown": dict(self.unknown),
            "left_behind": list(self.left_behind),
            "skipped": [one.as_dict() for one in self.skipped],
        }

    def of(self, label: str) -> dict[str, Any]:
        """Return what became of a class: its samples, the recordings that judged it and the shares that were right."""
        judged = self.verdict.classes.get(label)
        return {
            "taught_before": self.taught_before[label],
            "taught": self.taught.get(label, 0),
            "judged": judged.samples if judged else 0,
            "right_before": judged.before if judged else None,
            "right_after": judged.after if judged else None,
        }


def reader(data: Path | Data, labels: Iterable[str] | None = None) -> Read:
    """Return what yields the samples of a file or folder, or of signals, as a contract wants them."""
    if isinstance(data, Path):
        from edgecl.sources.reading import read_samples

        return partial(read_samples, data)
    held = data if isinstance(data, Mapping | str | np.ndarray) else list(data)  # it is read twice
    given = None if labels is None else list(labels)
    return lambda contract: samples_of(held, given, contract=contract)


@watched
def upgrade(
    opened: OpenStore,
    extractor: str | Path,
    read: Read,
    *,
    drop_missing: bool = False,
    dry_run: bool = False,
    force: bool = False,
    seed: int = 0,
) -> Generator[Embedded | Stage, None, UpgradeReport]:
    """Teach all classes again through another extractor, as a new revision.

    The gate compares both models on the same recordings, each left out of them with its group. The extractor is a part
    of the revision: a rollback brings the old one back.

    Parameters
    ----------
    extractor
        "voice" or "imu" for one that ships, or the file of one with a contract.
    read
        Yields the recordings as a contract wants them; called once for each of the two.
    drop_missing
        Go on without the classes that have no recordings; by default that is refused.
    dry_run
        Judge, commit nothing.
    force
        Commit whatever the verdict.
    seed
        Of gradient steps.

    Raises
    ------
    SettingError
        When the extractor is of another modality or the same one, the budgets cannot work with it, a class has no
        recordings, or what the store has cannot be taught again from recordings.
    DataError
        When there is nothing to learn from.
    EdgeclError
        When the store was changed meanwhile, or cannot be written.
    """
    from edgecl.learning.loop import Stage, within_memory
    from edgecl.learning.upgrading import compared, held_out
    from edgecl.store.body_kinds import UPGRADE, UpgradeBody

    source, old, (started, model) = extractor_file(extractor), opened.extractor, opened.model()
    new = open_extractor(source)
    _require_upgradable(opened, started, model, old, new)
    content = extractor_bytes(source)
    settings = _chosen(opened, model, new, len(content), source)
    skipped: list[Skip] = []
    unknown: Counter[str] = Counter()
    known = yield from _collected(Through(old), model, model, read(old.contract), [], Counter())
    _require_all(model, known, drop_missing)
    lesson = yield from _collected(Through(new), Model(settings), model, read(new.contract), skipped, unknown)
    missing = _require_all(model, lesson, drop_missing)
    yield Stage("judge", f"{lesson.count} samples through the old extractor")
    before = held_out(model, known)
    del known
    with nullcontext() if dry_run else opened.store.writer() as writer:
        if opened.store.current().number != started.number:
            raise EdgeclError(f"{opened.store.path} was changed while the recordings were read: try again")
        objects: Objects = OverlayObjects(opened.store) if writer is None else StoredObjects(writer)
        made, failure = yield from _taught(opened.paged(Model(settings)), lesson, objects, seed)
        verdict = failure or compared(before, held_out(made, lesson))
        forced = force and not verdict.accepted and failure is None
        stated = {
            "sha256": sha256(content).hexdigest(),
            "bytes": len(content),
            "shrinkage_floor": new.contract.shrinkage_floor,
            "contract": described(new.contract),
        }
        revision, time = None, now(trusted_times(started.body)).time
        if writer is not None and (verdict.accepted or forced):
            digest = objects.put({MODEL: np.frombuffer(content, np.uint8)})
            made = within_memory(_carried(model, made, extractor=stated, digest=digest))
            body = UpgradeBody(**made.body(), verdict=verdict.stored(), forced=forced, bytes=made.bytes()).as_dict()
            revision = writer.commit(kind="lesson", objects=made.digests, body=body, time=time, parent=started.number)
        elif writer is not None:
            note_rejected(writer, UPGRADE, verdict, time=time)
    return UpgradeReport(
        verdict=verdict,
        revision=revision.number if revision else None,
        before=_facts(old),
        after=_facts(new),
        taught_before={label: model.statistics[label].count for label in model.labels},
        taught={label: len(rows) for label, rows in sorted(lesson.rows.items())},
        dropped=missing,
        unknown=dict(sorted(unknown.items())),
        left_behind=tuple(text for role, text in CARRIED.items() if role in started.objects),
        skipped=tuple(skipped),
        dry_run=dry_run,
        forced=forced,
    )


def _facts(extractor: FileExtractor) -> dict[str, Any]:
    contract = extractor.contract
    return {"sha256": extractor.digest, "source": contract.source, "dimension": contract.dimension}


def _require_upgradable(
    opened: OpenStore, live: Revision, model: Model, old: FileExtractor, new: FileExtractor
) -> None:
    """Raise SettingError where an extractor is none for a store, or its classes cannot be taught again."""
    path, was, wanted = opened.store.path, old.contract.modality, new.contract.modality
    if not model.statistics:
        raise SettingError(f"{path} has learnt nothing yet: make a new store with that extractor")
    if new.digest == old.digest:
        raise SettingError(f"{path} has that extractor already (sha256 {old.digest[:12]})", parameter="extractor")
    if was != wanted:
        raise SettingError(
            f"the extractor takes {wanted}, {path} was taught {was}: make a new store for it", parameter="extractor"
        )
    if model.others:
        raise SettingError(
            f"{path} knows what other devices have shared through its old extractor: take that out first, and merge "
            "shares of devices with the new one",
            remedy="merge",
        )
    if EXPERTS in live.objects or (model.head is not None and model.head.kind == "lda"):
        raise SettingError(f"{path} follows a stream, whose rows are not kept: make a new store, and follow it again")


def _chosen(opened: OpenStore, model: Model, new: FileExtractor, size: int, source: Path) -> Settings:
    """Return the settings of the store with another extractor: the richest features that fit its budgets."""
    if source.suffix == OBJECT:
        raise SettingError(f"{source} is a part of a store: give the file of an extractor", parameter="extractor")
    if size > MAX_BYTES - OVERHEAD_BYTES:
        raise SettingError(f"{source} has {size:,} bytes, an upgrade takes up to {MAX_BYTES:,}", parameter="extractor")
    contract = new.contract
    floor, overhead = contract.shrinkage_floor, opened.store.extractor_path.stat().st_size + size + OVERHEAD_BYTES
    wanted = replace(model.settings, latent_dimension=contract.dimension, shrinkage_floor=floor, projection=0)
    try:
        return choose_tier(wanted, overhead_disk_bytes=overhead, may_page=wanted.paged)
    except SettingError as error:
        raise SettingError(f"with both extractors, {error}; resize {opened.store.path} first") from error


def _collected(
    through: Through,
    model: Model,
    known: Model,
    items: Iterable[Sample | Skip],
    skipped: list[Skip],
    unknown: Counter[str],
) -> Generator[Embedded, None, Lesson]:
    """The lesson of all recordings through an extractor: of labels that are known, and without repeats."""
    collector = LessonCollector(
        model.settings.features, limit_bytes=Model(model.settings).plan().lesson, spool=spool_folder()
    )
    sources: dict[str, list[str]] = {}
    recordings: dict[str, list[str]] = {}
    groups: dict[str, list[str]] = {}
    contract = through.extractor.contract
    for batch, latents in embedded(through, items, skipped):
        for sample, latent in zip(batch, model.centred(latents), strict=True):
            label = checked_label(sample.label, sample.source)
            if label not in known.statistics:
                unknown[label] += 1
                continue
            collector.add(label, latent[None], person=sample.group if contract.is_sound else None)
            recording = sample.recording or sample.source
            sources.setdefault(label, []).append(sample.source)
            recordings.setdefault(label, []).append(recording)
            groups.setdefault(label, []).append(sample.group or recording)
        yield Embedded(collector.count)
    if not collector.count:
        why = f"; {skipped[0].source} for one: {skipped[0].reason}" if skipped else ""
        raise DataError(f"nothing to learn from: the recordings have no sample of {', '.join(known.labels)}{why}")
    lesson = replace(collector.finish(), sources=sources, recordings=recordings)
    lesson = replace(lesson, groups=_judging_groups(groups, recordings))
    if not is_recorded(contract):
        return lesson
    found = without_repeats(Model(model.settings), lesson)
    skipped += [Skip(one.source, one.reason) for one in found.repeats]
    return found.lesson


def _judging_groups(people: Mapping[str, list[str]], recordings: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return what is left out together: a person, where several have given a class; else a recording."""
    return {label: some if len(set(some)) > 1 else recordings[label] for label, some in people.items()}


def _require_all(model: Model, lesson: Lesson, drop_missing: bool) -> tuple[str, ...]:
    """Return the classes without recordings; raises SettingError where there are some that may not be dropped."""
    missing = tuple(label for label in model.labels if label not in lesson.rows)
    if missing and not drop_missing:
        raise SettingError(
            f"there are no recordings of {', '.join(map(repr, missing))}: without them the store would no longer know "
            f"{'it' if len(missing) == 1 else 'them'} until a rollback; give recordings, or say that "
            f"{'it' if len(missing) == 1 else 'they'} may be dropped",
            parameter="drop_missing",
        )
    return missing


def _taught(
    empty: Model, lesson: Lesson, objects: Objects, seed: int
) -> Generator[Embedded | Stage, None, tuple[Model, Verdict | None]]:
    """The model of the recordings alone; with a verdict where it cannot be."""
    from edgecl.learning.loop import lesson_stages

    outcome = yield from lesson_stages(empty, lesson, objects=objects, seed=seed, force=True)
    return (empty, outcome.verdict) if outcome.model is None else (outcome.model, None)


def _carried(model: Model, made: Model, *, extractor: Mapping[str, Any], digest: str) -> Model:
    """Return the new model with what the old one knows beside its statistics: times, priorities and answers."""
    return replace(
        made,
        digests={**made.digests, EXTRACTOR: digest},
        extractor=extractor,
        is_resized=True,
        alike={},
        taught=model.taught,
        timed=model.timed,
        distinct=model.distinct,
        unknown_above=model.unknown_above,
        mine=model.mine,
        priorities=model.priorities,
        use=model.use,
        gravity=model.gravity,
    )
