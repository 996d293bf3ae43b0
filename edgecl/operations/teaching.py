"""Learn: samples to a committed revision, and the report of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, EdgeclError, SettingError
from edgecl.learning.collector import LessonCollector
from edgecl.model.model import CENTRE, Model
from edgecl.operations.data import Embedded, checked_label, embedded, spool_folder
from edgecl.operations.kept_signals import KeptSignals
from edgecl.operations.open_store import (
    OpenStore,
    OverlayObjects,
    StoredObjects,
    note_left_behind,
    now,
    trusted_times,
)
from edgecl.operations.twins import by_recording, is_recorded, new_of
from edgecl.progress import watched
from edgecl.sources.labels import warn_of_encoded, warn_of_labels
from edgecl.sources.samples import Sample, Skip
from edgecl.store.records import LessonBody, LessonNote
from edgecl.values import dataclass, field, replace

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor
    from edgecl.gate.verdict import Ask, SetAside, Verdict
    from edgecl.learning.loop import Outcome, Stage
    from edgecl.learning.strategies import RefineSettings
    from edgecl.model.model import Lesson, Objects
    from edgecl.operations.inbox import Item
    from edgecl.sources.gravity import Gravity
    from edgecl.sources.labels import Spellings
    from edgecl.store.records import Revision
    from edgecl.store.writer import Writer


ME, ANYONE = "me", "anyone"
MOST_SOURCES = 20_000  # samples of a lesson whose source is remembered


@dataclass(frozen=True)
class Report:
    """Outcome of a lesson."""

    outcome: Outcome
    revision: int | None
    """Number of the new revision; None where nothing was committed."""
    samples: int
    skipped: tuple[Skip, ...]
    new_classes: tuple[str, ...]
    elapsed_ms: float
    learn_ms: float
    """Milliseconds without reading and extracting."""
    bytes: Mapping[str, int]
    bytes_written: int
    dry_run: bool
    forced: bool
    waiting: tuple[Item, ...] = ()
    """What waits in the inbox: samples that were set aside, and those of names that are asked about."""
    gave_way: tuple[str, ...] = ()
    """Classes that gave their place to new ones, as `keep` allows."""
    unkept: int = 0
    """Samples that wait and are not in the inbox, for lack of room: their files have to be kept."""
    taught_before: int = 0
    """Samples among `skipped` that were taught before."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Label to samples of the lesson, without what was skipped."""

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Samples that are not taught, since they probably are not what they are called."""
        return self.verdict.set_aside

    @property
    def asks(self) -> tuple[Ask, ...]:
        """New names that may be those of known classes: `Learner.answer` answers."""
        return self.verdict.asks

    @property
    def verdict(self) -> Verdict:
        """The verdict of the gate."""
        return self.outcome.verdict

    @property
    def is_accepted(self) -> bool:
        """Whether the lesson was taken in, or had nothing new."""
        return self.outcome.model is not None

    def as_dict(self) -> dict[str, Any]:
        verdict = self.outcome.verdict.as_dict()
        verdict.pop("is_final")
        return {
            **verdict,
            "accepted": self.outcome.verdict.accepted and self.is_accepted,
            "unchanged": self.outcome.is_unchanged,
            "forced": self.forced and self.is_accepted,
            "dry_run": self.dry_run,
            "revision": self.revision,
            "new_classes": list(self.new_classes),
            "strategy": self.outcome.strategy,
            "samples": self.samples,
            "skipped": [one.as_dict() for one in self.skipped],
            "ms": round(self.elapsed_ms, 1),
            "learn_ms": round(self.learn_ms, 1),
            "bytes": dict(self.bytes),
            "bytes_written": self.bytes_written,
            "waiting": [one.id for one in self.waiting],
            "unkept": self.unkept,
            "taught_before": self.taught_before,
            "gave_way": list(self.gave_way),
        }


@watched
def teach(
    opened: OpenStore,
    items: Iterable[Sample | Skip],
    *,
    strategy: str = "auto",
    refine: RefineSettings | None = None,
    dry_run: bool = False,
    require_proof: bool = False,
    force: bool = False,
    seed: int = 0,
    same_as: str | None = None,
    distinct: bool = False,
    pairs: Collection[tuple[str, str]] = (),
    confirmed: Collection[str] = (),
    detect_for: str | None = None,
    weight: float = 1.0,
    again: bool = False,
    label_case: str | None = None,
) -> Generator[Embedded | Stage, None, Report]:
    """Teach one lesson, from samples to a committed revision.

    A rejected lesson, and with `require_proof` an unproven one, leaves the store's model as it was and a line
    in its journal.

    Parameters
    ----------
    items
        Samples with labels.
    pairs
        Labels that are known not to be the same.
    confirmed
        Sources of samples whose label their user has confirmed: they are not doubted.
    weight
        Of each sample in the statistics of a known class, 0 to 1.

    The others, and what is raised, are those of `Learner.learn`.
    """
    from edgecl.learning.admission import Answer
    from edgecl.learning.loop import Stage, lesson_stages  # loads the kernels' users, which `status` does not need

    if force and require_proof:
        raise SettingError("force commits whatever the verdict, require_proof rejects doubt: choose one")
    if detect_for not in (None, ME, ANYONE):
        raise SettingError(f"{detect_for!r}: wanted {ME!r} or {ANYONE!r}", parameter="detect_for")
    answer = Answer(same_as, distinct, frozenset(pairs))
    started = time.perf_counter()
    skipped: list[Skip] = []
    head, extractor = opened.head(), opened.extractor
    gravity = opened.gravity() if extractor.contract.modality == "imu" else None
    spellings = opened.spellings(label_case)
    with closing(KeptSignals(spool_folder())) as signals:
        lesson = yield from _collected(opened, head, items, skipped, signals, spellings, gravity, confirmed)
        lesson = replace(lesson, weight=weight, is_mine=None if detect_for is None else detect_for == ME)
        embedded_at = time.perf_counter()
        with opened.store.writer() if not dry_run else nullcontext() as writer:
            live, model = opened.model()
            model = _still_fits(opened, model, head, extractor, gravity)
            whole, repeated = lesson, 0
            if is_recorded(opened.extractor.contract):
                lesson, repeated = new_of(model, whole, signals, skipped, opened.extractor.contract, again=again)
                lesson = by_recording(lesson, signals, opened.extractor.contract, whole=whole)
            objects: Objects = OverlayObjects(opened.store) if writer is None else StoredObjects(writer)
            untouched = model
            events: dict[str, int] = {}
            gave_way: tuple[str, ...] = ()
            if lesson.count:
                model, events, gave_way = _with_room(opened, model, lesson, objects)
                outcome = yield from lesson_stages(
                    model,
                    lesson,
                    objects=objects,
                    strategy=strategy,
                    settings=refine,
                    seed=seed,
                    force=force,
                    answer=answer,
                )
            else:
                outcome, lesson = _nothing_left(model, whole)
            if require_proof and outcome.model is not None and not outcome.verdict.proven:
                outcome = replace(outcome, model=None)
            learned = time.perf_counter()
            if not dry_run and extractor.contract.is_sound:
                from edgecl.operations.references import referenced  # of words in a stream

                outcome = referenced(outcome, lesson, signals, opened.extractor, objects)
            forced = force and not outcome.verdict.accepted
            if outcome.model is not None and not outcome.is_unchanged and not dry_run:
                yield Stage("commit", f"on top of revision {live.number}")
            waiting = [] if writer is None else _waiting(opened, signals, outcome, lesson)
            revision = None if writer is None else commit(writer, live, outcome, lesson, forced=forced)
    if revision is not None and events:
        from edgecl.store.use_counts import take_counts

        take_counts(opened.store.path, events)
    if answer.is_given and outcome.model is not None and not dry_run:
        from edgecl.operations.waiting import drop_answered

        drop_answered(opened, lesson)
    now_live = untouched if outcome.model is None or outcome.is_unchanged else outcome.model
    return Report(
        outcome=outcome,
        revision=revision.number if revision else None,
        samples=lesson.count,
        skipped=tuple(skipped),
        taught_before=repeated,
        counts={label: len(rows) for label, rows in sorted(lesson.rows.items())},
        new_classes=tuple(
            sorted(set(lesson.rows) - set(model.statistics) - {one.label for one in outcome.verdict.asks})
        ),
        elapsed_ms=1e3 * (time.perf_counter() - started),
        learn_ms=1e3 * (learned - embedded_at),
        bytes=now_live.bytes(),
        bytes_written=objects.bytes_put if revision and isinstance(objects, StoredObjects) else 0,
        dry_run=dry_run,
        forced=forced,
        waiting=tuple(waiting),
        gave_way=() if now_live is untouched else gave_way,
        unkept=0 if dry_run or outcome.verdict.is_refused else outcome.verdict.waiting - len(waiting),
    )


def _still_fits(
    opened: OpenStore, model: Model, head: Model, extractor: FileExtractor, gravity: Gravity | None
) -> Model:
    """Return the live model, to learn what was read under `head`; raises EdgeclError where the two do not agree."""
    if model.digests.get(CENTRE) != head.digests.get(CENTRE):
        raise EdgeclError(f"{opened.store.path} was centred while the lesson was read: teach it again")
    opened.require_extractor(extractor)
    if model.settings.features != head.settings.features:
        raise EdgeclError(f"{opened.store.path} was resized while the lesson was read: teach it again")
    if gravity is None or gravity.is_in is None:
        return model
    if model.gravity not in (None, gravity.is_in):
        raise EdgeclError(f"{opened.store.path} was taught while the lesson was read: teach it again")
    # of what was taught before it was noted nothing is known
    return model if model.statistics else replace(model, gravity=gravity.is_in)


def _nothing_left(model: Model, whole: Lesson) -> tuple[Outcome, Lesson]:
    """What becomes of a lesson of repeats, and what of it is new: whom a stream detects its labels of, or nothing."""
    from edgecl.gate.verdict import Verdict
    from edgecl.learning.loop import UNCHANGED, Outcome, mine_after

    which = "the sample was" if whole.count == 1 else f"all {whole.count} samples were"
    reason = f"{which} taught before: there is nothing to learn"
    if (mine := mine_after(model, whole)) != model.mine:
        reason = f"{reason} but whom a stream is to detect these words of"
        verdict = Verdict(True, True, (reason,), {}, None, None)
        return Outcome(replace(model, mine=mine), verdict, "closed-form"), replace(whole, rows={})
    return Outcome(model, Verdict(True, True, (reason,), {}, None, None), UNCHANGED), whole


def _with_room(
    opened: OpenStore, model: Model, lesson: Lesson, objects: Objects
) -> tuple[Model, dict[str, int], tuple[str, ...]]:
    """Return the model that is to learn a lesson, the events counted in it, and the classes that gave way."""
    from edgecl.store.use_counts import counts_file

    if not (model.priorities or model.use or counts_file(opened.store.path).exists()):
        return model, {}, ()
    from edgecl.learning.forgetting import without_classes
    from edgecl.learning.priorities import make_way
    from edgecl.operations.keeping import with_use

    counted, events = with_use(opened, model, lesson.rows)
    gone = make_way(counted, lesson.rows, today=lesson.time if lesson.is_timed else "")
    return without_classes(counted, gone, objects=objects), events, tuple(gone)


def _waiting(opened: OpenStore, signals: KeptSignals, outcome: Outcome, lesson: Lesson) -> list[Item]:
    """What goes to the inbox: nothing of a lesson that is refused. First it is there, then the lesson is live."""
    verdict = outcome.verdict
    if verdict.is_refused or not (verdict.set_aside or verdict.asks):
        return []
    from edgecl.operations.waiting import keep_waiting  # few lessons leave something out

    return keep_waiting(opened, signals, verdict, lesson)


def _collected(
    opened: OpenStore,
    head: Model,
    items: Iterable[Sample | Skip],
    skipped: list[Skip],
    signals: KeptSignals,
    spellings: Spellings,
    gravity: Gravity | None,
    confirmed: Collection[str],
) -> Generator[Embedded, None, Lesson]:
    """The lesson of samples, quantised as they come."""
    limit_bytes, is_sound = Model(opened.settings).plan().lesson, opened.extractor.contract.is_sound
    collector = LessonCollector(opened.settings.features, limit_bytes=limit_bytes, spool=spool_folder())
    sources, recordings, people = (defaultdict[str, list[str]](list) for _ in range(3))
    frames: list[NDArray[np.float32]] = []  # of each sample of the batch
    for batch, latents in embedded(opened, items, skipped, gravity=gravity, frames=frames if is_sound else None):
        for at, (sample, latent) in enumerate(zip(batch, head.centred(latents), strict=True)):
            label = spellings.settled(checked_label(sample.label, sample.source), sample.source)
            collector.add(label, latent[None], person=sample.group if is_sound else None)
            signals.add(label, sample, frames[at] if frames else None)
            recordings[label].append(sample.recording or sample.source)
            people[label].append(sample.group or "")
            if collector.count <= MOST_SOURCES:
                sources[label].append(sample.source)
        yield Embedded(collector.count)
    if not collector.count:
        why = f"{len(skipped)} skipped, {skipped[0].source} for one: {skipped[0].reason}" if skipped else "no samples"
        raise DataError(f"nothing to learn: {why}")
    warn_of_labels(recordings, collector.count, opened.extractor.contract)
    warn_of_encoded(recordings, spellings.classes)
    moment = now(trusted_times(opened.store.current().body))
    shared = {label: some for label, some in recordings.items() if len(set(some)) < len(some)}
    lesson = replace(collector.finish(), time=moment.time, is_timed=moment.is_trusted)
    lesson = replace(lesson, sources=sources, recordings=shared, people=people)
    return replace(lesson, confirmed=_sure(lesson, frozenset(confirmed))) if confirmed else lesson


def _sure(lesson: Lesson, confirmed: frozenset[str]) -> dict[str, NDArray[np.bool_]]:
    """Which rows come from sources that have been confirmed."""
    return {
        label: np.array([lesson.source(label, row) in confirmed for row in range(len(rows))], bool)
        for label, rows in lesson.rows.items()
    }


def commit(writer: Writer, live: Revision, outcome: Outcome, lesson: Lesson, *, forced: bool) -> Revision | None:
    """Commit what was learnt; a line in the journal where the model stays."""
    counts, verdict = {label: len(rows) for label, rows in lesson.rows.items()}, outcome.verdict.stored()
    model, strategy, moment = outcome.model, outcome.strategy, now(trusted_times(live.body))
    if model is None or outcome.is_unchanged:
        kind = "unchanged" if model else "rejected"
        note = LessonNote(
            kind=kind,
            time=moment.time,
            lesson=counts,
            strategy=strategy,
            verdict=verdict,
            forced=forced,
            timed=moment.is_trusted,
        )
        writer.note(note.as_dict())
        return None
    body = LessonBody(
        **model.body(),
        lesson=counts,
        strategy=strategy,
        verdict=verdict,
        forced=forced,
        bytes=model.bytes(),
        clock=moment.doubt,
    )
    revision = writer.commit(
        kind="lesson", objects=model.digests, body=body.as_dict(), time=moment.time, parent=live.number
    )
    note_left_behind(live)
    return revision
