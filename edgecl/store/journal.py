"""The journal: one sealed JSON line per decision, and a last line that states which lines there should be.

    {"line":12,"kind":"lesson",...,"revision":7,"sha256":"9f86d0...","crc":"1c291ca3"}
    {"end":true,"first":1,"last":12,"crc":"8f2b0c11"}

A CRC is seeded with the name of its store, so a line of another store is detected. An append writes the new
line and a new end over the old end in one go; what a cut leaves of it is dropped when the next writer opens
the journal. A line about a revision can be made again from that revision: commits come first, lines after.
"""

from __future__ import annotations

import itertools
import re
import time
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgecl.errors import StoreDamagedError
from edgecl.store.files import extend, flush, has_other_names, read_file, replace_file
from edgecl.store.records import Seal
from edgecl.values import dataclass

MAX_BYTES = 1 << 26  # edgecl writes no journal that is longer
RESERVED = frozenset({"line", "end", "crc"})

_LINE = re.compile(rb'\{"line":([1-9]\d{0,11}),')
_END = b'{"end":true,'
_END_ROOM = 96  # bytes, more than any end line has
_RETRIES_S = (0.01, 0.05)  # a line may be added while the journal is read


@dataclass(frozen=True)
class _Scan:
    """The lines of a journal, judged by their CRCs alone."""

    intact: list[bytes]
    damage: list[str]
    first: int
    """Number of the first line that should be there."""
    last: int
    """Number of the last line that should be there."""
    end: int
    """Offset of the end line, or where it should be, in bytes."""
    has_end: bool


def has_line_about(path: Path, number: int) -> bool:
    """Test whether a line is about a revision, without its CRC."""
    with suppress(StoreDamagedError):
        return f'"revision":{number},"sha256":"'.encode() in read_file(path, limit=MAX_BYTES)
    return False


def read_journal(path: Path, *, name: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the intact entries, oldest first, and what was found damaged."""
    seal = _seal(name)
    scan = _scan(path, seal)
    for pause_s in _RETRIES_S:
        if not scan.damage:
            break
        time.sleep(pause_s)
        scan = _scan(path, seal)
    return [seal.open(line) for line in scan.intact], scan.damage


class Journal:
    """The journal as its one writer changes it.

    Parameters
    ----------
    name
        Name of the store, the seed of the CRCs.
    longest
        Length in bytes above which the older half is dropped.
    """

    def __init__(self, path: Path, *, name: str, longest: int) -> None:
        self._path = path
        self._seal = _seal(name)
        self._longest = longest
        self._first, self._last, self._end = 1, 0, 0

    def recover(self, committed: Sequence[Mapping[str, Any]]) -> list[str]:
        """Drop a torn end, add the missing lines of `committed`, and return what was damaged."""
        scan = _scan(self._path, self._seal)
        self._first, self._last, self._end = scan.first, scan.last, scan.end
        missing = _missing(scan, committed)
        if missing:
            flush(self._path.parent)  # a killed writer may have left `current` unflushed: that comes first
        if missing or not scan.has_end:
            self.append(*missing)
        return scan.damage

    def cost(self, entry: Mapping[str, Any]) -> int:
        """Return how many bytes appending `entry` needs, at least for a moment."""
        length = len(self._line(entry, self._last + 1)) + _END_ROOM
        return length + (self._longest // 2 if self._end + length > self._longest else 0)

    def append(self, *entries: Mapping[str, Any]) -> None:
        """Add a flushed line for each entry; after an OSError the journal ends as before."""
        lines = [self._line(entry, number) for number, entry in enumerate(entries, start=self._last + 1)]
        added = b"".join(lines)
        if self._end + len(added) > self._longest:
            self._shorten()
        last = self._last + len(lines)
        self._write(added + self._end_line(last))
        self._last, self._end = last, self._end + len(added)

    def entries(self) -> list[dict[str, Any]]:
        """Return the intact entries, oldest first, each with its "line"."""
        return [self._seal.open(line) for line in _scan(self._path, self._seal).intact]

    def remove_details(self, entry: Mapping[str, Any], *, first: int, kept: Collection[int]) -> int:
        """Remove the details of the lines from number `first` on, and add a line for `entry`, in one write.

        Lines about `kept` revisions stay as they are, damaged ones are dropped. Returns how many lines lost details.
        """
        old = self.entries()
        new = [one if one["line"] < first or one.get("revision") in kept else _reduced(one) for one in old]
        self._rewrite([*new, entry])
        return sum(before != after for before, after in zip(old, new, strict=True))

    def drop_damaged(self) -> list[str]:
        """Rewrite the journal without its damaged lines, and return what was damaged."""
        damage = _scan(self._path, self._seal).damage
        if damage:
            self._rewrite(self.entries())
        return damage

    def _rewrite(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Replace all lines by these entries, numbered again."""
        numbered = enumerate(entries, start=self._first)
        lines = [self._line({**one, "line": number}, number) for number, one in numbered]
        last = self._first + len(lines) - 1
        replace_file(self._path, b"".join(lines) + self._end_line(last))
        self._last, self._end = last, sum(map(len, lines))

    def _write(self, data: bytes) -> None:
        if self._end == 0:  # new, unreadable, or a link
            replace_file(self._path, data)
            return
        if has_other_names(self._path):  # a snapshot of hard links stays what it was
            replace_file(self._path, bytes(read_file(self._path, limit=MAX_BYTES))[: self._end] + data)
            return
        try:
            extend(self._path, data, offset=self._end)
        except OSError:
            with suppress(OSError):
                extend(self._path, self._end_line(self._last), offset=self._end)
            raise

    def _shorten(self) -> None:
        """Keep the newest lines, half of what is allowed."""
        lines = _scan(self._path, self._seal).intact
        size = sum(len(line) for line in lines)
        while lines and size > self._longest // 2:
            size -= len(lines.pop(0))
        self._first = _number(lines[0]) if lines else self._last + 1
        replace_file(self._path, b"".join(lines) + self._end_line(self._last))
        self._end = size

    def _line(self, entry: Mapping[str, Any], number: int) -> bytes:
        return self._seal.close({"line": number, **entry})

    def _end_line(self, last: int) -> bytes:
        return self._seal.close({"end": True, "first": self._first, "last": last})


def _reduced(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what remains of an entry: its kind, its time and the revision."""
    return {**{name: entry[name] for name in ("line", "kind", "time", "revision") if name in entry}, "forgotten": True}


def _seal(name: str) -> Seal:
    seed = zlib.crc32(name.encode())
    return Seal("crc", lambda text: f"{zlib.crc32(text, seed):08x}")


def _number(line: bytes) -> int:
    match = _LINE.match(line)
    return int(match[1]) if match else 0


def _scan(path: Path, seal: Seal) -> _Scan:
    try:
        lines = bytes(read_file(path, limit=MAX_BYTES)).splitlines(keepends=True)
    except StoreDamagedError as error:
        return _Scan([], [str(error)], first=1, last=0, end=0, has_end=False)
    is_longer = _cut_after_end(lines, seal)
    bounds = _bounds(lines, seal)
    if bounds:
        lines.pop()
    is_intact = [_number(line) > 0 and _is_entry(line, seal) for line in lines]
    intact = [line for line, kept in zip(lines, is_intact, strict=True) if kept]
    damage = [f"{path} line {at} is damaged" for at, kept in enumerate(is_intact, start=1) if not kept]
    if bounds is None:
        damage.append(f"{path} has lost its end: lines may be missing")
        while lines and not is_intact[len(lines) - 1]:
            lines.pop()
    if is_longer:
        damage.append(f"{path} goes on after its end: the next writer removes that")
    first, last = bounds or ((_number(intact[0]), _number(intact[-1])) if intact else (1, 0))
    numbers = [_number(line) for line in intact]
    if last - first + 1 != len(lines) or any(a >= b for a, b in itertools.pairwise(numbers)):
        damage.append(f"{path} should contain the lines {first} to {last}, in order, and does not")
    return _Scan(intact, damage, first, last, end=sum(map(len, lines)), has_end=bounds is not None and not is_longer)


def _cut_after_end(lines: list[bytes], seal: Seal) -> bool:
    """Drop what follows an end line, and return whether there was something: a disk that would not cut the file."""
    for at, line in enumerate(lines[:-1]):
        if line.startswith(_END) and _bounds(lines[: at + 1], seal):
            del lines[at + 1 :]
            return True
    return False


def _is_entry(line: bytes, seal: Seal) -> bool:
    """Test whether the CRC matches and the text is an entry: other software may have written both."""
    try:
        return isinstance(seal.open(line)["line"], int)
    except (ValueError, KeyError):
        return False


def _bounds(lines: Sequence[bytes], seal: Seal) -> tuple[int, int] | None:
    """Return the numbers of the first and the last line, as the end line states them."""
    if not lines or not lines[-1].startswith(_END) or not seal.fits(lines[-1]):
        return None
    try:
        fields = seal.open(lines[-1])
    except ValueError:
        return None
    first, last = fields.get("first"), fields.get("last")
    return (first, last) if isinstance(first, int) and isinstance(last, int) else None


def _missing(scan: _Scan, committed: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the entries about revisions without an intact line; dropped by shortening does not count."""
    text = b"".join(scan.intact)
    listed = [int(number) for number in re.findall(rb'"revision":(\d+),"sha256":"', text)]
    oldest = min(listed, default=0) if scan.first > 1 else 0
    return [
        entry
        for entry in committed
        if entry["revision"] >= oldest
        and f'"revision":{entry["revision"]},"sha256":"{entry["sha256"]}"'.encode() not in text
    ]
