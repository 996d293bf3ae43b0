"""A store with its extractor: what a command works on, from signals to a committed revision."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, EdgeclError, ModelError, SettingError, StoreDamagedError
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.opening import BUILTIN, builtin_extractor, extractor_file, open_extractor
from edgecl.learning.collector import LessonCollector
from edgecl.model.model import CENTRE, Lesson, Model, Objects, Prediction, load_head, load_model
from edgecl.model.settings import Settings, choose_tier, default_budgets
from edgecl.operations.answering import Answer
from edgecl.operations.background import ROOM, RoomReport, without_skips
from edgecl.operations.centring import CentringReport
from edgecl.operations.clock import utc_now
from edgecl.operations.evaluating import Evaluation, label_indices
from edgecl.operations.forgetting import unchanged_labels
from edgecl.operations.objects import OverlayObjects, StoredObjects
from edgecl.operations.streaming import COMMIT_EVERY, StreamReport, StreamSaver, bytes_with_stream, skip_beyond_capacity
from edgecl.operations.teaching import Report, spool_folder
from edgecl.sources.samples import Sample, Skip
from edgecl.store.records import Revision
from edgecl.store.store import Store
from edgecl.store.writer import Writer

if TYPE_CHECKING:
    from edgecl.learning.drift_response import Drift
    from edgecl.learning.loop import Outcome, Stage
    from edgecl.learning.strategies import RefineSettings
    from edgecl.operations.forgetting import Receipt
    from edgecl.spotting.background import Background, Calibration


SIGNALS_AT_ONCE = 16


@dataclass(frozen=True)
class Embedded:
    """Progress of `teach`: so many samples have been through the extractor."""

    samples: int


class Device:
    """An open store. Nothing heavy is loaded before it is needed: `status` wants neither extractor nor kernels."""

    def __init__(self, store: Store) -> None:
        self.store = store
        try:
            self.settings = Settings.from_dict(store.settings["learner"])
        except (KeyError, TypeError) as error:
            raise StoreDamagedError(f"{store.path}: store.json has no usable learner settings: {error}") from error

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        extractor: str | Path,
        memory_bytes: int | None = None,
        disk_bytes: int | None = None,
        max_classes: int | None = None,
        lift_width: int = 0,
        seed: int = 0,
    ) -> Device:
        """Make a store around a copy of the extractor.

        Parameters
        ----------
        extractor
            "voice" or "imu" for the one that ships, or the file of one with a contract.
        memory_bytes, disk_bytes, max_classes
            Budgets; by default what suits the extractor's modality.

        Raises
        ------
        SettingError
            When the path is taken, or the budget cannot work: names the smallest that can.
        ContractError
            When the extractor has no contract, or a wrong one.
        """
        source = extractor_file(extractor)
        contract = open_extractor(source).contract
        budgets = default_budgets(contract.modality)
        settings = Settings(
            memory_bytes=memory_bytes or budgets.memory_bytes,
            disk_bytes=disk_bytes or budgets.disk_bytes,
            max_classes=max_classes or budgets.max_classes,
            latent_dimension=contract.dimension,
            shrinkage_floor=contract.shrinkage_floor,
            lift_width=lift_width,
            seed=seed,
        )
        settings = choose_tier(settings, overhead_disk_bytes=source.stat().st_size + (64 << 10))
        stored = {
            "learner": settings.as_dict(),
            "disk_bytes": settings.disk_bytes,
            "keep_revisions": settings.keep_revisions,
            "contract": {
                "modality": contract.modality,
                "sample_rate_hz": contract.sample_rate_hz,
                "channels": list(contract.channels),
                "dimension": contract.dimension,
                "source": contract.source,
                "licence": contract.licence,
            },
        }
        store = Store.create(path, extractor=source, settings=stored, revision_body=Model(settings).body())
        return cls(store)

    @classmethod
    def open(cls, path: Path) -> Device:
        """Open a store; raises StoreMissingError or StoreDamagedError."""
        return cls(Store.open(path))

    @cached_property
    def extractor(self) -> FileExtractor:
        """The store's own copy, opened and compared with the digest that the store has of it."""
        self.store.verify_extractor()
        return open_extractor(self.store.extractor_path)

    def model(self) -> tuple[Revision, Model]:
        """The live revision with all its parts."""
        revision, parts = self.store.load("statistics", "exemplars", "head", "ewc", CENTRE)
        return revision, load_model(self.settings, revision.objects, revision.body, parts)

    def model_of(self, number: int) -> Model:
        """A kept revision with all its parts; raises StoreDamagedError where one is damaged."""
        revision = self.store.revision(number)
        parts = {role: self.store.read(digest) for role, digest in revision.objects.items()}
        return load_model(self.settings, revision.objects, revision.body, parts)

    def head(self) -> Model:
        """The live head alone."""
        return self.live_head()[1]

    def live_head(self) -> tuple[Revision, Model]:
        """The live revision with its head alone."""
        revision, parts = self.store.load("head", CENTRE)
        return revision, load_head(self.settings, revision.objects, revision.body, parts)

    def background(self) -> Background | None:
        """What a stream holds beside words: what ships with the extractor, and the user's room; None: nothing known."""
        from edgecl.spotting.background import factory_background
        from edgecl.spotting.room import Room

        contract = self.store.settings["contract"]
        factory = factory_background(source=contract["source"], dimension=contract["dimension"])
        _, parts = self.store.load(ROOM)
        return factory.with_room(Room.from_arrays(parts[ROOM])) if factory and ROOM in parts else factory

    def hear_room(self, items: Iterable[Sample | Skip]) -> Generator[Embedded, None, RoomReport]:
        """Take in what the user's room sounds like when nobody says a taught word; a generator of progress.

        Pieces of one file follow each other. What was heard of the room before is kept.

        Raises
        ------
        SettingError
            When nothing is known of the background of this extractor.
        DataError
            When there is no stretch of sound as long as a clip.
        """
        from edgecl.spotting.room import Room, add_to_room

        if self.background() is None:
            raise SettingError(f"{self.store.path} does not hear words: --background is for stores made with voice")
        skipped: list[Skip] = []
        latents: list[NDArray[np.float32]] = []
        for _, pieces in groupby(without_skips(items, skipped), key=lambda one: one.source.partition("@")[0]):
            signal = np.concatenate([one.signal for one in pieces])
            latents.append(self.extractor.hop_latents(signal))
            yield Embedded(sum(map(len, latents)))
        if not sum(map(len, latents)):
            raise DataError("the recording is too short: give a recording of the room of some seconds, better minutes")
        with self.store.writer() as writer:
            live, parts = self.store.load(ROOM)
            room = add_to_room(Room.from_arrays(parts[ROOM]) if ROOM in parts else None, latents)
            objects = {**live.objects, ROOM: writer.put(room.arrays())}
            body = {**live.body, "lesson": {}, "strategy": None, "room_hops": room.statistics.count}
            body = {name: value for name, value in body.items() if name not in ("verdict", "forced")}
            revision = writer.commit(kind="lesson", objects=objects, body=body, time=utc_now(), parent=live.number)
        return RoomReport(revision.number, sum(map(len, latents)), room.statistics.count, tuple(skipped))

    def calibration(self) -> dict[str, Calibration]:
        """How each word stands against the background; empty where nothing is taught, or no background known."""
        from edgecl.spotting.background import BackgroundScorer

        background, (_, model) = self.background(), self.model()
        return BackgroundScorer(model, background).calibration if background and model.head else {}

    def teach(
        self,
        items: Iterable[Sample | Skip],
        *,
        strategy: str = "auto",
        refine: RefineSettings | None = None,
        dry_run: bool = False,
        require_proof: bool = False,
        force: bool = False,
        seed: int = 0,
    ) -> Generator[Embedded | Stage, None, Report]:
        """One lesson from samples to a committed revision, as a generator of progress that returns the report.

        A rejected lesson, and with `require_proof` an unproven one, leaves the store's model as it was and a line
        in its journal.
        """
        from edgecl.learning.loop import Stage, learn  # loads the kernels' users, which `status` does not need

        started = time.perf_counter()
        skipped: list[Skip] = []
        collector = LessonCollector(
            self.settings.features, limit_bytes=Model(self.settings).plan().lesson, spool=spool_folder()
        )
        head = self.head()
        for batch, latents in self._embedded(items, skipped):
            for sample, latent in zip(batch, head.centred(latents), strict=True):
                if sample.label is None:
                    raise DataError(f"{sample.source} has no label: give one with --label NAME")
                collector.add(sample.label, latent[None])
            yield Embedded(collector.count)
        lesson = replace(collector.finish(), time=utc_now())
        embedded = time.perf_counter()
        with self.store.writer() as writer:
            live, model = self.model()
            if model.digests.get(CENTRE) != head.digests.get(CENTRE):
                raise EdgeclError(f"{self.store.path} was centred while the lesson was read: teach it again")
            objects: Objects = OverlayObjects(self.store) if dry_run else StoredObjects(writer)
            outcome = yield from learn(
                model, lesson, objects=objects, strategy=strategy, settings=refine, seed=seed, force=force
            )
            if require_proof and outcome.model is not None and not outcome.verdict.proven and not force:
                outcome = replace(outcome, model=None)
            learned = time.perf_counter()
            forced = force and not outcome.verdict.accepted
            if outcome.model is not None and not outcome.is_unchanged and not dry_run:
                yield Stage("commit", f"on top of revision {live.number}")
            revision = None if dry_run else self._commit(writer, live, outcome, lesson, forced=forced)
        now_live = outcome.model or model
        return Report(
            outcome=outcome,
            revision=revision.number if revision else None,
            samples=lesson.count,
            skipped=tuple(skipped),
            new_classes=tuple(sorted(set(lesson.rows) - set(model.statistics))),
            elapsed_ms=1e3 * (time.perf_counter() - started),
            learn_ms=1e3 * (learned - embedded),
            bytes=now_live.bytes(),
            bytes_written=objects.bytes_put if revision and isinstance(objects, StoredObjects) else 0,
            dry_run=dry_run,
            forced=forced,
        )

    def centre(
        self, items: Iterable[Sample | Skip], *, dry_run: bool = False, force: bool = False
    ) -> Generator[Embedded, None, CentringReport]:
        """Take off every latent what the device's own user or place adds to it; a generator of progress.

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

        self.require_centrable()
        skipped: list[Skip] = []
        blocks: list[NDArray[np.float32]] = []
        for _, latents in self._embedded(items, skipped):
            blocks.append(latents)
            yield Embedded(sum(map(len, blocks)))
        if not blocks:
            raise DataError("there is no sample that could be used")
        with self.store.writer() as writer:
            live, model = self.model()
            found = fit_centre(model, np.concatenate(blocks))
            told = {"lesson": {}, "strategy": CENTRE, "verdict": found.verdict.as_dict(), "forced": force}
            revision = None
            if found.verdict.accepted or force:
                if not dry_run:
                    now = within_memory(replace(model, centre=found.centre))
                    digests = {**now.digests, CENTRE: writer.put(found.centre.arrays())}
                    body = {**now.body(), **told, "bytes": now.bytes(), "centred_on": found.centre.count}
                    revision = writer.commit(
                        kind="lesson", objects=digests, body=body, time=utc_now(), parent=live.number
                    )
            elif not dry_run:
                writer.note({"kind": "rejected", "time": utc_now(), **told})
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

    def uncentre(self) -> Revision:
        """Take latents as they are from now on.

        Raises
        ------
        SettingError
            When they are taken as they are.
        """
        with self.store.writer() as writer:
            live, model = self.model()
            if model.centre is None:
                raise SettingError(f"{self.store.path} is not centred")
            objects = {role: digest for role, digest in live.objects.items() if role != CENTRE}
            body = {**replace(model, centre=None).body(), "lesson": {}, "strategy": f"un{CENTRE}"}
            return writer.commit(kind="lesson", objects=objects, body=body, time=utc_now(), parent=live.number)

    def require_centrable(self) -> None:
        """Raises SettingError where latents cannot be centred."""
        features, path = self.settings.features, self.store.path
        if self.background() is not None:
            raise SettingError(f"{path} hears words, which a stream sets against background: it is not centred")
        if features.dimension != self.settings.latent_dimension:
            raise SettingError(f"{path} projects or lifts its latents: init without --lift, and with more --memory")
        kind = self.store.current().body["head"]
        if kind in (None, "lda", "ridge"):
            made = f"its head is {kind!r}" if kind else "it has learnt nothing yet"
            raise SettingError(f"{path} cannot be centred: {made}")

    def follow(
        self, items: Iterable[Sample | Skip], *, label_delay: int = 0, dry_run: bool = False
    ) -> Generator[Embedded | Drift, None, StreamReport]:
        """Answer a stream row by row and learn from it, as a generator of progress and drifts that returns the report.

        A revision is committed at every confirmed drift (what was known until then, so that it can be gone back to, and
        what is made of it), every COMMIT_EVERY rows, and at the end; none where the live one answers better.
        """
        from edgecl.learning.drift_response import AS_IT_IS
        from edgecl.learning.prequential import Prequential

        started = time.perf_counter()
        skipped: list[Skip] = []
        drifts: list[Drift] = []
        with self.store.writer() as writer:
            live, model = self.model()
            if model.centre is not None:
                raise SettingError(f"{self.store.path} is centred, a stream is not: `edgecl centre --off` first")
            stream = Prequential(model, label_delay=label_delay)
            saved = StreamSaver(
                OverlayObjects(self.store) if dry_run else StoredObjects(writer), None if dry_run else writer, live
            )
            for batch, latents in self._embedded(skip_beyond_capacity(items, stream), skipped):
                stream.take([one.label for one in batch], latents)
                if stream.has_drifted:
                    drift = stream.adapt(self._kept_models())
                    if drift.chosen != AS_IT_IS:
                        saved.keep(stream, drift)
                    drifts.append(drift)
                    yield drift
                elif stream.tally.labelled - saved.at >= COMMIT_EVERY:
                    saved.judged(stream)
                yield Embedded(stream.tally.rows)
            stream.flush()
            verdict = saved.judged(stream)
        return StreamReport(
            verdict=verdict,
            revision=saved.live.number if saved.live.number != live.number else None,
            tally=stream.tally,
            drifts=tuple(drifts),
            skipped=tuple(skipped),
            elapsed_ms=1e3 * (time.perf_counter() - started),
            bytes=bytes_with_stream(stream),
            dry_run=dry_run,
        )

    def _kept_models(self) -> dict[str, Model]:
        """Every earlier revision that has learnt something and is sound, newest first."""
        models: dict[str, Model] = {}
        for number in reversed(self.store.revisions()):
            try:
                model = self.model_of(number)
            except StoreDamagedError:
                continue  # `edgecl doctor` names it; the others will do
            if model.head is not None:
                models[f"revision {number}"] = model
        return models

    def _commit(
        self, writer: Writer, live: Revision, outcome: Outcome, lesson: Lesson, *, forced: bool
    ) -> Revision | None:
        verdict = outcome.verdict.as_dict()
        told = {
            "lesson": {label: len(rows) for label, rows in lesson.rows.items()},
            "strategy": outcome.strategy,
            "verdict": verdict,
            "forced": forced,
        }
        if outcome.model is None or outcome.is_unchanged:
            writer.note({"kind": "unchanged" if outcome.model else "rejected", "time": utc_now(), **told})
            return None
        body = {**outcome.model.body(), **told, "bytes": outcome.model.bytes()}
        return writer.commit(
            kind="lesson", objects=outcome.model.digests, body=body, time=utc_now(), parent=live.number
        )

    def _embedded(
        self, items: Iterable[Sample | Skip], skipped: list[Skip]
    ) -> Iterator[tuple[list[Sample], NDArray[np.float32]]]:
        """Samples with their latents, a few at a time; what was skipped is added to the list."""
        batch: list[Sample] = []
        for item in items:
            if isinstance(item, Skip):
                skipped.append(item)
                continue
            batch.append(item)
            if len(batch) == SIGNALS_AT_ONCE:
                yield batch, self.extractor.latents([one.signal for one in batch])
                batch = []
        if batch:
            yield batch, self.extractor.latents([one.signal for one in batch])

    def predict(self, items: Iterable[Sample | Skip]) -> Iterator[Answer | Skip]:
        """Answer samples one after another; those that cannot be used come out as they went in."""
        model, remaining = self._taught(), iter(items)
        while batch := list(islice(remaining, SIGNALS_AT_ONCE)):
            samples = [one for one in batch if isinstance(one, Sample)]
            answers = self._answers(model, samples)
            for item in batch:
                yield next(answers) if isinstance(item, Sample) else item

    def _answers(self, model: Model, samples: list[Sample]) -> Iterator[Answer]:
        if not samples:
            return
        said = model.predict(self.extractor.latents([one.signal for one in samples]))
        for sample, *one in zip(samples, said.labels, said.confidence, said.novelty, strict=True):
            yield Answer(sample.source, str(one[0]), float(one[1]), float(one[2]))

    def evaluate(self, items: Iterable[Sample | Skip]) -> Generator[Embedded, None, Evaluation]:
        """Accuracy on labelled samples, as a generator of progress that returns the evaluation.

        Raises
        ------
        DataError
            When no sample has a label.
        """
        model = self._taught()
        skipped: list[Skip] = []
        truth: list[str] = []
        answers: list[str] = []
        for batch, latents in self._embedded(items, skipped):
            said: Prediction = model.predict(latents)
            for sample, label in zip(batch, said.labels, strict=True):
                if sample.label is not None:
                    truth.append(sample.label)
                    answers.append(label)
            yield Embedded(len(truth))
        if not truth:
            raise DataError("no sample has a label: eval wants <label>/<file> folders, or labels in the file")
        assert model.head is not None
        labels = tuple(sorted({*truth, *model.head.labels}))
        return Evaluation(
            labels=labels,
            truth=label_indices(truth, labels),
            answers=label_indices(answers, labels),
            skipped=tuple(skipped),
            unknown=tuple(sorted(set(truth) - set(model.head.labels))),
        )

    def _taught(self) -> Model:
        model = self.head()
        if model.head is None:
            raise ModelError(f"{self.store.path} has learnt nothing yet: teach it with `edgecl learn` first")
        return model

    def status(self) -> dict[str, Any]:
        """What the store holds, without loading an extractor."""
        revision, model = self.model()
        body = revision.body
        plan = model.plan()
        return {
            "revision": revision.number,
            "kind": revision.kind,
            "centred_on": model.centre.count if model.centre else 0,
            "time": revision.time,
            "classes": {
                label: {
                    "samples": count,
                    "exemplars": body["exemplars"].get(label, 0),
                    "taught": body.get("taught", {}).get(label, ""),
                }
                for label, count in body["classes"].items()
            },
            "head": body["head"],
            "strategy": body.get("strategy"),
            "bytes": model.bytes(),
            "budget_bytes": self.settings.memory_bytes,
            "exemplar_capacity_bytes": plan.exemplars,
            "disk_bytes": self.store.bytes_on_disk(),
            "disk_budget_bytes": self.settings.disk_bytes,
            "max_classes": self.settings.max_classes,
            "features": {
                "latent_dimension": self.settings.latent_dimension,
                "projection": self.settings.projection,
                "lift_width": self.settings.lift_width,
                "dimension": self.settings.features.dimension,
                "precision": self.settings.precision,
            },
            "extractor": dict(self.store.settings["contract"]),
            "revisions": self.store.revisions(),
            "spotting": {label: asdict(one) for label, one in self.calibration().items()},
            "damage": list(self.store.damage),
        }

    def rollback(self, number: int | None = None) -> Revision:
        """Make the model of an earlier revision the live one, as a new revision.

        By default that from which the live one was learnt: a second rollback goes one further back.
        """
        with self.store.writer() as writer:
            current = self.store.current()
            kept = ", ".join(str(one) for one in self.store.revisions())
            target = number if number is not None else self._before(current)
            if target is None and current.kind == "forget":
                raise SettingError(f"revision {current.number} forgot for good: name one that never knew it, of {kept}")
            if target is None:
                raise SettingError(f"revision {current.number} is the first: there is nothing to roll back to")
            if target not in self.store.revisions():
                raise SettingError(f"revision {target} is not kept: choose one of {kept}")
            return writer.rollback(target, time=utc_now())

    def _before(self, revision: Revision) -> int | None:
        """The revision before a model; a rollback stands where the revision stood that it went back to."""
        while revision.kind == "rollback":
            origin: int = revision.body["rolled_back_to"]
            if origin not in self.store.revisions():
                return origin
            revision = self.store.revision(origin)
        return revision.parent

    def repair(self) -> list[str]:
        """Make the store whole again from what is sound in it; returns what was done, and what could not be.

        Where that keeps more classes than the newest sound revision has, the newest revision goes on without the
        classes whose statistics are damaged. A damaged extractor comes back where it is one that ships with edgecl.

        Raises
        ------
        StoreDamagedError
            When no revision is sound: then nothing is changed.
        EdgeclError
            When writing fails.
        """
        done = [*self._salvage(), *self.store.repair(require_usable=self.model_of, time=utc_now())]
        try:
            self.store.verify_extractor()
        except StoreDamagedError:
            done.append(self._restored_extractor())
        return done

    def _salvage(self) -> list[str]:
        """Commit what is left of the newest revision, where some of its parts are damaged."""
        from edgecl.operations.recovery import salvaged

        with self.store.writer() as writer:
            revision, parts = self.store.newest_readable()
            if len(parts) == len(revision.objects):
                return []
            try:
                left, lost = salvaged(self.settings, revision, parts, objects=writer)
            except StoreDamagedError:
                return []
            if len(left.statistics) <= len(self.store.newest_sound().body["classes"]):
                return []
            live = writer.commit(kind="repair", objects=left.digests, body=left.body(), time=utc_now())
            return [f"revision {live.number} is live: what is left of revision {revision.number}", *lost]

    def _restored_extractor(self) -> str:
        for name in BUILTIN:
            with suppress(SettingError, ModelError):
                self.store.restore_extractor(builtin_extractor(name))
                return f"restored {self.store.extractor_path} from the {name} extractor that ships with edgecl"
        return f"could not restore {self.store.extractor_path}: copy the file with sha256 {self.store.extractor_digest}"

    def forget(self, labels: Collection[str], *, dry_run: bool = False) -> Receipt:
        """Take classes out for good, and every revision that knew them.

        Raises
        ------
        SettingError
            When nothing is known of a label.
        EdgeclError
            When writing or removing fails.
        """
        from edgecl.operations.forgetting import forget

        with self.store.writer() as writer:
            return forget(self.store, writer, self.model()[1], labels, time=utc_now(), dry_run=dry_run)

    def forget_outdated(self, older_than: timedelta, *, dry_run: bool = False) -> Receipt | None:
        """Forget the classes that have not been taught for so long; None where there are none.

        Raises
        ------
        SettingError
            When no class would be left: a clock that is wrong must not cost everything.
        EdgeclError
            When writing or removing fails.
        """
        from edgecl.learning.forgetting import outdated
        from edgecl.operations.forgetting import forget

        with self.store.writer() as writer:
            model = self.model()[1]
            confirmed = {label: one["time"] for one in self.store.journal() for label in unchanged_labels(one)}
            last = {label: max(time, confirmed.get(label, "")) for label, time in model.taught.items() if time}
            labels = outdated(replace(model, taught=last), older_than=older_than, now=datetime.now(UTC))
            if not labels:
                return None
            if len(labels) == len(model.labels):
                raise SettingError(f"all {len(labels)} classes are that old, is the clock right? Name those to forget")
            return forget(self.store, writer, model, labels, time=utc_now(), dry_run=dry_run)
