"""Joint training: softmax regression on everything at once, run to convergence; the reference of a stream.

Not for the device: it keeps every latent and starts again with each lesson. Penalised by ½ λ ‖W‖² (the bias is
free) and class-balanced, so that it equals scikit-learn's ``LogisticRegression(class_weight="balanced")`` with
C = 1/(λ n).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.metrics import balanced_accuracy

Array = NDArray[np.float64]

PENALTIES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6)  # strongest first; λ over E‖x - E x‖²
FOLDS = 3
TOLERANCE = 1e-6  # largest entry of the gradient at convergence
ROUGH = 1e-5  # tolerance of penalties: accuracies settle long before the last digits of the weights
MOST_ITERATIONS = 2000
CORRECTIONS = 10  # pairs that L-BFGS remembers
ENOUGH = 1e-4  # share of the decrease that the slope promises which a step must give (Armijo)


@dataclass(frozen=True)
class JointHead:
    """Logits z = latents weightsᵀ + bias; one row a class of 0..C-1."""

    weights: Array
    """Shape (C, D)."""
    bias: Array
    """Shape (C,)."""
    penalty: float
    """Strength λ of the penalty."""
    iterations: int
    has_converged: bool

    def logits(self, latents: NDArray[np.floating]) -> Array:
        """Return logits (n, C) of latents (n, D)."""
        return np.asarray(latents, np.float64) @ self.weights.T + self.bias

    def answers(self, latents: NDArray[np.floating]) -> NDArray[np.intp]:
        """Return the class of each of n latents (n, D)."""
        best: NDArray[np.intp] = self.logits(latents).argmax(axis=1)
        return best


def fit_joint(
    latents: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    penalty: float,
    start: JointHead | None = None,
    tolerance: float = TOLERANCE,
) -> JointHead:
    """Fit class-balanced softmax regression: min (1/n) Σ_i n/(C n_{y_i}) · -log p_{y_i}(x_i) + ½ λ ‖W‖².

    Solved by L-BFGS in float64 on latents that are centred and scaled to E‖x‖² = 1, which changes the speed and the
    meaning of `tolerance`, not the solution.

    Parameters
    ----------
    latents
        (n, D), finite.
    labels
        (n,) in 0..C-1, each of them present.
    start
        Where to begin; by default at zero. The solution is the same.
    tolerance
        Converged when no entry of the gradient, in the scaled latents, is larger.

    Raises
    ------
    DataError
        When there are fewer than two classes, or one of 0..C-1 has no sample.

    Notes
    -----
    L-BFGS after Nocedal and Wright, Numerical Optimization (2006), algorithms 7.4 and 7.5.

    >>> fit_joint(np.array([[-1.0], [1.0]]), np.array([0, 1]), penalty=0.1).answers(np.array([[0.5]]))
    array([1])
    """
    counts = np.bincount(labels)
    if len(counts) < 2 or not counts.all():
        raise DataError(f"joint training wants two or more classes with samples, got counts {counts.tolist()}")
    centre, scale = latents.mean(axis=0, dtype=np.float64), float(np.sqrt(_spread(latents))) or 1.0
    objective = _Objective.of((latents - centre) / scale, labels, counts, penalty / scale**2)
    parameters = np.zeros((len(counts), latents.shape[1] + 1))
    if start is not None:
        parameters[:, :-1], parameters[:, -1] = start.weights * scale, start.bias + start.weights @ centre
    parameters, iterations, has_converged = _minimise(objective, parameters, tolerance)
    weights = parameters[:, :-1] / scale
    return JointHead(weights, parameters[:, -1] - weights @ centre, penalty, iterations, has_converged)


def _spread(latents: NDArray[np.floating]) -> float:
    """Return E‖x - E x‖²."""
    return float(np.var(latents, axis=0, dtype=np.float64).sum())


def choose_penalty(
    latents: NDArray[np.floating],
    labels: NDArray[np.integer],
    groups: NDArray[np.integer],
    *,
    seed: int,
    penalties: Sequence[float] = PENALTIES,
) -> float:
    """Choose the λ with the best balanced accuracy on groups left out in turn; of equals the strongest.

    Parameters
    ----------
    groups
        (n,) speaker or subject of each latent: none is on both sides of a fold.
    penalties
        Shares of E‖x - E x‖², from the strongest to the weakest: each fit starts from the one before.
    """
    strengths = [share * _spread(latents) for share in penalties]
    scores = np.zeros(len(penalties))
    for fitted, judged in _folds(labels, groups, seed=seed):
        known, compact = np.unique(labels[fitted], return_inverse=True)
        head: JointHead | None = None
        for index, penalty in enumerate(strengths):
            head = fit_joint(latents[fitted], compact, penalty=penalty, start=head, tolerance=ROUGH)
            scores[index] += balanced_accuracy(labels[judged], known[head.answers(latents[judged])])
    return strengths[int(scores.argmax())]


def _folds(
    labels: NDArray[np.integer], groups: NDArray[np.integer], *, seed: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield pairs of rows to fit and rows to judge, split by group; folds with a single class are skipped."""
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    folds = min(FOLDS, len(names))
    for fold in range(folds if folds > 1 else 0):
        out = np.isin(groups, names[fold::folds])
        fitted = np.flatnonzero(~out)
        judged = np.flatnonzero(out & np.isin(labels, labels[fitted]))
        if len(judged) and len(np.unique(labels[fitted])) > 1:
            yield fitted, judged


@dataclass(frozen=True)
class _Objective:
    """Loss and gradient at parameters (C, D + 1), the bias in the last column."""

    inputs: Array
    """Shape (n, D)."""
    labels: NDArray[np.integer]
    """Shape (n,)."""
    weights: Array
    """Shape (n,), of the samples; they sum to one."""
    penalty: float

    @staticmethod
    def of(inputs: Array, labels: NDArray[np.integer], counts: NDArray[np.integer], penalty: float) -> _Objective:
        return _Objective(inputs, labels, 1 / (len(counts) * counts[labels].astype(np.float64)), penalty)

    def __call__(self, parameters: Array) -> tuple[float, Array]:
        rank = np.arange(len(self.labels))
        z = self.inputs @ parameters[:, :-1].T + parameters[:, -1]  # (n, C)
        z -= z.max(axis=1, keepdims=True)
        own = z[rank, self.labels].copy()
        np.exp(z, out=z)
        total = z.sum(axis=1)
        loss = float(self.weights @ (np.log(total) - own))
        z *= (self.weights / total)[:, None]
        z[rank, self.labels] -= self.weights
        gradient = np.empty_like(parameters)
        gradient[:, :-1] = z.T @ self.inputs + self.penalty * parameters[:, :-1]
        gradient[:, -1] = z.sum(axis=0)
        return loss + 0.5 * self.penalty * float(np.square(parameters[:, :-1]).sum()), gradient


def _minimise(objective: Callable[[Array], tuple[float, Array]], x: Array, tolerance: float) -> tuple[Array, int, bool]:
    """Minimise by L-BFGS with backtracking: return (minimum, iterations, whether it converged)."""
    value, gradient = objective(x)
    pairs: list[tuple[Array, Array]] = []
    for iteration in range(MOST_ITERATIONS):
        if np.abs(gradient).max() <= tolerance:
            return x, iteration, True
        direction = -_inverse_hessian_times(gradient, pairs)
        step = _line_search(objective, x, value, gradient, direction, first=not pairs)
        if step is None:  # rounding leaves nothing to gain along this direction
            return x, iteration, False
        moved, value, fresh = step
        taken, change = moved - x, fresh - gradient
        if float(np.vdot(taken, change)) > 0:
            pairs = [*pairs[-CORRECTIONS + 1 :], (taken, change)]
        x, gradient = moved, fresh
    return x, MOST_ITERATIONS, False


def _inverse_hessian_times(vector: Array, pairs: Sequence[tuple[Array, Array]]) -> Array:
    """Return the direction by the two-loop recursion (Nocedal and Wright, algorithm 7.4)."""
    if not pairs:
        return vector
    result = vector.copy()
    shares = []
    for taken, change in reversed(pairs):
        share = float(np.vdot(taken, result)) / float(np.vdot(taken, change))
        result -= share * change
        shares.append(share)
    taken, change = pairs[-1]
    result *= float(np.vdot(taken, change)) / float(np.vdot(change, change))
    for (taken, change), share in zip(pairs, reversed(shares), strict=True):
        result += (share - float(np.vdot(change, result)) / float(np.vdot(taken, change))) * taken
    return result


def _line_search(
    objective: Callable[[Array], tuple[float, Array]],
    x: Array,
    value: float,
    gradient: Array,
    direction: Array,
    *,
    first: bool,
) -> tuple[Array, float, Array] | None:
    """Halve the step until it decreases the objective enough; the first step is scaled by the gradient."""
    slope = float(np.vdot(gradient, direction))
    size = 1 / max(1.0, float(np.abs(gradient).sum())) if first else 1.0
    for _ in range(40):
        moved = x + size * direction
        reached, fresh = objective(moved)
        if reached <= value + ENOUGH * size * slope:
            return moved, reached, fresh
        size /= 2
    return None
