"""Make a store, written next to its place and renamed into it: a cut leaves no half store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgecl.errors import SettingError
from edgecl.store import reserve
from edgecl.store.files import (
    TEMPORARY,
    digest_file,
    explained,
    flush,
    locked,
    remove_folder,
    replace_file,
    temporary,
    write_temporary,
)
from edgecl.store.folder import Folder, entries, tree_bytes
from edgecl.store.journal import Journal
from edgecl.store.publishing import require_within
from edgecl.store.records import (
    EXTRACTOR_BYTES,
    FORMAT,
    Header,
    Revision,
    encode_header,
    encode_pointer,
    encode_revision,
    journal_entry,
    sha256,
)

_BLOCK_BYTES = 1 << 20
_JOURNAL_BYTES = 1 << 20


def create_folder(
    path: Path,
    *,
    extractor: Path,
    settings: Mapping[str, Any],
    body: Mapping[str, Any],
    time: str | None = None,
    timeout_s: float = 10,
    version: int = FORMAT,
) -> None:
    """Make a store whose only revision is an empty one with that body; see `Store.create`."""
    require_vacant(path)
    if not extractor.is_file():
        raise SettingError(f"{extractor} is not a file: an extractor is an .onnx or .tflite file")
    if extractor.stat().st_size > EXTRACTOR_BYTES:
        raise SettingError(f"{extractor} is larger than {EXTRACTOR_BYTES:,} bytes, the most that a store accepts")
    now = time or datetime.now(UTC).isoformat(timespec="seconds")
    revision = Revision(1, None, "init", now, {}, dict(body))
    building = path.with_name(f".{path.name}{TEMPORARY}")
    with locked(path.parent, timeout_s=timeout_s), explained(f"making {path}", outcome="no store was made"):
        remove_folder(building)  # left by a process that was killed: the lock excludes a running one
        try:
            _build(building, extractor, settings, revision, version)
            require_within(settings, tree_bytes(building), path)
            _move(building, path)
        except BaseException:
            with suppress(OSError):
                remove_folder(building)
            raise


def require_vacant(path: Path, *, parameter: str = "") -> None:
    """Raise SettingError unless a store can be made at `path`; `parameter` is what replaces one that is there."""
    if path.exists() and not path.is_dir():
        raise SettingError(f"{path} is a file: name a folder that does not exist yet")
    if entries(path):
        is_one = (path / "store.json").exists()
        what = "is a store already" if is_one else "is not empty"
        raise SettingError(
            f"{path} {what}: name a folder that does not exist yet", parameter=parameter if is_one else ""
        )
    require_other(path)
    if not path.parent.is_dir():
        raise SettingError(f"{path.parent} is not a folder: make it first, the store becomes a folder in it")


def require_other(path: Path) -> None:
    """Raise SettingError for the working folder and those that it is in: they cannot be replaced."""
    if Path.cwd().is_relative_to(path):
        raise SettingError(f"{path} is the working folder, which cannot be replaced: name a folder in it")


def _move(building: Path, path: Path) -> None:
    building.replace(path)
    try:
        flush(path.parent)
    except OSError:
        path.replace(building)
        raise


def _build(folder: Path, extractor: Path, settings: Mapping[str, Any], revision: Revision, version: int) -> None:
    for one in (folder, folder / "objects", folder / "revisions"):
        one.mkdir()
    copy = folder / f"extractor{'.tflite' if extractor.suffix == '.tflite' else '.onnx'}"
    _copy(extractor, copy)
    digest = digest_file(copy, limit=EXTRACTOR_BYTES)
    header = Header(os.urandom(8).hex(), copy.name, digest, copy.stat().st_size, settings, version)
    data = encode_header(header)
    store = Folder(folder, sha256(data))
    text = encode_revision(revision, store_digest=store.store_digest)
    replace_file(folder / "store.json", data)
    replace_file(store.revision(revision.number), text)
    replace_file(store.current, encode_pointer(revision.number, sha256(text)))
    Journal(store.journal, name=header.name, longest=_JOURNAL_BYTES).append(journal_entry(revision, text))
    wanted = reserve.wanted_bytes(store, revision)
    if wanted <= (settings.get("disk_bytes") or wanted * reserve.SHARE) // reserve.SHARE:
        reserve.take(store, wanted)
    for one in (store.objects, folder):
        flush(one)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as file:
        write_temporary(target, iter(lambda: file.read(_BLOCK_BYTES), b""))
    flush(temporary(target))
    temporary(target).replace(target)
