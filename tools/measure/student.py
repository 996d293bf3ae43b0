"""How the student of the second stage is taught: two layers of numpy, by Adam, from windows of `student_sound`.

In: the means of three thirds of a window, each less the extractor's mean, together of length 1 (3 D columns). Out: the
vector of the network in `edgecl.extractors.verifier` in the first DIRECTIONS of `edgecl.spotting.reference`, less the
mean of these vectors: answers to sound that tells little are then not all alike. The columns are whitened for training,
which is folded into the first layer afterwards.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecl.spotting.reference import factory_directions
from edgecl.spotting.student import Net, units

HIDDEN = 512
DIRECTIONS = 60  # of 64: the number tells the references of this student from those of the first one
EPOCHS, BATCH, RATE, DECAY = 60, 128, 2e-3, 1e-3
DROPPED, NOISE = 0.5, 0.5  # share of hidden units left out, deviation of what is added to the whitened columns
RIDGE = 0.05  # of the mean variance, in whitening

Rows = NDArray[np.float32]


def taught(z: Rows, wanted: Rows, *, seed: int = 0, epochs: int = EPOCHS, hidden: int = HIDDEN) -> Net:
    """Return a student of rows (n, 3 D) and what is wanted of them (n, K), by the cosine."""
    rng = np.random.default_rng(seed)
    mean = z.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov((z - mean).T))
    white = (axes / np.sqrt(np.maximum(variances, 0) + RIDGE * variances.mean())).astype(np.float32)
    x = (z - mean) @ white
    held = [drawn(rng, x.shape[1], hidden, 2.0), np.zeros(hidden, np.float32),
            drawn(rng, hidden, wanted.shape[1], 1.0), np.zeros(wanted.shape[1], np.float32)]  # fmt: skip
    means, squares = [np.zeros_like(one) for one in held], [np.zeros_like(one) for one in held]
    steps, step = epochs * (len(x) // BATCH), 0
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for first in range(0, len(x) - BATCH + 1, BATCH):
            rows, step = order[first : first + BATCH], step + 1
            noisy = x[rows] + np.float32(NOISE) * rng.standard_normal((BATCH, x.shape[1]), np.float32)
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            for at, gradient in enumerate(gradients(held, noisy, wanted[rows], rng)):
                means[at] += (gradient - means[at]) * np.float32(0.1)
                squares[at] += (np.square(gradient) - squares[at]) * np.float32(0.001)
                moved = means[at] / (1 - 0.9**step) / (np.sqrt(squares[at] / (1 - 0.999**step)) + 1e-9)
                held[at] -= (rate * (moved + (DECAY * held[at] if held[at].ndim == 2 else 0))).astype(np.float32)
    first_layer = white @ held[0]
    return Net(first_layer, held[1] - mean @ first_layer, held[2], held[3])


def wanted(vectors: NDArray[np.floating]) -> Rows:
    """Return what a student is to answer to vectors (n, 2048) of the network: (n, DIRECTIONS)."""
    directions = factory_directions()
    found = (np.asarray(vectors, np.float32) - directions.mean) @ directions.matrix[:, :DIRECTIONS]
    return units(found - found.mean(axis=0))


def gradients(held: list[Rows], x: Rows, wanted: Rows, rng: np.random.Generator) -> list[Rows]:
    """Return the gradients of minus the mean cosine, with some hidden units left out."""
    first, first_bias, second, second_bias = held
    inside = x @ first + first_bias
    kept = ((rng.random(inside.shape, np.float32) > DROPPED) & (inside > 0)) / np.float32(1 - DROPPED)
    hidden = inside * kept
    answer = hidden @ second + second_bias
    length = np.linalg.norm(answer, axis=1, keepdims=True) + np.float32(1e-6)
    unit = answer / length
    slope = (unit * (unit * wanted).sum(axis=1, keepdims=True) - wanted) / length / len(x)
    inner = (slope @ second.T) * kept
    return [x.T @ inner, inner.sum(axis=0), hidden.T @ slope, slope.sum(axis=0)]


def drawn(rng: np.random.Generator, rows: int, columns: int, gain: float) -> Rows:
    found: Rows = (rng.standard_normal((rows, columns)) * np.sqrt(gain / rows)).astype(np.float32)
    return found
