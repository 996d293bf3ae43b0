"""All kinds of bodies and notes, and their one reader.

================  =========  ==================================================================================
class             kind       members, after those of the model
================  =========  ==================================================================================
`InitBody`        init
`LessonBody`      lesson     lesson, strategy, verdict, forced, bytes
`CentreBody`      lesson     lesson {}, strategy "centre", verdict, forced, bytes, centred_on
`UncentreBody`    lesson     lesson {}, strategy "uncentre"
`SetBody`         lesson     lesson {}, strategy "set", [experts], [began]
`KeepBody`        lesson     lesson {}, strategy "keep", [experts], [began]
`ResizeBody`      lesson     lesson {}, strategy "resize", verdict, forced, bytes, [experts], [began]
`MergeBody`       lesson     lesson {}, strategy "merge", verdict, forced, bytes
`UpgradeBody`     lesson     lesson {}, strategy "upgrade", verdict, forced, bytes
`StreamBody`      lesson     [verdict, forced false], strategy "prequential", lesson, accuracy, [drift, [concept]],
                             [experts], [began], bytes
`BackgroundBody`  lesson     those of the revision before, without verdict and forced; lesson {}, strategy null,
                             room_hops
`RollbackBody`    rollback   those of the revision that was rolled back to; rolled_back_to
`ForgetBody`      forget     forgets
`RepairBody`      repair
================  =========  ==================================================================================

The notes are journal entries without a revision: `LessonNote`, of kind "rejected" or "unchanged", `CentreNote` and
`StreamNote`. `Forgotten` is what a forgetting leaves of an entry. Nine classes are written with kind "lesson" and
three with "rejected": `read_body` and `read_note` distinguish them by their members.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from edgecl.store.erasure import Forgets
from edgecl.store.followed import FollowedBody
from edgecl.store.records import (
    MODEL_MEMBERS,
    LessonBody,
    LessonNote,
    ModelBody,
    Revision,
    member,
)

CENTRE = "centre"
UNCENTRE = "uncentre"
SET = "set"
KEEP = "keep"
RESIZE = "resize"
MERGE = "merge"
UPGRADE = "upgrade"
PREQUENTIAL = "prequential"


class UncentreBody(ModelBody):
    """The body of a model that is no longer centred."""

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        return {**super().as_dict(), "lesson": {}, "strategy": UNCENTRE}


class SetBody(FollowedBody):
    """The body of a model of which a setting was changed."""

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        return {**super().as_dict(), "lesson": {}, "strategy": SET, **self.of_stream()}


class KeepBody(FollowedBody):
    """The body of a model whose user has said how long classes are kept."""

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        return {**super().as_dict(), "lesson": {}, "strategy": KEEP, **self.of_stream()}


class InitBody(ModelBody):
    """The body of the first revision: a model without classes."""


class RepairBody(ModelBody):
    """The body of the model that was left of a damaged revision."""


@dataclass(frozen=True, kw_only=True)
class ResizeBody(FollowedBody):
    """The body of a model that was given other budgets."""

    STRATEGY: ClassVar[str] = RESIZE
    verdict: Mapping[str, Any]
    """As `Verdict.as_dict` returned it."""
    forced: bool
    """Whether it was committed in spite of its verdict."""
    bytes: Mapping[str, int]
    """Resident learner state by part."""

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        judged = {"verdict": self.verdict, "forced": self.forced, "bytes": self.bytes}
        return {**super().as_dict(), "lesson": {}, "strategy": self.STRATEGY, **judged, **self.of_stream()}


@dataclass(frozen=True, kw_only=True)
class MergeBody(ResizeBody):
    """The body of a model with other shares of other devices."""

    STRATEGY: ClassVar[str] = MERGE


@dataclass(frozen=True, kw_only=True)
class UpgradeBody(ResizeBody):
    """The body of a model that was taught again through another extractor."""

    STRATEGY: ClassVar[str] = UPGRADE


@dataclass(frozen=True, kw_only=True)
class CentreBody(ModelBody):
    """The body of a model that was centred on samples without labels."""

    verdict: Mapping[str, Any]
    """As `Verdict.as_dict` returned it."""
    forced: bool
    """Whether it was to be committed in spite of its verdict."""
    bytes: Mapping[str, int]
    """Resident learner state by part."""
    centred_on: int
    """Number of samples that the centre is the mean of."""

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        return {
            **super().as_dict(),
            "lesson": {},
            "strategy": CENTRE,
            "verdict": self.verdict,
            "forced": self.forced,
            "bytes": self.bytes,
            "centred_on": self.centred_on,
        }


@dataclass(frozen=True, kw_only=True)
class StreamBody(FollowedBody):
    """The body of what a stream has taught: after a verdict, or at a drift."""

    lesson: Mapping[str, int]
    """Label to number of rows so far."""
    accuracy: float
    """Share of the labelled rows that were predicted right before their label came."""
    bytes: Mapping[str, int]
    """Resident learner state by part."""
    verdict: Mapping[str, Any] | None = None
    """As `Verdict.as_dict` returned it; None where a drift is the reason of the commit."""
    drift: Mapping[str, Any] | None = None
    """The members of a `Drift`."""
    concept: str | None = None
    """"before the drift", for the model that was valid until then."""

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        judged = {} if self.verdict is None else {"verdict": self.verdict, "forced": False}
        stream = {"strategy": PREQUENTIAL, "lesson": self.lesson, "accuracy": self.accuracy}
        drift = {name: value for name in ("drift", "concept") if (value := getattr(self, name)) is not None}
        return {**super().as_dict(), **judged, **stream, **drift, **self.of_stream(), "bytes": self.bytes}


@dataclass(frozen=True, kw_only=True)
class BackgroundBody(ModelBody):
    """The body of a model that was given the sound of the user's room."""

    carried: Mapping[str, Any]
    """The other members of the revision before, in their order."""
    room_hops: int
    """Number of hops of sound from the room in all."""

    @classmethod
    def on(cls, body: Mapping[str, Any], *, room_hops: int) -> BackgroundBody:
        """Return the body that follows the body of the live revision."""
        carried = {name: one for name, one in _others(body).items() if name not in ("verdict", "forced")}
        return cls(**ModelBody.members_of(body), carried=carried, room_hops=room_hops)

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        return {**super().as_dict(), **self.carried, "lesson": {}, "strategy": None, "room_hops": self.room_hops}


@dataclass(frozen=True, kw_only=True)
class RollbackBody(ModelBody):
    """The body of an earlier model that was made live again."""

    carried: Mapping[str, Any]
    """The other members of the revision that was rolled back to, in their order."""
    rolled_back_to: int
    """Number of that revision."""

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        return {**super().as_dict(), **self.carried, "rolled_back_to": self.rolled_back_to}


@dataclass(frozen=True, kw_only=True)
class ForgetBody(ModelBody):
    """The body of a model without the classes that were forgotten; `Writer.forget` adds `forgets`."""

    forgets: Forgets

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        return {**super().as_dict(), "forgets": self.forgets.as_dict()}


class CentreNote(LessonNote):
    """The journal's note of a centre that was rejected: a lesson of no samples, strategy "centre"."""


@dataclass(frozen=True, kw_only=True)
class StreamNote:
    """The journal's note of a stream whose model was rejected."""

    time: str
    """UTC, ISO 8601."""
    verdict: Mapping[str, Any]
    """As `Verdict.as_dict` returned it."""
    lesson: Mapping[str, int]
    """Label to number of rows so far."""
    accuracy: float
    """Share of the labelled rows that were predicted right before their label came."""

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        return {
            "kind": "rejected",
            "time": self.time,
            "verdict": self.verdict,
            "forced": False,
            "strategy": PREQUENTIAL,
            "lesson": self.lesson,
            "accuracy": self.accuracy,
        }


@dataclass(frozen=True)
class Forgotten:
    """What is left of a journal entry that saw a label which was forgotten since."""

    kind: str
    """Kind of the entry before."""
    time: str
    """UTC, ISO 8601."""
    revision: int | None = None
    """Number of the revision; None for a note."""

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        revision = {} if self.revision is None else {"revision": self.revision}
        return {"kind": self.kind, "time": self.time, **revision, "forgotten": True}


Body: TypeAlias = (
    InitBody
    | LessonBody
    | CentreBody
    | UncentreBody
    | SetBody
    | KeepBody
    | ResizeBody
    | MergeBody
    | UpgradeBody
    | StreamBody
    | BackgroundBody
    | RollbackBody
    | ForgetBody
    | RepairBody
)
Note: TypeAlias = LessonNote | CentreNote | StreamNote


def body_of(revision: Revision) -> Body:
    """Return the body of a revision as an instance of its class; raises as `read_body` does."""
    return read_body(revision.kind, revision.body)


def read_body(kind: str, body: Mapping[str, Any]) -> Body:
    """Return a body as an instance of its class, found by the kind and the members.

    Parameters
    ----------
    kind
        Kind of the revision, or of the journal's entry about it.

    Raises
    ------
    StoreDamagedError
        When the members are not those of that kind.
    """
    model = ModelBody.members_of(body)
    match kind:
        case "init":
            return InitBody(**model)
        case "rollback":
            return RollbackBody(**model, carried=_others(body), rolled_back_to=member(body, "rolled_back_to", int))
        case "forget":
            return ForgetBody(**model, forgets=_forgets(member(body, "forgets", dict)))
        case "repair":
            return RepairBody(**model)
    return _read_lesson(model, body)


def read_entry(entry: Mapping[str, Any]) -> Body | Note | Forgotten:
    """Return what a journal entry states: a body, a note, or what is left of either; raises as `read_body`."""
    if entry.get("forgotten"):
        return Forgotten(member(entry, "kind", str), member(entry, "time", str), entry.get("revision"))
    if "body" in entry:
        return read_body(member(entry, "kind", str), member(entry, "body", dict))
    return read_note(entry)


def read_note(entry: Mapping[str, Any]) -> Note:
    """Return a journal entry of kind "rejected" or "unchanged" as an instance of its class; raises as `read_body`."""
    time, verdict, lesson = member(entry, "time", str), member(entry, "verdict", dict), member(entry, "lesson", dict)
    if "accuracy" in entry:
        return StreamNote(time=time, verdict=verdict, lesson=lesson, accuracy=member(entry, "accuracy", float))
    strategy = member(entry, "strategy", str)
    return (CentreNote if strategy == CENTRE else LessonNote)(
        kind=member(entry, "kind", str),
        time=time,
        lesson=lesson,
        strategy=strategy,
        verdict=verdict,
        forced=member(entry, "forced", bool),
        timed=entry.get("timed"),
    )


def _read_lesson(model: Mapping[str, Any], body: Mapping[str, Any]) -> Body:
    """Return a body of kind "lesson" as an instance of its class."""
    if "room_hops" in body:  # first, because a background carries the members of any other
        return BackgroundBody.on(body, room_hops=member(body, "room_hops", int))
    if "accuracy" in body:
        return _read_stream(model, body)
    if body.get("strategy") == UNCENTRE:
        return UncentreBody(**model)
    if body.get("strategy") == SET:
        return SetBody(**model, **SetBody.stream_of(body))
    if body.get("strategy") == KEEP:
        return KeepBody(**model, **KeepBody.stream_of(body))
    verdict, forced, size = member(body, "verdict", dict), member(body, "forced", bool), member(body, "bytes", dict)
    if body.get("strategy") == RESIZE:
        return ResizeBody(**model, verdict=verdict, forced=forced, bytes=size, **ResizeBody.stream_of(body))
    if body.get("strategy") == MERGE:
        return MergeBody(**model, verdict=verdict, forced=forced, bytes=size)
    if body.get("strategy") == UPGRADE:
        return UpgradeBody(**model, verdict=verdict, forced=forced, bytes=size)
    if "centred_on" in body:
        centred_on = member(body, "centred_on", int)
        return CentreBody(**model, verdict=verdict, forced=forced, bytes=size, centred_on=centred_on)
    lesson, strategy = member(body, "lesson", dict), member(body, "strategy", str)
    clock = body.get("clock", "")
    return LessonBody(
        **model, lesson=lesson, strategy=strategy, verdict=verdict, forced=forced, bytes=size, clock=str(clock)
    )


def _read_stream(model: Mapping[str, Any], body: Mapping[str, Any]) -> StreamBody:
    return StreamBody(
        **model,
        lesson=member(body, "lesson", dict),
        accuracy=member(body, "accuracy", float),
        bytes=member(body, "bytes", dict),
        verdict=member(body, "verdict", dict) if "verdict" in body else None,
        drift=member(body, "drift", dict) if "drift" in body else None,
        concept=member(body, "concept", str) if "concept" in body else None,
        **StreamBody.stream_of(body),
    )


def _others(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that are not those of the model."""
    return {name: value for name, value in body.items() if name not in MODEL_MEMBERS}


def _forgets(members: Mapping[str, Any]) -> Forgets:
    return Forgets(member(members, "revisions", list), member(members, "first_line", int))
