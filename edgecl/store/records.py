"""The JSON of a store: store.json, revisions and their bodies, the line in `current`, a journal entry about a revision.

A `Seal` ends a text in its own digest::

    {"number":7,"kind":"lesson",...,"sha256":"9f86d0..."}

The digest covers every byte before its comma, and the rest has only one form, so no byte is left uncovered.

The body of a revision has a class for each kind. Those that a lesson needs are here, the others in `body_kinds`: a
dataclass costs half a millisecond when it is defined.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar

from edgecl import hashes
from edgecl.errors import ModelError, SettingError, StoreDamagedError
from edgecl.store.files import Bytes
from edgecl.values import dataclass, replace


@dataclass(frozen=True)
class Seal:
    """A way to seal a text: the name of the last member, and the function that computes it."""

    name: str
    digest: Callable[[bytes | bytearray], str]
    """Returns the digest of a text in hex."""

    def close(self, fields: Mapping[str, Any]) -> bytes:
        """Return the members as one sealed line of ASCII; raises ValueError for NaN and infinity."""
        text = json.dumps(fields, allow_nan=False, separators=(",", ":"))[:-1].encode("ascii")
        return text + self._ending(text)

    def fits(self, line: bytes | bytearray) -> bool:
        """Test whether the line is as `close` wrote it."""
        length = len(self._ending(b""))
        return line[-length:] == self._ending(line[:-length])

    def open(self, line: bytes | bytearray) -> dict[str, Any]:
        """Return the members without the digest; raises ValueError where the line was changed."""
        if not self.fits(line):
            raise ValueError(f"its {self.name} does not fit its text")
        try:
            fields = json.loads(line.decode("ascii"))
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        if not isinstance(fields, dict):
            raise ValueError("it is not a JSON object")
        fields.pop(self.name, None)  # a hostile text may name it twice, or parse differently from how it ends
        return fields

    def _ending(self, text: bytes | bytearray) -> bytes:
        return f',"{self.name}":"{self.digest(text)}"}}\n'.encode("ascii")


def sha256(data: Bytes) -> str:
    """Return the sha256 of `data` in hex."""
    return hashes.sha256(data).hexdigest()


DIGEST = Seal("sha256", sha256)
FORMAT = 3
"""Of a store that this edgecl writes to; an earlier one is read as it is, and upgraded by its first commit."""
PAGED_FORMAT = 4  # of a store with settings that software of FORMAT would misread; its files have the same form
STREAM_FORMAT = 5  # of a store with experts of a stream whose scale software of PAGED_FORMAT would misread
CELLS_FORMAT = 6  # of a store with experts of a stream whose cells software of STREAM_FORMAT would misread
KINDS = ("init", "lesson", "rollback", "forget", "repair")
MAX_BYTES = 1 << 23  # of one JSON file
EXTRACTOR_BYTES = 1 << 30
UPGRADE_BYTES = 80  # that an upgrade of store.json adds, or fewer
POINTER_BYTES = 80  # nine digits, a blank, a digest and a newline, or less

_POINTER = re.compile(rb"([1-9]\d{0,8}) ([0-9a-f]{64})\n")


@dataclass(frozen=True)
class Header:
    """The content of store.json, which only an upgrade of the format replaces."""

    name: str
    """Random, so that a file of another store is detected."""
    extractor_file: str
    extractor_digest: str
    """Sha256."""
    extractor_bytes: int
    settings: Mapping[str, Any]
    format: int = FORMAT
    first: str | None = None
    """Sha256 of the text before the upgrade, which all revisions state; None in a store made with its format."""


@dataclass(frozen=True)
class Revision:
    """One committed model."""

    number: int
    """From 1, the empty model of `Store.create`."""
    parent: int | None
    """Number of the revision that it was learnt from."""
    kind: str
    """One of KINDS."""
    time: str
    """UTC, ISO 8601."""
    objects: Mapping[str, str]
    """Role to sha256; roles are such as "head" or "statistics/yes", where the label is any text."""
    body: Mapping[str, Any]
    """Plain JSON, of one of the classes of `body_kinds`."""


def encode_header(header: Header) -> bytes:
    """Return the text of store.json."""
    extractor = {
        "file": header.extractor_file,
        "sha256": header.extractor_digest,
        "bytes": header.extractor_bytes,
    }
    fields = {"format": header.format, "name": header.name, "extractor": extractor, "settings": dict(header.settings)}
    return DIGEST.close(fields if header.first is None else {**fields, "first": header.first})


def upgraded(header: Header, version: int = FORMAT) -> Header:
    """Return the header, of an earlier format, in a later one; by default that of this edgecl."""
    return replace(header, format=version, first=header.first or sha256(encode_header(header)))


def identity(header: Header, data: bytes | bytearray) -> str:
    """Return the digest by which revisions name their store: it stays the same when the format is upgraded."""
    return header.first or sha256(data)


def decode_header(data: bytearray) -> Header:
    """Decode the text of store.json.

    Raises
    ------
    ModelError
        When it states a format that this edgecl does not read.
    ValueError
        When it was changed, or its members are not those of a store.
    """
    stated = _stated_format(data)
    if isinstance(stated, int) and not 1 <= stated <= CELLS_FORMAT:
        raise ModelError(f"the store has format {stated}, this edgecl reads format {CELLS_FORMAT}: update edgecl")
    match DIGEST.open(data):
        case {
            "format": 1 | 2 | 3 | 4 | 5 | 6 as version,
            "name": str(name),
            "extractor": {
                "file": "extractor.onnx" | "extractor.tflite" as file,
                "sha256": str(digest),
                "bytes": int(length),
            },
            "settings": dict(settings),
            **rest,
        } if length <= EXTRACTOR_BYTES:
            header = Header(name, file, digest, length, settings, version)
            return _with_first(header, rest.get("first"))
    raise ValueError("its members are not those of a store")


def _with_first(header: Header, first: object) -> Header:
    """Return the header with the digest of its first text; ValueError unless it is that of an earlier format's."""
    if first is None:
        return header
    earlier = {sha256(encode_header(replace(header, format=version))) for version in range(1, header.format)}
    if first not in earlier:
        raise ValueError("it does not fit the text that it was upgraded from")
    return replace(header, first=str(first))


def _stated_format(data: bytearray) -> object:
    """Return the stated format, before the digest is checked: a newer format may have another seal."""
    with suppress(ValueError, RecursionError):
        fields = json.loads(data)
        return fields.get("format") if isinstance(fields, dict) else None
    return None


def encode_revision(revision: Revision, *, store_digest: str) -> bytes:
    """Return the text of a revision file.

    Raises
    ------
    ValueError, TypeError
        When the body is not plain JSON, or the kind is unknown.
    SettingError
        When the text is too long to be read again.
    """
    if revision.kind not in KINDS:
        raise ValueError(f"kind {revision.kind!r} is none of {', '.join(KINDS)}")
    data = DIGEST.close({"store": store_digest, **vars(revision)})
    if len(data) > MAX_BYTES:
        raise SettingError(f"a revision of {len(data):,} bytes: at most {MAX_BYTES:,} can be kept")
    return data


def decode_revision(data: bytes | bytearray, *, number: int, store_digest: str) -> Revision:
    """Decode the text of a revision file; raises ValueError where it was changed, or is another one's or none's."""
    return _decoded(bytes(data), number, store_digest)


@lru_cache(maxsize=2)  # a lesson reads the live revision 20 times, and the text is the same
def _decoded(data: bytes, number: int, store_digest: str) -> Revision:
    fields = DIGEST.open(data)
    if fields.pop("store", None) != store_digest:
        raise ValueError("it belongs to another store")
    match fields:
        case {
            "number": int(stated),
            "parent": int() | None,
            "kind": str(kind),
            "time": str(),
            "objects": dict(objects),
            "body": dict(),
        } if stated == number and kind in KINDS and len(fields) == 6:
            if all(isinstance(digest, str) for digest in objects.values()):
                return Revision(**fields)
    raise ValueError("its members are not those of this revision")


def encode_pointer(number: int, digest: str) -> bytes:
    """Return the line in `current`."""
    return f"{number} {digest}\n".encode("ascii")


def decode_pointer(data: bytes) -> tuple[int, str] | None:
    """Return the number and the digest of a revision file; None for a line of any other form."""
    match = _POINTER.fullmatch(data)
    return (int(match[1]), match[2].decode("ascii")) if match else None


def journal_entry(revision: Revision, text: bytes | bytearray) -> dict[str, Any]:
    """Return the journal's entry about a revision with that text; `journal` relies on the order of the members."""
    return {
        "kind": revision.kind,
        "time": revision.time,
        "revision": revision.number,
        "sha256": sha256(text),
        "parent": revision.parent,
        "body": revision.body,
    }


Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class ModelBody:
    """What every body states about its model, next to the objects."""

    classes: Mapping[str, int]
    """Label to number of samples."""
    exemplars: Mapping[str, int]
    """Label to number of exemplars."""
    taught: Mapping[str, str] | None = None
    """Label to the time of its last lesson (UTC, ISO 8601; empty: unknown); None in stores of early versions."""
    settings: Mapping[str, Any] | None = None
    """Settings that differ from those of store.json since a resize; None where none do."""
    timed: Sequence[str] | None = None
    """Labels whose time in `taught` was read from a clock that could be trusted; None where there is none."""
    head: str | None
    """Kind of the head; None before the first lesson."""
    ewc_classes: Sequence[str]
    """Labels of the EWC state; empty without one."""
    alike: Mapping[str, Any] | None = None
    """Label to the class that it resembles, and the odds that the two are one; None where there is none."""
    distinct: Sequence[Sequence[str]] | None = None
    """Pairs of labels that their user has said are not the same; None where there is none."""
    priorities: Mapping[str, str] | None = None
    """Label to how long its user wants it kept: "always", "while-used" or a day; None where nothing is said."""
    use: Mapping[str, float] | None = None
    """Label to the events of it that are remembered; None where there are none."""
    unknown_above: float | None = None
    """Novelty above which an answer is "unknown"; None where the store sets it by itself."""
    mine: Sequence[str] | None = None
    """Labels that a stream detects of the people who taught them alone; None where there is none."""
    others: Mapping[str, Any] | None = None
    """What other devices have shared, and what of it is one's own; None where nothing was merged."""
    extractor: Mapping[str, Any] | None = None
    """Of a model whose extractor, an object, is not the file that the store was made with: sha256, bytes, contract."""
    gravity: bool | None = None
    """Whether the acceleration that was taught has gravity in it; None where that is not known."""

    @staticmethod
    def members_of(body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the members of a model from any body.

        Raises
        ------
        StoreDamagedError
            When they are not those of a model: an intact text may come from other software.
        """
        match body:
            case {"classes": dict(), "exemplars": dict(), "head": str() | None, "ewc_classes": list()}:
                if _is_consistent(body):
                    return {name: body[name] for name in MODEL_MEMBERS if name in body}
        raise StoreDamagedError("the body of the revision is not that of a model")

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written; those that are not known are left out."""
        members = {name: getattr(self, name) for name in MODEL_MEMBERS}
        return {name: value for name, value in members.items() if name == "head" or value is not None}


MODEL_MEMBERS = (
    "classes", "exemplars", "taught", "head", "ewc_classes", "alike", "distinct", "unknown_above", "settings", "timed",
    "others", "priorities", "use", "mine", "extractor",
    "gravity",
)  # fmt: skip
_MAPPINGS = ("alike", "settings", "others", "priorities", "use", "extractor")


def _is_consistent(body: Mapping[str, Any]) -> bool:
    """Test whether the members of a model have the right types and fit each other."""
    taught = body.get("taught", {})
    return (
        all(isinstance(one, int) and one >= 0 for one in (*body["classes"].values(), *body["exemplars"].values()))
        and set(body["exemplars"]) <= set(body["classes"])
        and all(isinstance(one, str) for one in body["ewc_classes"])
        and isinstance(taught, dict)
        and all(isinstance(one, str) for one in taught.values())
        and isinstance(body.get("distinct", []), list)
        and isinstance(body.get("unknown_above", 1.0), int | float)
        and isinstance(body.get("gravity", True), bool)
        and all(isinstance(body.get(name, {}), dict) for name in _MAPPINGS)
        and all(isinstance(body.get(name, []), list) for name in ("timed", "mine"))
        and all(isinstance(one, str) for name in ("timed", "mine") for one in body.get(name, []))
    )


@dataclass(frozen=True, kw_only=True)
class LessonBody(ModelBody):
    """The body of a lesson that was accepted, or forced."""

    lesson: Mapping[str, int]
    """Label to number of samples in the lesson."""
    strategy: str
    """Name of the strategy that made the head."""
    verdict: Mapping[str, Any]
    """As `Verdict.as_dict` returned it."""
    forced: bool
    """Whether it was committed in spite of its verdict."""
    bytes: Mapping[str, int]
    """Resident learner state by part."""
    clock: str = ""
    """Why the clock could not be trusted; empty where it could, or an earlier version did not look."""

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        return {
            **super().as_dict(),
            **({"clock": self.clock} if self.clock else {}),
            "lesson": self.lesson,
            "strategy": self.strategy,
            "verdict": self.verdict,
            "forced": self.forced,
            "bytes": self.bytes,
        }


@dataclass(frozen=True, kw_only=True)
class LessonNote:
    """The journal's note of a lesson that was rejected, or had nothing new."""

    kind: str
    """"rejected" or "unchanged"."""
    time: str
    """UTC, ISO 8601."""
    lesson: Mapping[str, int]
    """Label to number of samples in the lesson."""
    strategy: str
    """Name of the strategy that was tried last, or "unchanged"."""
    verdict: Mapping[str, Any]
    """As `Verdict.as_dict` returned it."""
    forced: bool
    """Whether it was to be committed in spite of its verdict."""
    timed: bool | None = None
    """Whether the clock could be trusted; None of notes of earlier versions."""

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        return {name: value for name, value in vars(self).items() if value is not None}


def member(members: Mapping[str, Any], name: str, kind: type[Value]) -> Value:
    """Return one member of a body; StoreDamagedError where it is missing or of another type."""
    value = members.get(name)
    if not isinstance(value, kind):
        raise StoreDamagedError(f"the body of the revision has no {name!r} of type {kind.__name__}")
    return value
