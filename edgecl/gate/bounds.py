"""Normal quantiles, the Jeffreys posterior and the paired bound."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

ONE_SIDED_95 = 1.645
ONE_SIDED_90 = 1.282
ANGLES = (np.arange(1000) + 0.5) * np.pi / 2000  # rate = sin² of these: the Jeffreys prior is flat over angles


def posterior_above(successes: float, failures: float, threshold: float) -> float:
    """P(rate > threshold) for a rate with a Beta(successes + ½, failures + ½) posterior (Jeffreys prior)."""
    log_density = 2 * (successes * np.log(np.sin(ANGLES)) + failures * np.log(np.cos(ANGLES)))
    density = np.exp(log_density - log_density.max())
    return float(density[np.sin(ANGLES) ** 2 > threshold].sum() / density.sum())


ONE_SIDED_80, ONE_SIDED_99 = 0.842, 2.326  # normal quantiles of .8 and .99, in standard errors


def paired_bound(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> float:
    """Lower one-sided 95 % bound of the gain in accuracy from `before` to `after` on the same rows (n,)."""
    change = after.astype(np.float64) - before
    rate = (np.abs(change).sum() + 1) / (len(change) + 2)  # answers that differ, smoothed
    return float(change.mean() - ONE_SIDED_95 * math.sqrt(max(float(change.var()), rate) / len(change)))
