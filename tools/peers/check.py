"""Check that a peer does what it is timed for: its answer after one run against float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from peers.contestant import Ready
from peers.workloads import FISHER_ROWS, HERDING_ROWS, SCATTER_ROWS, Case, expected_weights, softmax

TOLERANCE = 1e-2  # of the largest change or entry


def error(task: str, case: Case, ready: Ready) -> float | None:
    """Return the largest error of a peer after one run, as a share of the right result; None if it cannot be known."""
    if ready.weights is not None:
        expected = expected_weights(case, int(ready.units), **ready.expected)
        moved = np.abs(expected - case.start[0]).max()
        return float(np.abs(ready.weights() - expected).max() / moved)
    if ready.answer is None:
        return None
    if task == "herding":
        return herding_error(case, ready.answer())
    expected = fisher(case) if task == "fisher" else scatter(case)
    return float(np.abs(ready.answer() - expected).max() / np.abs(expected).max())


def fisher(case: Case) -> NDArray[np.float64]:
    x = case.padded[:FISHER_ROWS].astype(np.float64)
    p = softmax(x @ case.start[0].astype(np.float64).T)
    return np.asarray((p * (1 - p)).T @ x**2)


def scatter(case: Case) -> NDArray[np.float64]:
    x = case.latents[:SCATTER_ROWS].astype(np.float64)
    return np.asarray(x.T @ x)


def herding_error(case: Case, order: NDArray[np.int32]) -> float:
    """By how much a pick is farther than the nearest that could be picked, at worst, as a share of that."""
    z = case.latents[:HERDING_ROWS].astype(np.float64)
    z -= z.mean(axis=0)
    total, free, worst = np.zeros(case.dimension), np.ones(HERDING_ROWS, bool), 0.0
    for k, pick in enumerate(order):
        distances = np.linalg.norm(z + total, axis=1) / (k + 1)
        worst = max(worst, distances[pick] / distances[free].min() - 1)
        total, free[pick] = total + z[pick], False
    return worst if free.sum() == HERDING_ROWS - len(order) else 1.0
