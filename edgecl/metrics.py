"""Metrics of a learner over a stream of experiences."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


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


def average_precision(is_positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Return the area under the precision-recall curve of n rows; ties count together.

    Examples
    --------
    >>> average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7]))
    0.8333333333333333
    """
    order = np.argsort(-scores, kind="stable")
    right, ranked = is_positive[order].astype(float), scores[order]
    last_of_tie = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1) if len(ranked) else np.zeros(0, int)
    found = np.cumsum(right)[last_of_tie]
    precision = found / (last_of_tie + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / max(right.sum(), 1))


def recall_at_budget(is_positive: NDArray[np.bool_], scores: NDArray[np.floating], *, per_1000: float) -> float:
    """Return the share of the positives among the highest scores, per_1000 of 1,000 rows.

    Examples
    --------
    >>> recall_at_budget(np.array([True, False, True, False]), np.array([4.0, 3, 2, 1]), per_1000=500)
    0.5
    """
    count = int(len(scores) * per_1000 / 1000)
    chosen = np.argsort(-scores, kind="stable")[:count]
    return float(is_positive[chosen].sum() / max(is_positive.sum(), 1))


def hit_rate(ranks: NDArray[np.integer], *, top: int) -> float:
    """Return the share of the rows whose label is among the `top` first answers; ranks (n) count from 0.

    Examples
    --------
    >>> hit_rate(np.array([0, 4, 9]), top=5)
    0.6666666666666666
    """
    return float((ranks < top).mean()) if len(ranks) else 0.0


def ndcg(ranks: NDArray[np.integer], *, top: int) -> float:
    """Return the normalised discounted cumulative gain of one right answer per row.

    It is the mean of 1/log2(rank + 2), and zero where rank >= top; ranks (n) count from 0.

    Examples
    --------
    >>> ndcg(np.array([0, 2, 7]), top=5)
    0.5
    """
    return float(np.where(ranks < top, 1 / np.log2(ranks + 2.0), 0).mean()) if len(ranks) else 0.0


def kappa(right: float, by_chance: float) -> float:
    """Return the share right beyond what another way has right: Cohen's kappa, or with "the same again" kappa-temporal.

    Examples
    --------
    >>> kappa(0.9, 0.8)
    0.5
    """
    return round((right - by_chance) / (1 - by_chance), 12) if by_chance < 1 else 0.0


def median(values: ArrayLike) -> float:
    """Return the median of all values, with the bits of `numpy.median`.

    `numpy.median` loads `numpy.ma` to look for NaN, which takes a small device as long as a tenth of a lesson.

    >>> median([3.0, 1.0, 2.0, 10.0]), median([])
    (2.5, nan)
    """
    flat = np.asarray(values).ravel()
    if not flat.size:
        return float("nan")
    half = flat.size // 2
    first = half - 1 + flat.size % 2
    ordered = np.partition(flat, (first, half, flat.size - 1))
    largest = ordered[-1]  # NaN is the largest of all
    return float(ordered[first : half + 1].mean() if largest == largest else largest)


def quantile(values: ArrayLike, share: float) -> float:
    """Return a quantile of all values, at least one and none NaN, with the bits that `numpy.quantile` gives float64.

    Between two values it is interpolated. `numpy.quantile` loads `numpy.ma` as well, through `numpy.unique`.

    >>> quantile([1.0, 2.0, 4.0], 0.75), quantile([5.0], 0.1)
    (3.0, 5.0)
    """
    flat = np.asarray(values, np.float64).ravel()
    place = (flat.size - 1) * share
    below = int(place)
    above, part = min(below + 1, flat.size - 1), place - below
    ordered = np.partition(flat, (below, above))
    low, high = float(ordered[below]), float(ordered[above])
    return high - (high - low) * (1 - part) if part >= 0.5 else low + (high - low) * part
