"""The journal: one sealed JSON line per decision, and a last line that says which lines there should be.

    {"line":12,"kind":"lesson",...,"revision":7,"sha256":"9f86d0...","crc":"1c291ca3"}
    {"end":true,"first":1,"last":12,"crc":"8f2b0c11"}

A CRC is seeded with the name of its store, so the line of another store is noticed. An append writes the new
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecl.errors import StoreDamagedError
from edgecl.store.checksums import Seal
from edgecl.store.files import extend, flush, read_file, replace_file

MAX_BYTES = 1 << 26  # a journal that is longer is not ours
RESERVED = frozenset({"line", "end", "crc"})

_LINE = re.compile(rb'\{"line":([1-9]\d{0,11}),')
_END = b'{"end":true,'
_END_ROOM = 96  # bytes, more than any end line has
_RETRIES_S = (0.01, 0.05)  # a reader may look just while a line is being added


@dataclass(frozen=True)
class _Scan:
    """What a journal holds, judged by the CRCs alone."""

    sound: list[bytes]
    damage: list[str]
    first: int  # number of the first line there should be
    last: int  # number of the last
    end: int  # where the end line stands or should stand, bytes from the start
    has_end: bool


def tells(path: Path, number: int) -> bool:
    """Whether a line tells of a revision; its CRC is not looked at."""
    with suppress(StoreDamagedError):
        return f'"revision":{number},"sha256":"'.encode() in read_file(path, limit=MAX_BYTES)
    return False


def read_journal(path: Path, *, name: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the sound entries, oldest first, and what was found damaged."""
    seal = _seal(name)
    scan = _scan(path, seal)
    for pause_s in _RETRIES_S:
        if not scan.damage:
            break
        time.sleep(pause_s)
        scan = _scan(path, seal)
    return [seal.open(line) for line in scan.sound], scan.damage


class Journal:
    """The journal in the hands of the one writer.

    Parameters
    ----------
    name
        Of the store: the seed of the CRCs.
    longest
        Bytes from which on the older half is dropped.
    """

    def __init__(self, path: Path, *, name: str, longest: int) -> None:
        self._path = path
        self._seal = _seal(name)
        self._longest = longest
        self._first, self._last, self._end = 1, 0, 0

    def recover(self, committed: Sequence[Mapping[str, Any]]) -> list[str]:
        """Drop a torn end and add the lines that are missing of `committed`; return what was damaged."""
        scan = _scan(self._path, self._seal)
        self._first, self._last, self._end = scan.first, scan.last, scan.end
        missing = _missing(scan, committed)
        if missing:
            flush(self._path.parent)  # a killed writer may have left `current` unflushed: it goes first
        if missing or not scan.has_end:
            self.append(*missing)
        return scan.damage

    def cost(self, entry: Mapping[str, Any]) -> int:
        """Bytes that may be needed, for a moment or for good, to append `entry`."""
        length = len(self._line(entry, self._last + 1)) + _END_ROOM
        return length + (self._longest // 2 if self._end + length > self._longest else 0)

    def append(self, *entries: Mapping[str, Any]) -> None:
        """Add a line for each entry, flushed; where that raises OSError the journal ends as before."""
        lines = [self._line(entry, number) for number, entry in enumerate(entries, start=self._last + 1)]
        added = b"".join(lines)
        if self._end + len(added) > self._longest:
            self._shorten()
        last = self._last + len(lines)
        self._write(added + self._end_line(last))
        self._last, self._end = last, self._end + len(added)

    def entries(self) -> list[dict[str, Any]]:
        """The sound entries, oldest first, each with its "line"."""
        return [self._seal.open(line) for line in _scan(self._path, self._seal).sound]

    def forget(self, entry: Mapping[str, Any], *, first: int, kept: Collection[int]) -> int:
        """Take the details out of the lines from number `first` on, and add a line for `entry`, in one go.

        Lines about `kept` revisions stay as they are, damaged ones are dropped. Returns how many lines lost details.
        """
        old = self.entries()
        new = [one if one["line"] < first or one.get("revision") in kept else _reduced(one) for one in old]
        self._rewrite([*new, entry])
        return sum(before != after for before, after in zip(old, new, strict=True))

    def mend(self) -> list[str]:
        """Rewrite the journal without its damaged lines, and return what was damaged."""
        damage = _scan(self._path, self._seal).damage
        if damage:
            self._rewrite(self.entries())
        return damage

    def _rewrite(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Put these entries, numbered anew, in the place of all lines."""
        numbered = enumerate(entries, start=self._first)
        lines = [self._line({**one, "line": number}, number) for number, one in numbered]
        last = self._first + len(lines) - 1
        replace_file(self._path, b"".join(lines) + self._end_line(last))
        self._last, self._end = last, sum(map(len, lines))

    def _write(self, data: bytes) -> None:
        if self._end == 0:  # new, or nothing in it could be read, or it is a link
            replace_file(self._path, data)
            return
        try:
            extend(self._path, data, offset=self._end)
        except OSError:
            with suppress(OSError):
                extend(self._path, self._end_line(self._last), offset=self._end)
            raise

    def _shorten(self) -> None:
        """Keep the newest lines, half of what is allowed."""
        lines = _scan(self._path, self._seal).sound
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
    """That there was such a decision, and when; no more of it."""
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
    bounds = _bounds(lines, seal)
    if bounds:
        lines.pop()
    is_sound = [_number(line) > 0 and _is_entry(line, seal) for line in lines]
    sound = [line for line, kept in zip(lines, is_sound, strict=True) if kept]
    damage = [f"{path} line {at} is damaged" for at, kept in enumerate(is_sound, start=1) if not kept]
    if bounds is None:
        damage.append(f"{path} has lost its end: lines may be missing")
        while lines and not is_sound[len(lines) - 1]:
            lines.pop()
    first, last = bounds or ((_number(sound[0]), _number(sound[-1])) if sound else (1, 0))
    numbers = [_number(line) for line in sound]
    if last - first + 1 != len(lines) or any(a >= b for a, b in itertools.pairwise(numbers)):
        damage.append(f"{path} should hold the lines {first} to {last}, in order, and does not")
    return _Scan(sound, damage, first, last, end=sum(map(len, lines)), has_end=bounds is not None)


def _is_entry(line: bytes, seal: Seal) -> bool:
    """Whether the CRC fits and what it covers is an entry: somebody else may have written both."""
    try:
        return isinstance(seal.open(line)["line"], int)
    except (ValueError, KeyError):
        return False


def _bounds(lines: Sequence[bytes], seal: Seal) -> tuple[int, int] | None:
    """Which lines the last one promises: the numbers of the first and the last."""
    if not lines or not lines[-1].startswith(_END) or not seal.holds(lines[-1]):
        return None
    try:
        fields = seal.open(lines[-1])
    except ValueError:
        return None
    first, last = fields.get("first"), fields.get("last")
    return (first, last) if isinstance(first, int) and isinstance(last, int) else None


def _missing(scan: _Scan, committed: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Entries about revisions that no sound line tells of; what shortening has dropped is not missed."""
    text = b"".join(scan.sound)
    told = [int(number) for number in re.findall(rb'"revision":(\d+),"sha256":"', text)]
    oldest = min(told, default=0) if scan.first > 1 else 0
    return [
        entry
        for entry in committed
        if entry["revision"] >= oldest
        and f'"revision":{entry["revision"]},"sha256":"{entry["sha256"]}"'.encode() not in text
    ]
