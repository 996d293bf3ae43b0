"""The level of sound: what a microphone adds to it, and where it is clipped.

A dozen hops are looked at together: in a stream, where the extractor has emptied the caches before each hop, numpy
takes nearly as long for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.live.events import Summary

FULL_SCALE = 1 - 2.0**-14
TOGETHER = 12  # hops, of words a second


class Level:
    """Counts offset and clipping of a stream of sound into its summary."""

    def __init__(self, contract: Contract, summary: Summary) -> None:
        self._rate_hz, self._summary = contract.sample_rate_hz, summary
        self._hop = contract.hop_samples
        self._held = np.empty((TOGETHER, self._hop, len(contract.channels)), np.float32)
        self._count = 0

    def add(self, signal: NDArray[np.float32]) -> None:
        """Take a piece (n, channels), n > 0; one of a hop is counted with the next ones."""
        if len(signal) != self._hop:
            self._note(signal[None], len(signal))
            return
        self._held[self._count] = signal
        self._count += 1
        if self._count == TOGETHER:
            self.settle()

    def settle(self) -> None:
        """Count what is held."""
        if self._count:
            self._note(self._held[: self._count], self._hop)
        self._count = 0

    def _note(self, pieces: NDArray[np.float32], samples: int) -> None:
        """Count pieces (k, samples, channels) of so many samples each."""
        clipped = (pieces.max(axis=(1, 2)) >= FULL_SCALE) | (pieces.min(axis=(1, 2)) <= -FULL_SCALE)
        self._summary.total += float(pieces.sum(dtype=np.float64))
        self._summary.samples += len(pieces) * samples
        self._summary.clipped_s += float(np.count_nonzero(clipped)) * samples / self._rate_hz
