"""Frames of a camera: a folder that another program writes to, or MJPEG or raw RGB from a pipe."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecl.errors import DataError, SettingError
from edgecl.live.inputs.chunks import POLL_S, Arrival, Halt, Piece, read_arrived
from edgecl.live.inputs.raw_frames import hint_of_frame
from edgecl.notes import Logger
from edgecl.sources.folders import PICTURES
from edgecl.sources.pictures import LARGEST_FILE, LARGEST_PIXELS, decode_picture, picture_of_array, picture_signal
from edgecl.sources.samples import UnusableError

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract

logger = Logger(__name__)
LARGEST_FRAME = 16 << 20  # bytes of a JPEG
_SOI = b"\xff\xd8\xff"
_BARE = (0x01, *range(0xD0, 0xD8))  # markers without a length
_EOI, _SOS = 0xD9, 0xDA
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


def frame_size(text: str) -> tuple[int, int]:
    """Return width and height of "640x480".

    Raises
    ------
    SettingError
        It is no such size.

    Examples
    --------
    >>> frame_size("640x480")
    (640, 480)
    """
    found = _SIZE.fullmatch(text)
    width, height = (int(one) for one in found.groups()) if found else (0, 0)
    if not min(width, height) >= 8 or width * height > LARGEST_PIXELS:
        raise SettingError(f"a frame of {text!r}: wanted WIDTHxHEIGHT in pixels, such as 640x480", parameter="frame")
    return width, height


def watched_folder(folder: Path, contract: Contract, *, halt: Halt, arrival: Arrival) -> Iterator[Piece]:
    """Yield pictures that appear in a folder, or change, from now on; ends when a halt is asked.

    A file counts once it has had the same length and time for one poll of 0.2 s, so that one that is being written is
    not read in half. What cannot be used is counted in `arrival.rows`.

    Raises
    ------
    DataError
        The folder cannot be read.
    """
    started, seen = time.monotonic(), _listed(folder)
    waiting: set[tuple[str, int, int]] = set()
    while not halt.wait(POLL_S):
        there = _listed(folder)
        seen &= there
        fresh = there - seen
        for name, stamp, length in sorted(fresh & waiting, key=lambda one: (one[1], one[0])):
            seen.add((name, stamp, length))
            yield from _piece(folder / name, contract, arrival, time.monotonic() - started)
        waiting = fresh


def _listed(folder: Path) -> set[tuple[str, int, int]]:
    """Return name, time and length of the pictures in a folder."""
    found = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not entry.name.lower().endswith(PICTURES):
                    continue
                try:
                    status = entry.stat()
                except OSError:
                    continue  # gone since it was listed
                found.add((entry.name, status.st_mtime_ns, status.st_size))
    except OSError as error:
        raise DataError(f"{folder} can't be read: {error.strerror}: give a folder that a camera writes to") from error
    return found


def _piece(path: Path, contract: Contract, arrival: Arrival, now: float) -> Iterator[Piece]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UnusableError(f"too large: at most {LARGEST_FILE >> 20} MiB are read")
        content = path.read_bytes()
    except OSError as error:
        _skip(arrival, f"unreadable: {error.strerror}")
        return
    except UnusableError as error:
        _skip(arrival, str(error))
        return
    yield from _decoded(content, contract, arrival, now)


def _decoded(content: bytes, contract: Contract, arrival: Arrival, now: float) -> Iterator[Piece]:
    try:
        yield Piece(picture_signal(decode_picture(content, contract.picture_size)), now)
    except UnusableError as error:
        _skip(arrival, str(error))


def _skip(arrival: Arrival, reason: str) -> None:
    list(arrival.rows.skip(0, reason))


def mjpeg(descriptor: int, contract: Contract, *, halt: Halt, arrival: Arrival) -> Iterator[Piece]:
    """Yield the frames of JPEGs one after another, as `ffmpeg -f mjpeg` and `v4l2-ctl` write them.

    Raises
    ------
    DataError
        The input is empty, or is none of JPEGs.
    """
    buffer, held, started, is_any = bytearray(1 << 16), bytearray(), time.monotonic(), False
    while length := read_arrived(descriptor, memoryview(buffer), halt, arrival):
        held += buffer[:length]
        for content in _whole_frames(held):
            is_any = True
            yield from _decoded(content, contract, arrival, time.monotonic() - started)
        if len(held) > LARGEST_FRAME:
            if not is_any:
                raise DataError("stdin is no MJPEG: for raw RGB give the size of a frame", parameter="frame")
            _skip(arrival, "too large: a frame without an end")
            held.clear()
    arrival.torn_bytes = len(held)
    if not is_any and not halt.is_asked:
        what = "holds no whole JPEG" if held else "is empty"
        raise DataError(f"stdin {what}: did the program that should write frames fail?")


def _whole_frames(held: bytearray) -> Iterator[bytes]:
    """Yield whole JPEGs from the beginning of a buffer, and take them out of it."""
    while (start := held.find(_SOI)) >= 0:
        end = jpeg_end(held, start)
        if end is None:
            del held[:start]
            return
        if end > start:
            yield bytes(held[start:end])
        del held[: max(end, start + 2)]
    del held[: max(len(held) - 2, 0)]


def jpeg_end(held: bytes | bytearray, start: int) -> int | None:
    """Return where a JPEG that begins at `start` ends: None where it is not all there, `start` where it is damaged.

    Markers are followed by their lengths, since a thumbnail in the EXIF block has an end of its own.
    """
    at = start + 2
    while at + 4 <= len(held):
        if held[at] != 0xFF:
            return start
        marker = held[at + 1]
        if marker == _EOI:
            return at + 2
        if marker == 0xFF:
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            at += 2 + int.from_bytes(held[at + 2 : at + 4], "big")
            if marker == _SOS:
                at = _scan_end(held, at)
    return at + 2 if held[at : at + 2] == bytes((0xFF, _EOI)) else None


def _scan_end(held: bytes | bytearray, at: int) -> int:
    """Return the first marker after entropy-coded data, or the end of what is there."""
    while (at := held.find(b"\xff", at)) >= 0 and at + 1 < len(held):
        if held[at + 1] != 0 and held[at + 1] not in _BARE:
            return at
        at += 2
    return len(held)


def raw_rgb(
    descriptor: int, contract: Contract, *, size: tuple[int, int], halt: Halt, arrival: Arrival
) -> Iterator[Piece]:
    """Yield frames of raw RGB, 8 bits a channel, of a size (width, height); a first frame that is none is named.

    Raises
    ------
    DataError
        The input is empty, or begins with a JPEG.
    """
    width, height = size
    buffer, started, is_any = bytearray(width * height * 3), time.monotonic(), False
    view, length = memoryview(buffer), 0
    while count := read_arrived(descriptor, view[length:], halt, arrival):
        length += count
        if not is_any and length >= len(_SOI) and buffer.startswith(_SOI):
            raise DataError("stdin begins with a JPEG, which states its size: give none for MJPEG", parameter="frame")
        if length < len(buffer):
            continue
        if not is_any and (hint := hint_of_frame(bytes(buffer), size)):
            logger.warning("%s", hint)
        is_any, length = True, 0
        frame = np.frombuffer(bytes(buffer), np.uint8).reshape(height, width, 3)
        yield Piece(picture_of_array(frame, contract), time.monotonic() - started)
    arrival.torn_bytes = length
    if not is_any and not halt.is_asked:
        raise DataError("stdin holds no whole frame: did the program that should write to it fail?")
