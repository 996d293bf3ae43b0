"""Scores of several samples of a class by the closed form of a model without all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecl.model.head import SMALLEST_LEFT, Factor, LeftOut, debiased, whiten


def leave_group_out(factor: Factor, rows: NDArray[np.float32], *, own: int) -> LeftOut:
    """Score rows (k, d) of class `own`, fewer than the class has, by the model without all of them.

    The rows are taken out of their class's mean, of g and of Σ by a downdate of rank k + 1 in whitened space
    (Woodbury); the shrinkage ρ, tr(S̄) and d_eff stay as they are. One row is `leave_one_out`.

    Raises
    ------
    ValueError
        When the class has no other sample.
    """
    classes, count, size = len(factor.labels), factor.counts[own], len(rows)
    rest = count - size
    if rest < 1:
        raise ValueError(f"{size} of {count:.0f} samples of a class cannot be left out")
    sample, means = whiten(factor, rows).astype(np.float64), factor.whitened.astype(np.float64)
    away = sample.mean(axis=0) - means[own]
    taken = np.vstack([sample - sample.mean(axis=0), away * np.sqrt(size * count / rest)])  # S - S' = takenᵀ taken
    taken *= np.sqrt(factor.downdate[own])
    values, turn = np.linalg.eigh(taken @ taken.T)  # (m,), (m, m)
    core = (turn / np.maximum(1 - values, SMALLEST_LEFT)) @ turn.T  # Σ'⁻¹ = 1 + takenᵀ core taken
    step = size / rest
    sample += step / classes * away  # about the origin without the group
    means += step / classes * away
    means[own] -= step * away
    along, turned = sample @ taken.T, means @ taken.T
    squared = np.square(means).sum(axis=1) + np.sum(turned @ core * turned, axis=1)
    counts = factor.counts.copy()
    counts[own] = rest
    typical = np.sqrt(debiased(np.maximum(squared, 0), factor.effective_dimension / counts))
    logits = (sample @ means.T + along @ core @ turned.T) / np.where(typical > 0, typical, np.inf)
    apart = sample - means[own]
    beyond = apart @ taken.T
    return LeftOut(logits, np.square(apart).sum(axis=1) + np.sum(beyond @ core * beyond, axis=1))
