"""Noise by which a share is differentially private for a single sample.

Latents have length 1, so one sample more or less moves the count by 1, the sum by a vector of length 1 and the second
moment Σ x xᵀ by a matrix of Frobenius norm 1: by √3 together. Gaussian noise on all three has the least standard
deviation that is (ε, δ)-differentially private, by the analytic Gaussian mechanism (Balle and Wang 2018, theorem 8):

    Φ(Δ/2σ - εσ/Δ) - e^ε Φ(-Δ/2σ - εσ/Δ) ≤ δ

It holds for one file. Files of several rounds add up: k of them are (k ε, k δ) at most. Which classes a store has, and
the labels, are not hidden.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import SettingError
from edgecl.model.statistics import ClassStatistics, square

SENSITIVITY = math.sqrt(3)
LARGEST_EPSILON = 100.0
SMALLEST_SIGMA, LARGEST_SIGMA = 1e-6, 1e9
STEPS = 200  # of bisection


@dataclass(frozen=True)
class Noise:
    """A privacy budget; raises SettingError where it is none."""

    epsilon: float
    delta: float = 1e-5

    def __post_init__(self) -> None:
        if not 0 < self.epsilon <= LARGEST_EPSILON or not 0 < self.delta < 0.5:
            raise SettingError(f"ε = {self.epsilon} and δ = {self.delta}: wanted above 0 to 100, and above 0 to 0.5")

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise."""
        return analytic_sigma(self.epsilon, self.delta, sensitivity=SENSITIVITY)

    def stated(self) -> dict[str, float]:
        """Return what the file states of it."""
        return {"epsilon": self.epsilon, "delta": self.delta}


def analytic_sigma(epsilon: float, delta: float, *, sensitivity: float = 1.0) -> float:
    """Return the least standard deviation of Gaussian noise that is (ε, δ)-differentially private.

    >>> round(analytic_sigma(1.0, 1e-5), 3)
    3.73
    """
    low, high = SMALLEST_SIGMA, LARGEST_SIGMA
    for _ in range(STEPS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if spent(middle, epsilon) > delta else (low, middle)
    return high * sensitivity


def spent(sigma: float, epsilon: float) -> float:
    """Return the least δ for which noise of a standard deviation is (ε, δ)-private at sensitivity 1."""
    near, far = 1 / (2 * sigma) - epsilon * sigma, -1 / (2 * sigma) - epsilon * sigma
    return _phi(near) - math.exp(epsilon + _log_phi(far))


def _phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _log_phi(x: float) -> float:
    """Return ln Φ(x), by its asymptotic series where Φ is below the smallest float."""
    if x > -30:
        return math.log(_phi(x))
    return -x * x / 2 - math.log(-x * math.sqrt(2 * math.pi)) + math.log1p(-1 / (x * x))


def noisy(
    statistics: Mapping[str, ClassStatistics], budget: Noise, *, seed: int | None = None, is_unit: bool
) -> dict[str, ClassStatistics]:
    """Return statistics with noise; a class whose noisy count is below 1 is left out.

    Raises
    ------
    SettingError
        When features are not of length 1: then one sample may move the sums by anything.
    """
    if not is_unit:
        raise SettingError("noise needs latents of length 1, without projection, lift or centre")
    draw, sigma, found = np.random.default_rng(seed), budget.sigma, {}
    for label, one in sorted(statistics.items()):
        changed = _noisy_class(one, sigma, draw)
        if changed is not None:
            found[label] = changed
    if not found:
        raise SettingError(f"ε = {budget.epsilon} leaves nothing of {len(statistics)} classes: too few samples")
    return found


def _noisy_class(one: ClassStatistics, sigma: float, draw: np.random.Generator) -> ClassStatistics | None:
    d = one.dimension
    moment = square(one.scatter, d).astype(np.float64) + one.count * np.outer(one.mean, one.mean)
    total = one.count * one.mean + draw.normal(0, sigma, d)
    count = round(one.count + draw.normal(0, sigma))
    upper = np.triu(draw.normal(0, sigma / math.sqrt(2), (d, d)), 1)  # twice in the matrix: √2 in its norm
    moment += upper + upper.T + np.diag(draw.normal(0, sigma, d))
    if count < 1:
        return None
    mean = total / count
    mean /= max(float(np.linalg.norm(mean)), 1.0)
    return ClassStatistics(count, mean, _positive(moment - count * np.outer(mean, mean)))


def _positive(matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the nearest positive semidefinite matrix, packed."""
    values, vectors = np.linalg.eigh(matrix)
    nearest = (vectors * np.maximum(values, 0)) @ vectors.T
    return np.asarray(nearest[np.tril_indices(len(nearest))], np.float32)
