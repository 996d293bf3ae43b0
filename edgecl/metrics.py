"""Metrics of a learner over a stream of experiences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def balanced_accuracy(labels: NDArray[np.integer], predictions: NDArray[np.integer]) -> float:
    """Return the mean over the classes in `labels` (n,) of the share of their samples predicted right.

    >>> balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]))
    0.5
    """
    return float(np.mean([np.mean(predictions[labels == one] == one) for one in np.unique(labels)]))


def forgetting(accuracy_matrix: NDArray[np.float64]) -> float:
    """Return the mean over all experiences but the last of the best accuracy reached on it minus the final one.

    Parameters
    ----------
    accuracy_matrix
        (T, T): R[i, j] is the accuracy on experience j after learning experience i (only j <= i is used).

    Notes
    -----
    Chaudhry et al. (2018), equation 3: f_j = max_{l < T} R[l, j] - R[T, j].

    >>> forgetting(np.array([[1.0, 0.0], [0.75, 1.0]]))
    0.25
    """
    steps = len(accuracy_matrix)
    if steps < 2:
        return 0.0
    drops = [accuracy_matrix[j:-1, j].max() - accuracy_matrix[-1, j] for j in range(steps - 1)]
    return float(np.mean(drops))


def backward_transfer(accuracy_matrix: NDArray[np.float64]) -> float:
    """Return BWT: the mean over all experiences but the last of the final accuracy minus that right after learning.

    Notes
    -----
    Lopez-Paz and Ranzato (2017): BWT = 1/(T-1) Σ_j (R[T, j] - R[j, j]). Negative means forgetting; it differs
    from `forgetting` where an experience got better before it got worse.

    >>> backward_transfer(np.array([[1.0, 0.0], [0.75, 1.0]]))
    -0.25
    """
    steps = len(accuracy_matrix)
    if steps < 2:
        return 0.0
    return float(np.mean([accuracy_matrix[-1, j] - accuracy_matrix[j, j] for j in range(steps - 1)]))
