"""The latest frames of a stream in a ring, and the latent that is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgecl.extractors.base import FileExtractor
    from edgecl.spotting.settling import Settling

MOST_COLUMNS = 128  # up to which the kernel adds in numpy's order


class Window:
    """A window of a stream, in arrays that stay: kernels are prepared for these, and read them at each hop.

    Attributes
    ----------
    ring
        (2 P, D) frames. Each is held twice, P apart: the latest P lie together, oldest first.
    span
        (2,) which rows of the ring these are: from the first to before the second.
    row
        (D,) their latent, once `pool` is called.
    pool
        Prepared call of a kernel.
    settling
        What settles its hops, for the scorer that has made it; kept here since streams may share a scorer.
    """

    settling: Settling | None = None

    def __init__(self, extractor: FileExtractor) -> None:
        contract = extractor.contract
        self._extractor, self._frames = extractor, contract.pool_frames
        self.ring = np.zeros((2 * contract.pool_frames, contract.dimension), np.float32)
        self._halves = self.ring.reshape(2, contract.pool_frames, contract.dimension)
        self.span, self.row = np.zeros(2, np.int32), np.zeros(contract.dimension, np.float32)
        self.pool: Callable[[], int] | None = None
        if contract.dimension <= MOST_COLUMNS:
            given = np.array(contract.mean, np.float32), int(contract.normalisation == "l2")
            squares = np.zeros(contract.dimension)
            self.pool = kernels.prepared("pool_frames", self.ring, self.span, *given, squares, self.row)

    def put(self, number: int, frame: NDArray[np.float32]) -> None:
        """Take a frame (D,) by its number since the beginning: the window ends with it."""
        at = number % self._frames
        self._halves[:, at] = frame
        self.span[0], self.span[1] = at + 1, at + 1 + self._frames

    @property
    def frames(self) -> NDArray[np.float32]:
        """Return a view of the latest frames (1, P, D), which the next `put` changes."""
        first, last = self.span.tolist()
        return self.ring[None, first:last]

    @property
    def latent(self) -> NDArray[np.float32]:
        """Return the latent (1, D), with the bits of the extractor's `pool`."""
        if self.pool is None:
            return self._extractor.pool(self.frames)
        self.pool()
        return self.row[None].copy()
