"""Teach the sound of a room where no word is spoken."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, SettingError
from edgecl.operations.data import Embedded
from edgecl.operations.open_store import OpenStore, utc_now
from edgecl.progress import watched
from edgecl.sources.samples import Sample, Skip
from edgecl.values import dataclass, replace

if TYPE_CHECKING:
    from edgecl.model.model import Model
    from edgecl.spotting.background import Background, BackgroundScorer
    from edgecl.spotting.calibration import Calibration
    from edgecl.spotting.student import Student

MOVEMENT_LABEL = "_background_"  # of movement that is none of the taught classes: a class that makes no events
ROOM = "background"  # the role of what a user's room sounds like


@dataclass(frozen=True)
class RoomReport:
    """Outcome of listening to a room."""

    revision: int
    hops: int
    hops_in_all: int
    skipped: tuple[Skip, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "skipped": [one.as_dict() for one in self.skipped]}


def as_rest(items: Iterable[Sample | Skip]) -> Iterator[Sample | Skip]:
    """Give samples of movement that is none of the taught classes the label of background, which is no event."""
    for item in items:
        yield item if isinstance(item, Skip) else replace(item, label=MOVEMENT_LABEL)


def _without_skips(items: Iterable[Sample | Skip], skipped: list[Skip]) -> Iterator[Sample]:
    """Yield samples; what was skipped is added to the list."""
    for item in items:
        if isinstance(item, Skip):
            skipped.append(item)
        else:
            yield item


def background(opened: OpenStore) -> Background | None:
    """Read the background of a stream: what ships, and the user's room; None where nothing is known."""
    from edgecl.spotting.background import factory_background
    from edgecl.spotting.room import Room

    revision, parts = opened.store.load(ROOM)
    contract = opened.described_by(revision)
    factory = factory_background(source=contract["source"], dimension=contract["dimension"])
    return factory.with_room(Room.from_arrays(parts[ROOM])) if factory and ROOM in parts else factory


@watched
def hear_room(opened: OpenStore, items: Iterable[Sample | Skip]) -> Generator[Embedded, None, RoomReport]:
    """Learn the sound of the user's room while no taught word is spoken.

    Pieces of one file follow each other. What was learnt of the room before is kept.

    Raises
    ------
    SettingError
        When nothing is known of the background of this extractor.
    DataError
        When there is no stretch of sound as long as a clip.
    """
    from edgecl.spotting.room import Room, add_to_room
    from edgecl.store.body_kinds import BackgroundBody

    if background(opened) is None:
        raise SettingError(
            f"{opened.store.path} does not hear words: only a store made with voice learns the sound of a room",
            parameter="background",
        )
    skipped: list[Skip] = []
    latents: list[NDArray[np.float32]] = []
    extractor = opened.extractor
    for _, pieces in groupby(_without_skips(items, skipped), key=lambda one: one.source.partition("@")[0]):
        signal = np.concatenate([one.signal for one in pieces])
        latents.append(extractor.hop_latents(signal))
        yield Embedded(sum(map(len, latents)))
    if not sum(map(len, latents)):
        raise DataError("the recording is too short: give a recording of the room of some seconds, better minutes")
    with opened.store.writer() as writer:
        live, parts = opened.store.load(ROOM)
        opened.require_extractor(extractor)
        room = add_to_room(Room.from_arrays(parts[ROOM]) if ROOM in parts else None, latents)
        objects = {**live.objects, ROOM: writer.put(room.arrays())}
        body = BackgroundBody.on(live.body, room_hops=room.statistics.count).as_dict()
        revision = writer.commit(kind="lesson", objects=objects, body=body, time=utc_now(), parent=live.number)
    return RoomReport(revision.number, sum(map(len, latents)), room.statistics.count, tuple(skipped))


def student(opened: OpenStore, model: Model) -> Student | None:
    """Return the student that ships; None where no word has a reference of it, or it is of another extractor."""
    if all(one.student is None for one in model.exemplars.values()):
        return None
    from edgecl.spotting.student import voice_student

    return voice_student(opened.store.extractor_digest)


def words_scorer(
    opened: OpenStore,
    model: Model,
    found: Background,
    *,
    confidence: float | None = None,
    only: Collection[str] | None = None,
    is_verified: bool,
) -> BackgroundScorer:
    """Return the scorer of a store's words: the student decides on those that the network does not.

    Parameters
    ----------
    is_verified
        Whether the network of the extra `verify` decides on the words that it has references of.
    """
    from edgecl.spotting.background import EVEN, BackgroundScorer

    without = [label for label, one in model.exemplars.items() if is_verified and one.reference is not None]
    least = EVEN if confidence is None else confidence
    return BackgroundScorer(model, found, confidence=least, only=only, student=student(opened, model), without=without)


def calibration(
    opened: OpenStore,
    labels: Collection[str] | None = None,
    *,
    model: Model | None = None,
    is_first_stage: bool = False,
) -> dict[str, Calibration]:
    """Measure words, by default all, against the background; empty where nothing is taught, or no background known.

    Parameters
    ----------
    model
        The live one where it is in memory, as after a lesson.
    is_first_stage
        Whether a student, where there is one, does not count.
    """
    from edgecl.extractors.opening import verifier_file
    from edgecl.spotting.background import BackgroundScorer

    found = background(opened)
    model = model or opened.model()[1]
    if found is None or model.head is None:
        return {}
    if is_first_stage:
        return BackgroundScorer(model, found, only=labels).calibration
    return words_scorer(opened, model, found, only=labels, is_verified=verifier_file() is not None).calibration
