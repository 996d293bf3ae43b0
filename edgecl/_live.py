"""Sound and movement as they come: raw PCM or rows from a pipe, a file played, a microphone.

Every source gives `Piece`s of a hop or so, and ends where its input does or `Halt` says so.
"""

from __future__ import annotations

import csv
import json
import mmap
import os
import queue
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl._audio import HIGHEST_RATE_HZ, LOWEST_RATE_HZ, extra
from edgecl._samples import SkipTally, UnusableError
from edgecl._streams import LONGEST_LINE, Resampler, read_live
from edgecl._wav import wav_blocks
from edgecl.errors import DataError

if TYPE_CHECKING:
    from edgecl.extractor import Contract

SAMPLE_BYTES = 2  # S16_LE
POLL_S = 0.2  # at most this long nobody asks whether to stop
LATE_S = 1.0  # without input, from which on it counts as late
PLAYED_S = 0.1  # of a file at a time, before its rate is converted
MICROPHONE_HOPS = 64  # that wait while a hop takes long, before samples are lost


@dataclass(frozen=True)
class Piece:
    """Samples that follow each other, and follow those of the piece before unless they begin anew."""

    signal: NDArray[np.float32]
    # (n, channels); sound in [-1, 1]
    begins_s: float | None = None
    # time of the first sample, where something is missing before it


@dataclass
class Halt:
    """Asked by the sources between pieces; set by a signal."""

    is_asked: bool = False

    def ask(self, *_: object) -> None:
        self.is_asked = True


@dataclass
class Arrival:
    """How the input came."""

    late: int = 0  # pauses of more than LATE_S
    late_s: float = 0.0  # the longest
    torn_bytes: int = 0  # of an incomplete sample at the end
    rows: SkipTally = field(default_factory=lambda: SkipTally("", limit=0))  # that could not be used


def raw_pcm(descriptor: int, contract: Contract, *, rate_hz: float, halt: Halt, arrival: Arrival) -> Iterator[Piece]:
    """Raw S16_LE mono PCM from a pipe or file, a hop at a time.

    Raises
    ------
    DataError
        It is no raw PCM but a WAV or FLAC file; or another rate needs the extra [audio].
    """
    convert = _converter(rate_hz, contract)
    buffer = bytearray(SAMPLE_BYTES * round(contract.hop_samples * rate_hz / contract.sample_rate_hz))
    is_first = True
    while length := _filled(descriptor, buffer, halt, arrival):
        if is_first:
            _require_raw(bytes(buffer[:4]))
        arrival.torn_bytes = length % SAMPLE_BYTES
        samples = np.frombuffer(buffer, "<i2", count=length // SAMPLE_BYTES)
        yield Piece(convert(samples.astype(np.float32) / np.float32(32768)), 0.0 if is_first else None)
        is_first = False


def _filled(descriptor: int, buffer: bytearray, halt: Halt, arrival: Arrival) -> int:
    """Read until the buffer is full or the input ends; how many bytes there are."""
    length, view = 0, memoryview(buffer)
    while length < len(buffer) and (count := _arrived(descriptor, view[length:], halt, arrival)):
        length += count
    return length


def _arrived(descriptor: int, buffer: memoryview, halt: Halt, arrival: Arrival) -> int:
    """Wait for input and take what there is; 0 at its end, or where a halt is asked."""
    asked = time.monotonic()
    while not select.select([descriptor], [], [], POLL_S)[0]:
        if halt.is_asked:
            return 0
    waited = time.monotonic() - asked
    if waited > LATE_S:
        arrival.late += 1
        arrival.late_s = max(arrival.late_s, waited)
    return 0 if halt.is_asked else os.readv(descriptor, [buffer])


def _require_raw(begins: bytes) -> None:
    if begins in (b"RIFF", b"fLaC"):
        kind = "WAV" if begins == b"RIFF" else "FLAC"
        raise DataError(
            f"stdin begins like a {kind} file, wanted raw PCM: give the file's name, or record with `arecord -t raw`"
        )


def sound_file(path: Path, contract: Contract, *, halt: Halt, realtime: bool = False) -> Iterator[Piece]:
    """A WAV or FLAC file, played from its beginning as fast as it is taken, or at its own speed.

    Raises
    ------
    DataError
        The file cannot be read or decoded, or the extra [audio] is needed.
    """
    try:
        rate_hz, blocks = _blocks(path)
        if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
            raise UnusableError(f"unknown rate: {rate_hz} Hz is said, which is no rate for speech")
        convert = _converter(rate_hz, contract)
        played_s, started, is_first = 0.0, time.monotonic(), True
        for block in blocks:
            if halt.is_asked:
                return
            played_s += len(block) / rate_hz
            if realtime:
                time.sleep(max(started + played_s - time.monotonic(), 0))
            signal = convert(block.mean(axis=1, dtype=np.float32))
            yield from _cut(Piece(signal, 0.0 if is_first else None), contract.hop_samples)
            is_first = False
    except UnusableError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error


def _cut(piece: Piece, length: int) -> Iterator[Piece]:
    for start in range(0, max(len(piece.signal), 1), length):
        yield Piece(piece.signal[start : start + length], piece.begins_s if start == 0 else None)


def _blocks(path: Path) -> tuple[int, Iterator[NDArray[np.float32]]]:
    """The rate, and the sound (n, channels) of about PLAYED_S at a time; never the whole file in memory."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise UnusableError("empty file: it has no bytes")
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if content[:4] == b"RIFF":
        return wav_blocks(content, block_s=PLAYED_S)
    if content[:4] == b"fLaC":
        return _flac_blocks(path)
    raise UnusableError(f"not audio: begins with {ascii(content[:4])[1:]}, wanted a WAV or FLAC file")


def _flac_blocks(path: Path) -> tuple[int, Iterator[NDArray[np.float32]]]:
    soundfile = extra("soundfile", "reading FLAC")
    try:
        file = soundfile.SoundFile(path)
    except soundfile.SoundFileError as error:
        raise UnusableError(f"not audio: damaged FLAC ({error})") from error

    def blocks() -> Iterator[NDArray[np.float32]]:
        with file:
            try:
                yield from file.blocks(round(PLAYED_S * file.samplerate), dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                raise UnusableError(f"not audio: damaged FLAC ({error})") from error

    return file.samplerate, blocks()


def microphone(contract: Contract, *, halt: Halt, arrival: Arrival) -> Iterator[Piece]:
    """The default microphone; samples that the system lost break the stream.

    Raises
    ------
    DataError
        The extra [mic] is missing, or there is no microphone that can be used.
    """
    sounddevice = _sounddevice()
    waiting: queue.Queue[tuple[NDArray[np.float32], bool]] = queue.Queue(MICROPHONE_HOPS)
    lost = [True]  # so that the first piece begins

    def take(block: NDArray[np.float32], _frames: int, _time: object, status: Any) -> None:
        is_torn = lost[0] or bool(status.input_overflow)
        try:
            waiting.put_nowait((block.copy(), is_torn))
            lost[0] = False
        except queue.Full:
            lost[0] = True

    taken = 0
    try:
        with sounddevice.InputStream(
            samplerate=contract.sample_rate_hz,
            channels=1,
            dtype="float32",
            blocksize=contract.hop_samples,
            callback=take,
        ):
            while not halt.is_asked:
                try:
                    block, is_torn = waiting.get(timeout=POLL_S)
                except queue.Empty:
                    continue
                yield Piece(block, taken / contract.sample_rate_hz if is_torn else None)
                taken += len(block)
    except sounddevice.PortAudioError as error:
        raise DataError(f"the microphone cannot be used: {error}: `arecord -l` lists what there is") from error


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise DataError("a microphone needs the package sounddevice: pip install 'edgecl[mic]'") from error
    except OSError as error:  # the library below it
        raise DataError(f"a microphone needs PortAudio ({error}): apt install libportaudio2") from error
    return sounddevice


def movement(
    descriptor: int, name: str, contract: Contract, *, halt: Halt, arrival: Arrival, realtime: bool = False
) -> Iterator[Piece]:
    """Rows of CSV or JSON Lines with timestamps, resampled to the contract's rate, about a hop at a time.

    A gap of more than five samples, or a clock that is set back, begins the stream anew; what jitters, or lacks a row
    or two, is bridged by straight lines.

    Raises
    ------
    DataError
        Columns are missing, timestamps can't be read, or the rate is too low.
    """
    lines = _lines(descriptor, name, halt, arrival)
    delimiter, cells = _cells(lines, name)
    layout, rows = read_live(cells, name, contract, arrival.rows, delimiter=delimiter)
    every = max(round(contract.hop_samples / contract.sample_rate_hz / layout.step_s), 1)  # rows
    samples: Resampler | None = None
    started, first_s = time.monotonic(), 0.0
    for row in rows:
        if samples is None or not samples.goes_on(row):
            if samples is not None:
                yield Piece(samples.to_the_end().signal)
            samples, taken = Resampler(row, contract, step_s=layout.step_s), 0
            started, first_s = time.monotonic(), row.time_s
            yield Piece(np.zeros((0, len(contract.channels)), np.float32), row.time_s)
            continue
        samples.add(row)
        taken += 1
        if realtime:
            time.sleep(max(started + row.time_s - first_s - time.monotonic(), 0))
        if taken % every == 0:
            yield Piece(samples.so_far().signal)
    if samples is not None:
        yield Piece(samples.to_the_end().signal)


def _lines(descriptor: int, name: str, halt: Halt, arrival: Arrival) -> Iterator[str]:
    """Lines as they come, the last one too if it is whole enough to have an end."""
    buffer, rest = bytearray(1 << 16), b""
    while length := _arrived(descriptor, memoryview(buffer), halt, arrival):
        *whole, rest = (rest + buffer[:length]).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise DataError(f"{name}: a line is longer than {LONGEST_LINE >> 20} MiB: is it CSV or JSON Lines?")
        yield from (line.decode("utf-8-sig", "surrogateescape") + "\n" for line in whole)
    arrival.torn_bytes = len(rest)


def _cells(lines: Iterator[str], name: str) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """The delimiter; names of the columns, then cells. Of CSV or of JSON Lines, whichever the first line is."""
    first = next(lines, "")
    if "\0" in first:
        raise DataError(f"{name} is neither CSV nor JSON Lines: it holds bytes that no text has")
    lines = chain([first], lines)
    if first.lstrip().startswith("{"):
        return ",", _json_cells(lines)
    delimiter = max(",;\t", key=first.count)
    return delimiter, _csv_cells(lines, name, delimiter)


def _csv_cells(lines: Iterator[str], name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        yield from ((reader.line_num, cells) for cells in reader if cells)
    except csv.Error as error:
        raise DataError(f"{name}:{reader.line_num} is not CSV: {error}") from error


def _json_cells(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """Objects as cells; the members of the first one are the columns. What is no such object has no cells."""
    names: list[str] = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        row = entry if isinstance(entry, dict) else {}
        if not names:
            names = list(row)
            yield 0, names
        yield number, [str(row[name]) for name in names if name in row]


def _converter(rate_hz: float, contract: Contract) -> Any:
    """From mono samples (n,) at one rate to a signal (m, 1) at the contract's."""
    if rate_hz == contract.sample_rate_hz:
        return lambda samples: samples[:, None]
    soxr = extra("soxr", f"the sound has {rate_hz:g} Hz, the extractor takes {contract.sample_rate_hz:g}: resampling")
    stream = soxr.ResampleStream(rate_hz, contract.sample_rate_hz, 1, dtype="float32")
    return lambda samples: np.clip(stream.resample_chunk(samples), -1, 1)[:, None]
