"""Follow: predict each row of a stream first, learn when its label comes, commit now and then."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgecl.errors import DataError, EdgeclError, StoreDamagedError
from edgecl.model.model import EXPERTS, Model, Objects
from edgecl.notes import Logger
from edgecl.operations.beginnings import Beginnings
from edgecl.operations.data import Embedded, checked_label, embedded
from edgecl.operations.live_answers import live_panel
from edgecl.operations.open_store import OpenStore, OverlayObjects, StoredObjects, now, trusted_times, utc_now
from edgecl.operations.stream_terms import decided, naming_the_store, require_own, require_uncentred
from edgecl.progress import watched
from edgecl.sources.labels import warn_of_encoded
from edgecl.sources.samples import ListedSkips, Sample, Skip
from edgecl.store.body_kinds import StreamBody, StreamNote
from edgecl.store.folder import EXTRACTOR
from edgecl.store.records import CELLS_FORMAT, FORMAT, STREAM_FORMAT, Revision
from edgecl.store.writer import Writer

if TYPE_CHECKING:
    from edgecl.gate.verdict import Verdict
    from edgecl.learning.curves import Curves
    from edgecl.learning.drift_response import Drift
    from edgecl.learning.panel import Panel
    from edgecl.learning.prequential import Prequential
    from edgecl.learning.reliability import Reliability
    from edgecl.learning.tally import Tally
    from edgecl.sources.labels import Spellings


logger = Logger(__name__)
ROWS_AT_ONCE = 64  # that are answered in one call; a label is learnt before the next row is answered all the same
NAMED = 8  # labels of a note
COMMIT_EVERY = 100_000  # labelled rows of a stream: what a power cut may cost


@dataclass(frozen=True)
class StreamReport:
    """Outcome of a stream."""

    verdict: Verdict
    """Verdict on the last revision."""
    revision: int | None
    """The last one committed; None where none was."""
    tally: Tally
    drifts: tuple[Drift, ...]
    skipped: tuple[Skip, ...]
    elapsed_ms: float
    bytes: Mapping[str, int]
    dry_run: bool
    curves: Curves
    """How well it was answered, window by window."""
    experts: Mapping[str, float]
    """Weight of each expert in the mixture at the end."""
    reliability: Reliability
    """How often answers of a confidence were right."""
    contradictions: int = 0
    """Labels that contradict all that was known, and were weighted down."""
    alerts: Mapping[str, Any] | None = None
    """As `Alerts.as_dict` returned it, where a class was watched."""
    late: Mapping[str, int] | None = None
    """Rows and labels that did not meet, where labels come by id."""

    def as_dict(self) -> dict[str, Any]:
        tally = self.tally
        return {
            "accepted": self.verdict.accepted,
            "reasons": list(self.verdict.reasons),
            "revision": self.revision,
            "dry_run": self.dry_run,
            "rows": tally.rows,
            "labelled": tally.labelled,
            "accuracy": tally.accuracy,
            "balanced_accuracy": tally.balanced_accuracy,
            "same_again_accuracy": tally.same_again / max(tally.labelled, 1),
            "hit_rate_at_5": tally.among_top / max(tally.labelled, 1),
            "ndcg_at_5": tally.gain / max(tally.labelled, 1),
            "per_class": {label: {"n": n, "accuracy": right / n} for label, (n, right) in tally.by_label.items()},
            "reliability": self.reliability.as_dict(),
            "drifts": [vars(one) for one in self.drifts],
            "shifts": list(tally.shifts),
            "contradictions": self.contradictions,
            "skipped": [one.as_dict() for one in self.skipped],
            "ms": round(self.elapsed_ms, 1),
            "us_per_row": round(1e3 * self.elapsed_ms / max(tally.rows, 1), 1),
            "experts": {name: round(weight, 4) for name, weight in self.experts.items()},
            **({"alerts": dict(self.alerts)} if self.alerts is not None else {}),
            **({"late": dict(self.late)} if self.late is not None else {}),
            "bytes": dict(self.bytes),
        }


class StreamSaver:
    """Commits what a stream has learnt, unless the revision that is live answers better."""

    def __init__(
        self, objects: Objects, writer: Writer | None, live: Revision, beginnings: Beginnings | None = None
    ) -> None:
        self._objects, self._writer = objects, writer
        self.live = live
        self.beginnings = beginnings or Beginnings(live.body)
        self.at = 0  # labelled rows at the last commit

    def judged(self, stream: Prequential) -> Verdict:
        """Commit what is known now, or note why not."""
        verdict = stream.verdict()
        self.at = stream.tally.labelled
        if verdict.accepted:
            self._commit(stream, stream.learnt(), verdict=verdict.as_dict())
        elif self._writer:
            note = StreamNote(
                time=utc_now(), verdict=verdict.as_dict(), lesson=_rows(stream), accuracy=stream.tally.accuracy
            )
            self._writer.note(note.as_dict())
        return verdict

    def keep(self, stream: Prequential, drift: Drift) -> None:
        """Commit what held before a drift, so that it can be gone back to, and then what has replaced it."""
        if stream.concept is not None and drift.chosen in ("anew", "decayed"):
            self._commit(stream, stream.concept, drift=vars(drift), concept="before the drift")
        self._commit(stream, stream.learnt(), drift=vars(drift))
        self.at = stream.tally.labelled

    def _commit(
        self,
        stream: Prequential,
        model: Model,
        *,
        verdict: Mapping[str, Any] | None = None,
        drift: Mapping[str, Any] | None = None,
        concept: str | None = None,
    ) -> None:
        moment = now(trusted_times(self.live.body))
        panel = stream.panel if concept is None else None  # a concept of before is answered by its head
        labels = set(stream.tally.by_label) & set(model.statistics)
        stored = self._stored(model.after_lesson(labels, time=moment.time, is_timed=moment.is_trusted))
        digests = dict(stored.digests)
        if panel is not None:
            digests[EXPERTS] = self._objects.put(panel.arrays())
        if self._writer:
            body = StreamBody(
                **stored.body(),
                lesson=_rows(stream),
                accuracy=stream.tally.accuracy,
                bytes=bytes_with(stored.bytes(), experts=panel.nbytes if panel is not None else 0),
                verdict=verdict,
                drift=drift,
                concept=concept,
                experts=panel.body() if panel is not None else None,
                began=self.beginnings.known,
            )
            self.live = self._writer.commit(
                kind="lesson",
                objects=digests,
                body=body.as_dict(),
                time=moment.time,
                parent=self.live.number,
                least_format=_least_format(panel),
            )
        stream.committed()

    def _stored(self, model: Model) -> Model:
        """Put the parts of a model where they are kept."""
        head = model.head
        assert head is not None
        digests = {f"statistics/{label}": self._objects.put(one.arrays()) for label, one in model.statistics.items()}
        digests |= {f"exemplars/{label}": self._objects.put(one.arrays()) for label, one in model.exemplars.items()}
        digests |= {role: digest for role, digest in model.digests.items() if role == EXTRACTOR}
        return replace(model, digests={**digests, "head": self._objects.put(head.arrays())})


def _least_format(panel: Panel | None) -> int:
    """Return the format of a store that has these experts: software of an earlier one would misread them."""
    if panel is None:
        return FORMAT
    state = panel.experts.state
    if state.plan.paired and state.plan.tables:
        return CELLS_FORMAT
    return FORMAT if state.scaling.is_plain else STREAM_FORMAT


def _rows(stream: Prequential) -> dict[str, int]:
    """Count the labelled rows by label."""
    return {label: rows for label, (rows, _) in stream.tally.by_label.items()}


def bytes_with_stream(stream: Prequential) -> dict[str, int]:
    """Count the bytes of the resident learner state by part."""
    experts, parts = stream.panel.nbytes, stream.model.bytes()
    of_a_lesson = parts["workspace"] - stream.workspace_bytes  # there is none while rows are learnt
    parts = {**parts, "workspace": stream.workspace_bytes, "total": parts["total"] - of_a_lesson}
    return bytes_with(parts, experts=experts, stream=stream.nbytes - experts)


def bytes_with(parts: Mapping[str, int], **more: int) -> dict[str, int]:
    """Add parts to the bytes of a model, and to their total."""
    return {**parts, **more, "total": parts["total"] + sum(more.values())}


def with_known_labels(
    items: Iterable[Sample | Skip], stream: Prequential, spellings: Spellings
) -> Iterator[Sample | Skip]:
    """Pass rows with their labels as they are stored; those of classes for which there is no room become skips."""
    new: dict[str, str] = {}  # as given, and as stored
    for item in items:
        if not isinstance(item, Sample) or item.label is None:
            yield item
            continue
        if item.label not in new:
            label = spellings.settled(checked_label(item.label, item.source), item.source)
            if not stream.has_room_for(label, new.values()):
                yield Skip(item.source, f"too many classes: no room for {label!r}: make a store for more classes")
                continue
            new[item.label] = label
        yield item if item.label == new[item.label] else replace(item, label=new[item.label])


@watched
def follow(
    opened: OpenStore,
    items: Iterable[Sample | Skip],
    *,
    label_delay: int = 0,
    dry_run: bool = False,
    prior: str = "stream",
    watch: str | None = None,
    cost: str | None = None,
    alerts_per_1000: float | None = None,
    label_case: str | None = None,
) -> Generator[Embedded | Drift, None, StreamReport]:
    """Answer a stream row by row and learn from it; its stages are progress and drifts.

    A revision is committed at every confirmed drift (what was known until then, so that it can be gone back to, and
    what is made of it), every COMMIT_EVERY rows, and at the end; none where the live one answers better.
    """
    from edgecl.learning.drift_response import AS_IT_IS
    from edgecl.learning.prequential import Prequential

    spellings = opened.spellings(label_case)
    asked, watched_class = decided(spellings, prior, watch, cost, alerts_per_1000)
    started = time.perf_counter()
    skipped = ListedSkips()
    drifts: list[Drift] = []
    with opened.store.writer() as writer:
        live, model = opened.model()
        require_own(opened, model.others)
        require_uncentred(opened, model)
        panel, known = live_panel(opened, live, label_delay=label_delay), tuple(model.statistics)
        with naming_the_store(opened.extractor.contract.modality):
            stream = Prequential(model, label_delay=label_delay, panel=panel, prior=asked, watch=watched_class)
        saved = StreamSaver(
            OverlayObjects(opened.store) if dry_run else StoredObjects(writer), None if dry_run else writer, live
        )
        with saved_before_an_error(saved, stream):
            labelled = with_known_labels(items, stream, spellings)
            for batch, latents in embedded(opened, labelled, skipped, at_once=ROWS_AT_ONCE):
                saved.beginnings.add(latents)
                stream.take([one.label for one in batch], latents)
                if stream.has_drifted:
                    drift = stream.adapt(kept_models(opened))
                    if drift.chosen != AS_IT_IS:
                        saved.keep(stream, drift)
                    drifts.append(drift)
                    yield drift
                elif stream.tally.labelled - saved.at >= COMMIT_EVERY:
                    saved.judged(stream)
                yield Embedded(stream.tally.rows)
        stream.flush()
        verdict = saved.judged(stream)
    note_other_names(known, stream.tally)
    committed = saved.live.number if saved.live.number != live.number else None
    return report_of(stream, verdict, committed, drifts, skipped, started=started, dry_run=dry_run)


def note_other_names(known: Collection[str], tally: Tally) -> None:
    """Log labels of a stream that may be other names: as `warn_of_encoded`, and all where none of them was known."""
    warn_of_encoded(tally.by_label, known)
    new = [label for label in tally.by_label if label not in known]
    if len(known) > 1 and new and len(new) == len(tally.by_label):
        logger.warning(
            "no row has a label that was known (%s), only new ones (%s): where these are other names for the same "
            "classes, roll back and give them the names that are known",
            *(", ".join(sorted(some)[:NAMED]) for some in (known, new)),
        )


def report_of(
    stream: Prequential,
    verdict: Verdict,
    revision: int | None,
    drifts: Sequence[Drift],
    skipped: ListedSkips,
    *,
    started: float,
    dry_run: bool,
    late: Mapping[str, int] | None = None,
) -> StreamReport:
    """Return the outcome of a stream that began at `started` (seconds of `perf_counter`)."""
    return StreamReport(
        verdict=verdict,
        revision=revision,
        tally=stream.tally,
        drifts=tuple(drifts),
        skipped=skipped.whole("the stream"),
        elapsed_ms=1e3 * (time.perf_counter() - started),
        bytes=bytes_with_stream(stream),
        dry_run=dry_run,
        late=late,
        curves=stream.curves,
        reliability=stream.reliability,
        experts=stream.panel.experts.mixing(),
        contradictions=stream.contradictions.count,
        alerts=stream.alerts.as_dict() if stream.alerts is not None else None,
    )


@contextmanager
def saved_before_an_error(saved: StreamSaver, stream: Prequential) -> Iterator[None]:
    """Commit what is known until an error of the data, which then goes on."""
    try:
        yield
    except DataError:
        with suppress(EdgeclError):  # the first one is told
            if stream.tally.labelled > saved.at:
                stream.flush()
                saved.judged(stream)
        raise


def kept_models(opened: OpenStore) -> dict[str, Model]:
    """Load every earlier revision that has learnt something and is intact, newest first."""
    models: dict[str, Model] = {}
    for number in reversed(opened.store.revisions()):
        try:
            model = opened.model_of(number)
        except StoreDamagedError:
            continue  # a check of the store names it; the others will do
        if model.head is not None:
            models[f"revision {number}"] = model
    return models
