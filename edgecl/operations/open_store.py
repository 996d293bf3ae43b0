"""A store with its extractor, opened, where its objects are kept, and the clock: what every operation is given.

A clock may be wrong: a board without a battery starts in 1970, or when it was shut down.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecl.errors import EdgeclError, ModelError, StoreDamagedError
from edgecl.model.loading import load_head, load_model
from edgecl.model.model import CENTRE, EXPERTS, OTHERS, OWN, Arrays, MemoryObjects, Model
from edgecl.model.settings import Settings
from edgecl.notes import Logger
from edgecl.sources.labels import Spellings
from edgecl.store.folder import EXTRACTOR
from edgecl.store.records import LessonNote, ModelBody
from edgecl.store.store import Store
from edgecl.store.writer import Writer
from edgecl.values import dataclass, replace

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor
    from edgecl.gate.verdict import Verdict
    from edgecl.model.statistics import Pages
    from edgecl.sources.gravity import Gravity
    from edgecl.store.records import Revision

logger = Logger(__name__)
BUILT = "2026-11-28T00:00:00+00:00"
"""No clock is before this version; `CHANGELOG.md` states the same date or an earlier one."""
LONGEST_JUMP = timedelta(days=400)
"""From the newest time that is known, where nothing tells whether the clock is synchronised."""
TIMEX_BYTES = 512  # more than any struct timex
UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)


class OpenStore:
    """An open store. Nothing heavy is loaded before it is needed: `status` needs neither extractor nor kernels.

    Raises
    ------
    StoreDamagedError
        When the store has no usable settings.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._pointer = str(store.path / "current")
        self._extractor: FileExtractor | None = None
        self._seen: tuple[int, int] | None = None
        self._pages: Pages | None = None
        try:
            self._made = Settings.from_dict(store.settings["learner"])
        except (KeyError, TypeError) as error:
            raise StoreDamagedError(f"{store.path}: store.json has no usable learner settings: {error}") from error

    @classmethod
    def open(cls, path: str | Path) -> OpenStore:
        """Open a store; raises StoreMissingError or StoreDamagedError."""
        return cls(Store.open(Path(path)))

    @property
    def settings(self) -> Settings:
        """Settings of the live revision: those of store.json, with what a resize has changed."""
        return self.settings_of(self.store.current())

    def settings_of(self, revision: Revision) -> Settings:
        """Return the settings of a revision; raises StoreDamagedError where it states what cannot be."""
        try:
            settings = self._made.with_resized(revision.body.get("settings") or {})
            if not (stated := revision.body.get("extractor")):
                return settings
            dimension, floor = stated["contract"]["dimension"], stated["shrinkage_floor"]
            return replace(settings, latent_dimension=int(dimension), shrinkage_floor=float(floor))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StoreDamagedError(f"revision {revision.number} states no usable settings: {error}") from error

    @property
    def extractor(self) -> FileExtractor:
        """The live revision's extractor, opened and compared with the digest that the store has of it."""
        seen = self.stamp()
        if self._extractor is None or seen != self._seen:
            self._extractor, self._seen = self._live_extractor(), seen
        return self._extractor

    def _live_extractor(self) -> FileExtractor:
        from edgecl.extractors.opening import open_extractor

        if self._extractor is not None and self._extractor.digest == self.store.extractor_digest:
            return self._extractor
        content = self.store.verify_extractor()
        digest = "" if content is None else self.store.extractor_digest
        return open_extractor(self.store.extractor_path, content, digest)

    def stamp(self) -> tuple[int, int]:
        """Return what changes with the live revision, for the price of one stat."""
        try:
            status = os.stat(self._pointer)  # noqa: PTH116 (Path's takes twice as long)
        except OSError:
            return (0, 0)  # the store is damaged, which reading it will say
        return (status.st_ino, status.st_mtime_ns)

    def require_extractor(self, before: FileExtractor) -> None:
        """Raise EdgeclError where latents were made by an extractor that is no longer the live one."""
        if self.extractor is not before:
            raise EdgeclError(f"{self.store.path} was given another extractor meanwhile: try again")

    def described(self) -> Mapping[str, Any]:
        """Return modality, rate, channels, dimension and source of the live extractor, without opening it."""
        return self.described_by(self.store.current())

    def described_by(self, revision: Revision) -> Mapping[str, Any]:
        """Return the same of the extractor of a revision."""
        contract: Mapping[str, Any] = (revision.body.get("extractor") or self.store.settings)["contract"]
        return contract

    def live_body(self) -> ModelBody:
        """Return what the live revision states about its model."""
        return ModelBody(**ModelBody.members_of(self.store.current().body))

    def spellings(self, case: str | None = None) -> Spellings:
        """Return what settles how the labels of a lesson or stream are spelt, by the classes that are known."""
        return Spellings(self.live_body().classes, case=case)

    def gravity(self) -> Gravity:
        """Return what compares the acceleration of samples with what was taught."""
        from edgecl.sources.gravity import Gravity

        return Gravity(self.extractor.contract, self.live_body().gravity)

    def model(self) -> tuple[Revision, Model]:
        """Return the live revision with all its parts."""
        revision, parts = self.store.load("statistics", "exemplars", "head", "ewc", CENTRE, OWN, OTHERS)
        return revision, self.paged(load_model(self.settings_of(revision), revision.objects, revision.body, parts))

    def model_of(self, number: int) -> Model:
        """Return a kept revision with all its parts; raises StoreDamagedError where one is damaged."""
        revision = self.store.revision(number)
        parts = {role: self.store.read(one) for role, one in revision.objects.items() if role != EXTRACTOR}
        return self.paged(load_model(self.settings_of(revision), revision.objects, revision.body, parts))

    def paged(self, model: Model) -> Model:
        """Return a model that takes its arrays from files, where its settings say so."""
        if not model.settings.paged:
            return model
        if self._pages is None:
            from edgecl.operations.scratch import PagesOrMemory  # few stores are

            self._pages = PagesOrMemory(spare=self.store.reserve()[1])
        return replace(model, pages=self._pages)

    def head(self) -> Model:
        """Return the live head alone."""
        return self.live_head()[1]

    def live_head(self) -> tuple[Revision, Model]:
        """Return the live revision with its head alone."""
        revision, parts = self.store.load("head", CENTRE)
        return revision, load_head(self.settings_of(revision), revision.objects, revision.body, parts)

    def taught_head(self) -> Model:
        """Return the live head; raises ModelError where nothing has been learnt."""
        model = self.head()
        if model.head is None:
            raise ModelError(f"{self.store.path} has learnt nothing yet: teach it first", remedy="learn")
        return model


def utc_now() -> str:
    """Return the present time in UTC: ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Moment:
    """A time as it was read."""

    time: str
    """UTC, ISO 8601, to the second."""
    doubt: str = ""
    """Why the clock cannot be trusted; empty where it can."""

    @property
    def is_trusted(self) -> bool:
        """Test whether nothing speaks against the clock."""
        return not self.doubt


def now(known: Iterable[str] = ()) -> Moment:
    """Read the clock.

    Parameters
    ----------
    known
        Trusted times of before (UTC, ISO 8601), such as those of a store's lessons.
    """
    return judged(datetime.now(UTC), known, synchronised=is_synchronised())


def judged(read: datetime, known: Iterable[str], *, synchronised: bool | None) -> Moment:
    """Return a time with what speaks against it.

    Parameters
    ----------
    synchronised
        None where the system does not tell: then a long jump forward is doubted as well.

    >>> judged(datetime(1970, 1, 1, tzinfo=UTC), (), synchronised=True).doubt
    'the clock is before the date of this edgecl'
    """
    text = read.isoformat(timespec="seconds")
    newest = max([BUILT, *filter(_is_time, known)], key=datetime.fromisoformat)
    if text < BUILT:
        return Moment(text, "the clock is before the date of this edgecl")
    if read < datetime.fromisoformat(newest):
        return Moment(text, f"the clock is before {newest}, when the store was taught")
    if synchronised is False:
        return Moment(text, "the clock is not synchronised")
    if synchronised is None and read - datetime.fromisoformat(newest) > LONGEST_JUMP:
        return Moment(text, f"the clock has jumped forward from {newest}, and nothing tells whether it is synchronised")
    return Moment(text)


def _is_time(text: str) -> bool:
    """Test whether a text of a file is a time in UTC."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def is_synchronised() -> bool | None:
    """Return what the kernel says of the clock, which ntpd, chrony and timesyncd tell it; None where it says nothing.

    `adjtimex` with no modes set reads alone, and needs no privilege.
    """
    try:
        state = int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES)))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != UNSYNCHRONISED


def trusted_times(body: Mapping[str, Any]) -> list[str]:
    """Return the times of lessons, of a revision's body, that were read from a clock that could be trusted."""
    taught = body.get("taught") or {}
    return [taught[label] for label in body.get("timed", ()) if taught.get(label)]


def note_rejected(writer: Writer, strategy: str, verdict: Verdict, *, time: str) -> None:
    """Note in the journal that a change which is no lesson was rejected."""
    note = LessonNote(kind="rejected", time=time, lesson={}, strategy=strategy, verdict=verdict.stored(), forced=False)
    writer.note(note.as_dict())


def note_left_behind(before: Revision) -> None:
    """Log that the experts of a stream, which answered until this revision, no longer do."""
    if EXPERTS in before.objects:
        logger.warning(
            "the experts of the stream that revision %d has are left behind: what is known without them answers. To "
            "bring them back, roll back to it",
            before.number,
        )


class StoredObjects:
    """Objects in a store under its writer; counts what is written."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.bytes_put = 0

    def put(self, arrays: Arrays) -> str:
        self.bytes_put += sum(array.nbytes for array in arrays.values())
        return self._writer.put(arrays)

    def read(self, digest: str) -> Arrays:
        return self._writer.read(digest)


class OverlayObjects(MemoryObjects):
    """New objects in memory over a store's: nothing is written."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def read(self, digest: str) -> Arrays:
        return super().read(digest) if digest in self._held else self._store.read(digest)
