"""Sound and movement as they come: raw PCM or rows from a pipe, a file played, a microphone.

Every source gives `Piece`s of a hop or so, and ends where its input does or a `Halt` is set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from edgecl.errors import DataError
from edgecl.live.inputs.chunks import Arrival, Halt, Piece, rate_converter, read_arrived

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract


SAMPLE_BYTES = 2  # S16_LE


def raw_pcm(descriptor: int, contract: Contract, *, rate_hz: float, halt: Halt, arrival: Arrival) -> Iterator[Piece]:
    """Raw S16_LE mono PCM from a pipe or file, a hop at a time.

    Raises
    ------
    DataError
        It is no raw PCM but a WAV or FLAC file; or another rate needs the extra [audio].
    """
    convert = rate_converter(rate_hz, contract)
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
    while length < len(buffer) and (count := read_arrived(descriptor, view[length:], halt, arrival)):
        length += count
    return length


def _require_raw(begins: bytes) -> None:
    if begins in (b"RIFF", b"fLaC"):
        kind = "WAV" if begins == b"RIFF" else "FLAC"
        raise DataError(
            f"stdin begins like a {kind} file, wanted raw PCM: give the file's name, or record with `arecord -t raw`"
        )
