"""The JSON of a store: store.json, revisions, the line in `current`, the journal's entry about a revision.

The bodies of revisions are in `bodies` and `body_kinds`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edgecl.errors import ModelError, SettingError
from edgecl.store.checksums import DIGEST, sha256

FORMAT = 1
KINDS = ("init", "lesson", "rollback", "forget", "repair")
MAX_BYTES = 1 << 23  # of one JSON file
EXTRACTOR_BYTES = 1 << 30
POINTER_BYTES = 80  # nine digits, a blank, a digest and a newline, or less

_POINTER = re.compile(rb"([1-9]\d{0,8}) ([0-9a-f]{64})\n")


@dataclass(frozen=True)
class Header:
    """The content of store.json, which never changes."""

    name: str
    """Random, so that a file of another store is detected."""
    extractor_file: str
    extractor_digest: str
    """Sha256."""
    extractor_bytes: int
    settings: Mapping[str, Any]


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
    fields = {"format": FORMAT, "name": header.name, "extractor": extractor}
    return DIGEST.close({**fields, "settings": dict(header.settings)})


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
    if isinstance(stated, int) and stated != FORMAT:
        raise ModelError(f"the store has format {stated}, this edgecl reads format {FORMAT}: update edgecl")
    match DIGEST.open(data):
        case {
            "format": 1,
            "name": str(name),
            "extractor": {
                "file": "extractor.onnx" | "extractor.tflite" as file,
                "sha256": str(digest),
                "bytes": int(length),
            },
            "settings": dict(settings),
        } if length <= EXTRACTOR_BYTES:
            return Header(name, file, digest, length, settings)
    raise ValueError("its members are not those of a store")


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
    """Decode the text of a revision file.

    Raises
    ------
    ValueError
        When it was changed, has another number or store, or its members are not those of a revision.
    """
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
