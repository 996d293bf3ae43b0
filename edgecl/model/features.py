"""Features of latents: an optional projection before quantisation, an optional lift after it.

Both are regenerated from a seed, so they take no memory and no file. They are fixed at init.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

from edgecl.model.exemplars import Exemplars


@dataclass(frozen=True)
class FeatureMap:
    """latent (D,) → row (p,) that is quantised and kept → feature (d,) that statistics and head see.

    `projection` is p, or 0 for p = D. `lift_width` is the number of random ReLU units in front of the row,
    h = [ReLU(Px), x], or 0 for none.
    """

    latent_dimension: int
    projection: int
    lift_width: int
    seed: int
    block_rows: int = 32
    """Rows that are dequantised and lifted at a time."""

    @property
    def row_dimension(self) -> int:
        return self.projection or self.latent_dimension

    @property
    def dimension(self) -> int:
        return self.row_dimension + self.lift_width

    def project(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project (n, D) to (n, p): a subsampled randomised Hadamard transform (Ailon and Chazelle 2009).

        It keeps squared lengths in expectation.
        """
        if not self.projection:
            return np.ascontiguousarray(latents, np.float32)
        signs, kept = _hadamard_plan(self.latent_dimension, self.projection, self.seed)
        width = 1 << (self.latent_dimension - 1).bit_length()
        work = np.zeros((latents.shape[0], width), np.float32)
        work[:, : self.latent_dimension] = latents * signs
        half = 1
        while half < width:
            pairs = work.reshape(-1, width // (2 * half), 2, half)
            upper = pairs[:, :, 0] - pairs[:, :, 1]
            pairs[:, :, 0] += pairs[:, :, 1]
            pairs[:, :, 1] = upper
            half *= 2
        return np.ascontiguousarray(work[:, kept]) / np.float32(np.sqrt(self.projection))

    def lift(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lift (n, p) to (n, d)."""
        if not self.lift_width:
            return rows
        out = np.empty((rows.shape[0], self.dimension), np.float32)
        kernels.lift_rows(rows, self.seed, out)
        return out

    def blocks(self, rows: Exemplars) -> Iterator[NDArray[np.float32]]:
        """Yield features of quantised rows, a few at a time: arrays (<= block_rows, d)."""
        for block in rows.blocks(self.block_rows):
            yield self.lift(block)

    def __call__(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert latents (n, D) to features (n, d), without quantisation."""
        return self.lift(self.project(latents))


def _hadamard_plan(dimension: int, projection: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return random signs (D,) and the p columns kept, from the raw bits of Philox, which numpy keeps stable."""
    width = 1 << (dimension - 1).bit_length()
    raw = np.random.Philox(key=seed).random_raw(dimension + width)
    signs = np.where(raw[:dimension] & 1, np.float32(1), np.float32(-1))
    kept = np.sort(np.argsort(raw[dimension:], kind="stable")[:projection])
    return signs, kept
