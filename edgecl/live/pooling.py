"""The latent of the frames that lie together in a ring: one call of a kernel, where numpy would take ten."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor

MOST_COLUMNS = 128  # up to which the kernel adds in numpy's order


def pooling(extractor: FileExtractor, ring: NDArray[np.float32]) -> Callable[[int], NDArray[np.float32]]:
    """Return what makes the latent (1, D) of the frames of a ring (2 n, D) from one on, with the bits of `pool`."""
    contract = extractor.contract
    frames = contract.pool_frames
    if contract.dimension > MOST_COLUMNS:
        return lambda first: extractor.pool(ring[None, first : first + frames])
    span, latent = np.zeros(2, np.int32), np.zeros(contract.dimension, np.float32)
    mean, squares = np.array(contract.mean, np.float32), np.zeros(contract.dimension)
    update = kernels.prepared("pool_frames", ring, span, mean, int(contract.normalisation == "l2"), squares, latent)

    def pool(first: int) -> NDArray[np.float32]:
        span[0], span[1] = first, first + frames
        update()
        return latent[None].copy()

    return pool
