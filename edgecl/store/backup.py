"""A store as one file: a tar archive of one allowed form, whose last member has the digest of all before it.

`backup.json` comes first and states format, store and revision; the store's own files follow, in
order of their names; `digest.json` is last. `tar xf` unpacks it, and edgecl reads nothing but what it would have
written: every header is compared with the one that belongs to its name and length.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edgecl.errors import EdgeclError, SettingError, StoreDamagedError
from edgecl.store.check import check
from edgecl.store.creation import require_other, require_vacant
from edgecl.store.files import (
    TEMPORARY,
    beside,
    explained,
    flush,
    locked,
    locked_store,
    remove_folder,
    require_replaceable,
)
from edgecl.store.folder import Folder, read_header
from edgecl.store.records import EXTRACTOR_BYTES, Header

FORMAT = 1
FIRST, LAST = "backup.json", "digest.json"
BLOCK = tarfile.BLOCKSIZE
COPIED_BYTES = 1 << 20
MOST_MEMBERS = 200_000
_NAME = re.compile(
    r"store\.json|current|journal\.jsonl|extractor\.(?:onnx|tflite)|revisions/\d{6,9}\.json|objects/[0-9a-f]{64}\.npz"
)
_NOT_TO_WRITE = (errno.EACCES, errno.EPERM, errno.EROFS)
Sign = Callable[[str], Mapping[str, str]]


@dataclass(frozen=True)
class Backup:
    """What a backup states of itself."""

    revision: int
    """The one that is live in it."""
    store: str
    """Name of the store, the same in all its copies."""
    digest: str
    """Sha256 of the whole, up to its last member."""
    signature: Mapping[str, str]
    """Empty where it is not signed."""
    bytes: int


@contextmanager
def held_still(store: Path, *, timeout_s: float = 10) -> Iterator[None]:
    """Keep writers out of a store that is read: by its lock, or by that on its folder where it may only be read.

    Raises as `locked_store` does.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locked_store(store, timeout_s=timeout_s))
        except EdgeclError as error:
            if not (isinstance(error.__cause__, OSError) and error.__cause__.errno in _NOT_TO_WRITE):
                raise
            stack.enter_context(locked(store, timeout_s=timeout_s))
        yield


def write_backup(folder: Folder, header: Header, file: Path, *, sign: Sign | None, overwrite: bool) -> Backup:
    """Write a store, which no other process may be changing, to one file with mode 0600.

    Raises
    ------
    SettingError
        When `file` is there and may not be replaced, or is in the store.
    StoreDamagedError
        When a byte of the store is damaged.
    EdgeclError
        When writing fails.
    """
    if file.exists() and not overwrite:
        raise SettingError(f"{file} is there already: name another file", parameter="overwrite")
    file = require_replaceable(file)
    if file.is_relative_to(os.path.realpath(folder.path)):
        raise SettingError(f"{file} is in the store that it would be a copy of: name a file elsewhere")
    damage = list[str]()
    found = check(folder, header, damage=damage) + damage
    if found:
        raise StoreDamagedError(f"{folder.path} is damaged: {found[0]}", remedy="repair")
    live = folder.follow(folder.pointer())
    names = _members(folder, header)
    facts = {"format": FORMAT, "store": header.name, "revision": live.number}
    with explained(f"writing {file}", outcome="no backup was made"):
        return _written(file, folder.path, names, facts, sign=sign)


def restore_backup(
    file: Path,
    path: Path,
    *,
    require: Callable[[str, Mapping[str, Any]], object],
    overwrite: bool,
    timeout_s: float = 10,
) -> Backup:
    """Make the store of a backup, whole or not at all.

    Parameters
    ----------
    require
        Is given the digest and the signature, empty where there is none, before anything is made of the content;
        raises ModelError to refuse it.
    overwrite
        Replace the store at `path`. A power cut may come while there is none under that name: it is then whole beside
        it, as `.NAME.before.tmp`.

    Raises
    ------
    SettingError
        When `path` is taken.
    StoreDamagedError
        When the file is no backup, is damaged, or is not of an intact store.
    EdgeclError
        When it cannot be read, or writing fails.
    """
    status = file.stat()
    if stat.S_ISDIR(status.st_mode):
        raise StoreDamagedError(f"{file} is a folder and no backup: the file of the backup goes first, then the store")
    if not stat.S_ISREG(status.st_mode) or not status.st_size:  # a file of /proc has no length, and may never end
        raise StoreDamagedError(f"{file} is not a regular file, or empty")
    path = Path(os.path.realpath(path))
    is_there = (path / "store.json").exists() and overwrite
    if not is_there:
        require_vacant(path, parameter="overwrite")
    require_other(path)
    with explained(f"restoring {path}", outcome="nothing was changed"), file.open("rb") as source:
        known = _verified(source, file, require)
        building = path.with_name(f".{path.name}{TEMPORARY}")
        with locked(path.parent, timeout_s=timeout_s):
            remove_folder(building)
            try:
                _unpacked(source, file, building, known)
                _require_sound(building, file, known)
                _place(building, path, is_there=is_there, timeout_s=timeout_s)
            except BaseException:
                with suppress(OSError):
                    remove_folder(building)
                raise
    return known


def _members(folder: Folder, header: Header) -> list[str]:
    """Return the names of a store's own files, without its inbox, its lock and what no revision uses."""
    used = {digest for number in folder.numbers() for digest in folder.load(number)[0].objects.values()}
    names = ["store.json", header.extractor_file, "current"]
    names += ["journal.jsonl"] if folder.journal.exists() else []
    names += [f"revisions/{folder.revision(number).name}" for number in folder.numbers()]
    return sorted([*names, *(f"objects/{digest}.npz" for digest in used)])


def _written(file: Path, root: Path, names: list[str], facts: Mapping[str, Any], *, sign: Sign | None) -> Backup:
    name = beside(file)
    name.unlink(missing_ok=True)
    try:
        with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:  # noqa: PTH123
            both = _Both(out, hashlib.sha256())
            first = json.dumps(facts, separators=(",", ":")).encode("ascii")
            _add(both, FIRST, io.BytesIO(first), len(first))
            for one in names:
                with (root / one).open("rb") as part:
                    _add(both, one, part, os.fstat(part.fileno()).st_size)
            digest = both.digest.hexdigest()
            signature = dict(sign(digest)) if sign else {}
            last = json.dumps({"sha256": digest, **signature}, separators=(",", ":")).encode("ascii")
            _add(both, LAST, io.BytesIO(last), len(last))
            out.write(bytes(2 * BLOCK))
            size = out.tell()
        flush(name)
        name.replace(file)
        flush(file.absolute().parent)
    except BaseException:
        name.unlink(missing_ok=True)
        raise
    return Backup(facts["revision"], facts["store"], digest, signature, size)


class _Both:
    """Writes to a file and to a digest."""

    def __init__(self, file: IO[bytes], digest: Any) -> None:
        self.file, self.digest = file, digest

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.digest.update(data)


def _header(name: str, size: int) -> bytes:
    """Return the one header that a member of that name and length has."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry.tobuf(tarfile.USTAR_FORMAT)


def _add(out: _Both, name: str, content: IO[bytes], size: int) -> None:
    out.write(_header(name, size))
    left = size
    while left:
        data = content.read(min(left, COPIED_BYTES))
        if not data:
            raise OSError(5, f"{name} was cut short while it was read")
        out.write(data)
        left -= len(data)
    out.write(bytes(-size % BLOCK))


def _verified(source: IO[bytes], file: Path, require: Callable[[str, Mapping[str, Any]], object]) -> Backup:
    """Read a backup to its end, and return what it states; nothing is made of it yet."""
    size = os.fstat(source.fileno()).st_size
    digest, ends = hashlib.sha256(), dict[str, bytes]()
    for name, content in _parts(source, file, size):
        if name in (FIRST, LAST):
            ends[name] = b"".join(content)
            digest.update(ends[name] if name == FIRST else b"")
        for data in content:
            digest.update(data)
    stated, members = digest.hexdigest(), _json(ends[LAST][BLOCK:], file)
    if members.pop("sha256", None) != stated:
        raise StoreDamagedError(f"{file} does not match its digest: it is damaged, or no whole backup")
    require(stated, members)
    about = _json(ends[FIRST][BLOCK:], file)
    if about.get("format") != FORMAT:
        raise StoreDamagedError(f"{file} is of format {about.get('format')!r}: this edgecl restores {FORMAT}")
    revision, store = about.get("revision"), about.get("store")
    if not isinstance(revision, int) or isinstance(revision, bool) or not isinstance(store, str):
        raise StoreDamagedError(f"{file} does not state what it is of")
    return Backup(revision, store, stated, members, size)


def _unpacked(source: IO[bytes], file: Path, building: Path, known: Backup) -> None:
    """Write the files of a backup, and raise StoreDamagedError where they are no longer those that were verified."""
    for one in (building, building / "objects", building / "revisions"):
        one.mkdir()
    source.seek(0)
    digest = hashlib.sha256()
    for name, content in _parts(source, file, known.bytes):
        head, left = next(content), 0
        if name != LAST:
            digest.update(head)
            left = _read_header(head, file)[1]
        with (building / name).open("xb") as out:
            for data in content:
                digest.update(data if name != LAST else b"")
                out.write(data[:left])
                left -= min(left, len(data))
    if digest.hexdigest() != known.digest:
        raise StoreDamagedError(f"{file} was changed while it was read")
    for name in (FIRST, LAST):
        (building / name).unlink()
    for one in (*building.rglob("*"), building):
        flush(one)


def _parts(source: IO[bytes], file: Path, size: int) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield name and content of each member: its header, then pieces with what fills the last block."""
    before = ""
    for count in range(MOST_MEMBERS):
        head = source.read(BLOCK)
        if len(head) < BLOCK and (count or head.startswith(FIRST.encode())):
            raise _cut_short(file)
        name, length = _read_header(head, file, is_first=not count)
        is_in_order = name == FIRST if count == 0 else name == LAST or (_NAME.fullmatch(name) and name > before)
        if not is_in_order or length > _longest(name):
            raise StoreDamagedError(f"{file} is no backup: {name[:80]!r} does not belong there")
        if length > size - source.tell():
            raise _cut_short(file)
        yield name, _content(source, head, length, file)
        before = "" if count == 0 else name
        if name == LAST:
            end = source.read(2 * BLOCK + 1)
            if len(end) < 2 * BLOCK:
                raise _cut_short(file)
            if end != bytes(2 * BLOCK):
                raise StoreDamagedError(f"{file} goes on after its end")
            return
    raise StoreDamagedError(f"{file} has more than {MOST_MEMBERS:,} members")


def _longest(name: str) -> int:
    return BLOCK * 4 if name in (FIRST, LAST) else EXTRACTOR_BYTES


def _cut_short(file: Path) -> StoreDamagedError:
    return StoreDamagedError(f"{file} is cut short, as by a copy that was broken off: copy it again")


def _read_header(head: bytes, file: Path, *, is_first: bool = False) -> tuple[str, int]:
    """Return name and length of a member; raises StoreDamagedError unless the header is what edgecl writes."""
    try:
        name, length = head[:100].rstrip(b"\0").decode("ascii"), int(head[124:135], 8)
        if length >= 0 and head == _header(name, length):
            return name, length
    except (ValueError, tarfile.TarError):
        pass
    if is_first and (head.startswith((b"\x1f\x8b", b"PK")) or head[257:262] == b"ustar"):
        raise StoreDamagedError(
            f"{file} is an archive that is no backup of edgecl, or damaged: where it is of a store, unpack it with the "
            "program that packed it, and the folder is the store"
        )
    raise StoreDamagedError(f"{file} is no backup of edgecl, or damaged")


def _content(source: IO[bytes], head: bytes, length: int, file: Path) -> Iterator[bytes]:
    yield head
    left = length + -length % BLOCK
    while left:
        data = source.read(min(left, COPIED_BYTES))
        if not data:
            raise _cut_short(file)
        left -= len(data)
        yield data


def _json(data: bytes, file: Path) -> dict[str, Any]:
    try:
        members = json.loads(data.rstrip(b"\0"))
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise StoreDamagedError(f"{file} is no whole backup of edgecl")
    return members


def _require_sound(building: Path, file: Path, known: Backup) -> None:
    header, digest = read_header(building)
    damage = list[str]()
    folder = Folder(building, digest, header.format)
    found = check(folder, header, damage=damage) + damage
    if found:
        raise StoreDamagedError(f"{file} is not of an intact store: {found[0]}")
    if (known.store, known.revision) != (header.name, folder.follow(folder.pointer()).number):
        raise StoreDamagedError(f"{file} states another store or revision than it contains")


def _place(building: Path, path: Path, *, is_there: bool, timeout_s: float) -> None:
    if not is_there:
        building.replace(path)
    else:
        before = path.with_name(f".{path.name}.before{TEMPORARY}")
        shutil.rmtree(before, ignore_errors=True)
        with locked_store(path, timeout_s=timeout_s):
            path.replace(before)
            try:
                building.replace(path)
            except OSError:
                before.replace(path)
                raise
        shutil.rmtree(before, ignore_errors=True)
    flush(path.parent)
