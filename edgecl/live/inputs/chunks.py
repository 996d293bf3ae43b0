"""Pieces of a live signal, and how a source waits for them and stops."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.sources.samples import SkipTally, UnusableError
from edgecl.sources.signals import as_float, shaped
from edgecl.sources.sound import extra

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract


POLL_S = 0.2  # longest time between two checks for a stop
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 1000.0, 768_000.0  # of sound that is resampled
LATE_S = 1.0  # without input, from which on it counts as late


@dataclass(frozen=True)
class Piece:
    """Samples that follow each other, and follow those of the piece before unless the stream starts again."""

    signal: NDArray[np.float32]
    """Shape (n, channels); sound in [-1, 1]."""
    begins_s: float | None = None
    """Time of the first sample, where something is missing before it."""


@dataclass
class Halt:
    """Asked by the sources between pieces; set by a signal."""

    is_asked: bool = False

    def ask(self, *_: object) -> None:
        self.is_asked = True

    def wait(self, timeout_s: float) -> bool:
        """Wait, and return whether a halt is asked; a signal ends the wait."""
        until = time.monotonic() + timeout_s
        while not self.is_asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
        return self.is_asked


@dataclass
class Arrival:
    """How the input came."""

    late: int = 0
    """Pauses of more than LATE_S."""
    late_s: float = 0.0
    """Length of the longest pause."""
    torn_bytes: int = 0
    """Bytes of an incomplete sample at the end."""
    rows: SkipTally = field(default_factory=lambda: SkipTally("", limit=0))
    """Rows that could not be used."""


def read_arrived(descriptor: int, buffer: memoryview, halt: Halt, arrival: Arrival) -> int:
    """Read the input that has arrived; 0 at its end, or when a halt is set."""
    started = time.monotonic()
    while not select.select([descriptor], [], [], POLL_S)[0]:
        if halt.is_asked:
            return 0
    waited = time.monotonic() - started
    if waited > LATE_S:
        arrival.late += 1
        arrival.late_s = max(arrival.late_s, waited)
    return 0 if halt.is_asked else os.readv(descriptor, [buffer])


def rate_converter(rate_hz: float, contract: Contract) -> Any:
    """From mono samples (n,) at one rate to a signal (m, 1) at the contract's.

    Raises
    ------
    DataError
        When the rate is none of sound.
    """
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        wanted = f"{LOWEST_RATE_HZ:g} to {HIGHEST_RATE_HZ:g} Hz"
        raise DataError(f"a rate of {rate_hz:g} Hz is none of sound: wanted {wanted}", parameter="rate")
    if rate_hz == contract.sample_rate_hz:
        return lambda samples: samples[:, None]
    soxr = extra("soxr", f"the sound has {rate_hz:g} Hz, the extractor takes {contract.sample_rate_hz:g}: resampling")
    stream = soxr.ResampleStream(rate_hz, contract.sample_rate_hz, 1, dtype="float32")
    return lambda samples: np.clip(stream.resample_chunk(samples), -1, 1)[:, None]


def _picture(array: NDArray[Any], contract: Contract) -> NDArray[np.float32]:
    from edgecl.sources.pictures import picture_of_array

    return picture_of_array(array, contract)


def as_pieces(chunks: Iterable[Piece | NDArray[Any]], contract: Contract) -> Iterator[Piece]:
    """Yield pieces of a stream that comes as arrays (n,), (n, channels) or pictures; what is a piece already passes.

    Raises
    ------
    DataError
        When an array has another shape, or is not finite.
    """
    for chunk in chunks:
        if isinstance(chunk, Piece):
            yield chunk
            continue
        array = np.asarray(chunk)
        if not array.size:
            continue
        try:
            signal = (
                as_float(shaped(array, contract), contract) if not contract.is_picture else _picture(array, contract)
            )
        except UnusableError as error:
            raise DataError(f"a chunk of the stream cannot be used: {error}") from error
        if not np.isfinite(signal).all():
            raise DataError("a chunk of the stream cannot be used: it contains NaN or infinity")
        yield Piece(signal)
