"""Takes of one word or movement: whether one is usable, and how they are cut out of a stream that is listened to."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.extractors.base import placed
from edgecl.sources.activity import check_heard, check_moving
from edgecl.sources.samples import UnusableError
from edgecl.sources.sound import check_sound

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.live.inputs.chunks import Piece

BLOCK_S, RISE = 0.02, 4.0
"""Power of the loudest twentieth of the blocks over the quietest fifth: speech has 6 dB."""
LATE_S = 3.0
"""Beyond the length of a take, until its stream counts as stopped."""
LONGEST_TAKE_S = 120.0


def why_unusable(take: NDArray[np.float32], contract: Contract) -> str | None:
    """Return why sound (n, 1) teaches nothing, or None where it does."""
    try:
        check_sound(take, rate_hz=contract.sample_rate_hz, bits=16)
        kept = placed(take, contract)[1][:, 0]
        check_moving(kept)
        check_heard(kept, contract.sample_rate_hz)
    except UnusableError as error:
        return str(error)
    length = round(BLOCK_S * contract.sample_rate_hz)
    blocks = take[: len(take) - len(take) % length].reshape(-1, length)
    quiet, loud = np.percentile(np.square(blocks - take.mean()).mean(axis=1), (20, 95))
    if loud < RISE * quiet:
        return "nothing said: no part of it stands out from the rest"
    return None


def peak_db(signal: NDArray[np.float32]) -> float:
    """Return the peak in dB of full scale, at least -100."""
    return 20 * math.log10(max(float(np.abs(signal).max(initial=0)), 1e-5))


class Tap:
    """Hands pieces of a stream on unchanged, and copies what is wanted of them.

    Parameters
    ----------
    look
        Is shown every signal (n, channels) that passes; must not take long.
    """

    def __init__(
        self, contract: Contract, *, look: Callable[[NDArray[np.float32]], None] = lambda _signal: None
    ) -> None:
        self._contract, self._look = contract, look
        self._changed = threading.Condition()
        self._wanted = 0
        self._held: list[NDArray[np.float32]] = []
        self._is_over = False

    def through(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Yield the pieces of a stream."""
        try:
            for piece in pieces:
                if self._wanted:
                    self._copy(piece)
                self._look(piece.signal)
                yield piece
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def record(self, seconds: float) -> NDArray[np.float32]:
        """Return the next `seconds` of the stream (n, channels); one take at a time.

        Raises
        ------
        DataError
            The stream has ended or stands still, or another take is under way.
        """
        wanted = round(min(seconds, LONGEST_TAKE_S) * self._contract.sample_rate_hz)
        until = time.monotonic() + seconds + LATE_S
        with self._changed:
            if self._wanted:
                raise DataError("another take is being recorded")
            self._held, self._wanted = [], wanted
            try:
                self._changed.wait_for(lambda: self._is_over or self._length >= wanted, until - time.monotonic())
                if self._length < wanted:
                    raise DataError("the input has ended, or nothing comes from it")
                return np.concatenate(self._held)[:wanted]
            finally:
                self._held, self._wanted = [], 0

    @property
    def _length(self) -> int:
        return sum(map(len, self._held))

    def _copy(self, piece: Piece) -> None:
        with self._changed:
            if piece.begins_s is not None:
                self._held.clear()  # a take has no gap in it
            if self._length < self._wanted:
                self._held.append(piece.signal.copy())
                self._changed.notify_all()
