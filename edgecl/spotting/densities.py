"""Log densities of a background, and of words in the coordinates that whiten them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecl.values import dataclass

ROWS = 128  # that are scored at a time: more would be megabytes in a process that learns one lesson


@dataclass(frozen=True)
class Gaussian:
    """A kind of sound."""

    mean: NDArray[np.float32]
    """(D,)."""
    covariance: NDArray[np.float32]
    """(D, D), shrunk."""


class Densities:
    """Log densities of a background, made for speed: one product for all Gaussians, one for all distractors.

    Parameters
    ----------
    gaussians, tied, distractors
        As in `edgecl.spotting.background.Background`.
    """

    def __init__(
        self, gaussians: Sequence[Gaussian], tied: NDArray[np.float32], distractors: NDArray[np.float32]
    ) -> None:
        factors = [inverse_factor(one.covariance) for one in gaussians]
        whitening = inverse_factor(tied)
        self._count = len(factors)
        self.factors = np.ascontiguousarray(np.concatenate([whitening, *factors]).T)  # (D, (G + 1) D)
        shifts = [factor @ one.mean for factor, one in zip(factors, gaussians, strict=True)]
        self.shifts = np.concatenate([np.zeros(len(whitening), np.float32), *shifts])
        self.half_determinants = np.array([half_determinant(one) for one in factors], np.float32)
        self.half_determinant = np.float32(half_determinant(whitening))
        self.distractors = (distractors @ whitening.T).astype(np.float32)
        self._lengths = np.square(self.distractors).sum(axis=1)

    def whiten(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return rows (n, D) in the coordinates in which Σ is the identity."""
        whitened: NDArray[np.float32] = rows @ self.factors[:, : rows.shape[1]]
        return whitened

    def __call__(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the largest log density (n,) of rows (n, D), up to a common constant, and the whitened rows."""
        if len(rows) <= ROWS:
            return self._of(rows)
        parts = [self._of(rows[at : at + ROWS]) for at in range(0, len(rows), ROWS)]
        largest, whitened = zip(*parts, strict=True)
        return np.concatenate(largest), np.concatenate(whitened)

    def _of(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        apart = (rows @ self.factors - self.shifts).reshape(len(rows), self._count + 1, rows.shape[1])
        whitened = apart[:, 0]
        gaussians = -np.square(apart[:, 1:]).sum(axis=2) / 2 - self.half_determinants
        nearest = (self._lengths - 2 * (whitened @ self.distractors.T)).min(axis=1) + np.square(whitened).sum(axis=1)
        return np.maximum(gaussians.max(axis=1), -nearest / 2 - self.half_determinant), whitened.copy()


def log_density(
    whitened: NDArray[np.float32], means: NDArray[np.float32], spread: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return log densities (n, C) of whitened rows (n, D) under means (C, D) with covariance spread_k I."""
    squared = np.square(whitened).sum(axis=1)[:, None] - 2 * (whitened @ means.T) + np.square(means).sum(axis=1)
    return gaussian(squared, spread, means.shape[1])


def gaussian(squared: NDArray[np.float32], spread: NDArray[np.float32] | float, dimension: int) -> NDArray[np.float32]:
    density: NDArray[np.float32] = -(squared / spread + dimension * np.log(spread)) / 2
    return density.astype(np.float32)


def best_other(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return, for each score of rows (n, C), the largest of the row's others; minus infinity where there is none."""
    if scores.shape[1] == 1:
        return np.full_like(scores, -np.inf)
    second, first = np.sort(scores, axis=1)[:, -2:].T
    best: NDArray[np.float32] = np.where(scores == first[:, None], second[:, None], first[:, None])
    return best


def inverse_factor(covariance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return L⁻¹ (D, D) with covariance = L Lᵀ."""
    inverse: NDArray[np.float32] = np.linalg.inv(np.linalg.cholesky(covariance.astype(np.float64))).astype(np.float32)
    return inverse


def half_determinant(inverse_factor: NDArray[np.float32]) -> float:
    """Return ½ ln |C| of the covariance whose inverse factor is given."""
    return -float(np.log(np.diag(inverse_factor)).sum())
