"""Scores of samples, each as the model sees it that was never taught it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecl.model.closed_form import Factor, debiased, whiten

SMALLEST_LEFT = 0.05  # share of a direction's scatter that stays when one sample is taken out


@dataclass(frozen=True)
class LeftOut:
    """Samples of one class, each as the model sees it that never saw it."""

    logits: NDArray[np.float64]  # (n, C) whitened cosine; its own is -inf where the class has no other sample
    distance: NDArray[np.float64]  # (n,) squared Mahalanobis distance to the mean of its class


def leave_one_out(factor: Factor, rows: NDArray[np.float32], *, own: int) -> LeftOut:
    """Score rows (n, d) of class `own`, each without itself.

    Every row is taken out of its class's mean, of g and of Σ by a rank-one downdate (Sherman-Morrison) in
    whitened space; the shrinkage ρ, tr(S̄) and d_eff stay as they are.
    """
    classes, count = len(factor.labels), factor.counts[own]
    sample = whiten(factor, rows)
    gram = (factor.whitened @ factor.whitened.T).astype(np.float64)  # (C, C)
    along = (sample @ factor.whitened.T).astype(np.float64)  # (n, C) u_j . x
    length = np.square(sample).sum(axis=1, dtype=np.float64)  # (n,) x . x
    v_mean = along - gram[own]  # (n, C) v . u_j with v = x - u_own
    v_sample = length - along[:, own]
    v_length = np.maximum(length - 2 * along[:, own] + gram[own, own], 0)
    rest = max(count - 1, 1)
    weight = float(factor.downdate[own]) * count / rest
    gain = weight / np.maximum(1 - weight * v_length, SMALLEST_LEFT)  # Σ'⁻¹ = 1 + gain v vᵀ
    shift = np.full(classes, 1 / (rest * classes))  # e_j = u_j + shift_j v: means about the origin without the sample
    shift[own] -= 1 / rest
    y_shift = 1 / (rest * classes)  # y = x + y_shift v
    v_means = v_mean + shift * v_length[:, None]  # v . e_j
    squared = np.diag(gram) + 2 * shift * v_mean + shift**2 * v_length[:, None] + gain[:, None] * v_means**2
    counts = factor.counts.copy()
    counts[own] = rest
    typical = np.sqrt(debiased(squared, factor.effective_dimension / counts))
    inner = along + y_shift * v_mean + shift * v_sample[:, None] + shift * y_shift * v_length[:, None]
    along_v = gain * (v_sample + y_shift * v_length)
    logits = (inner + along_v[:, None] * v_means) / np.where(typical > 0, typical, np.inf)
    if count <= 1:
        logits[:, own] = -np.inf
    return LeftOut(logits, (count / rest) ** 2 * v_length * (1 + gain * v_length))
