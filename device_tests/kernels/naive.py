"""Slow twins of the kernels: each formula as its paper writes it, in float64."""

from __future__ import annotations

import math
import os

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
PLAIN = os.environ.get("NUMBA_DISABLE_JIT", "0") not in (
    "",
    "0",
)  # kernels run as plain Python: keep sizes small


def pick(compiled: int, plain: int) -> int:
    """Return a size, smaller where kernels run as plain Python."""
    return plain if PLAIN else compiled


def splitmix64(seed: int, count: int) -> list[int]:
    """Return the first words of the generator of Steele, Lea and Flood (2014), state and all."""
    state, words = seed % 2**64, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        words.append(z ^ (z >> 31))
    return words


def lift_signs(seed: int, width: int, dimension: int) -> F64:
    """P[r, d] = 1 - 2 * (bit r mod 64 of word d*ceil(w/64) + r div 64)."""
    blocks = math.ceil(width / 64)
    words = splitmix64(seed, dimension * blocks)
    signs = np.empty((width, dimension))
    for r in range(width):
        for d in range(dimension):
            signs[r, d] = 1 - 2 * (words[d * blocks + r // 64] >> (r % 64) & 1)
    return signs


def lift(x: NDArray[np.float32], seed: int, width: int) -> F64:
    """h = [ReLU(Px)/sqrt(D), x]."""
    wide = x.astype(np.float64)
    if width == 0:
        return wide
    dimension = x.shape[1]
    projected = wide @ lift_signs(seed, width, dimension).T / math.sqrt(dimension)
    return np.concatenate([np.maximum(projected, 0), wide], axis=1)


def gather(rows, scales, indices, offset, factor, lift_width, seed, columns) -> F64:
    """Features with a bias column, zero-padded; a zero row for an empty slot."""
    out = np.zeros((len(indices), columns))
    for b, index in enumerate(indices):
        if index < 0:
            continue
        x = (scales[index].astype(np.float64) * rows[index])[None]
        h = lift(x, seed, lift_width)[0]
        out[b, : h.size] = (h - offset) * factor
        out[b, h.size] = 1
    return out


def softmax(z) -> F64:
    """exp(z - max) / Σ exp(z - max), row by row."""
    shifted = np.exp(np.asarray(z, np.float64) - np.max(z, axis=1, keepdims=True, initial=-np.inf))
    return shifted / shifted.sum(axis=1, keepdims=True)


def refine(parameters, features, labels, schedule, sample_weights, rates, momentum, penalty) -> tuple[F64, F64]:
    """Weights and velocity after S proximal steps; `features` (N, ld) are already gathered."""
    weights, velocity, precision, anchor = parameters.astype(np.float64)
    for slots, rate in zip(schedule, rates, strict=True):
        gradient = np.zeros_like(weights)
        for b, slot in enumerate(slots):
            if slot < 0:
                continue
            x = features[slot]
            residual = softmax((weights @ x)[None])[0]
            residual[labels[slot]] -= 1
            gradient += sample_weights[b] * np.outer(residual, x)
        velocity = momentum * velocity + gradient
        pull = rate * penalty * precision
        weights = (weights - rate * velocity + pull * anchor) / (1 + pull)
    return weights, velocity


def fisher(x, weights) -> F64:
    """Σ_n E_y[(∂ log p(y|x_n) / ∂θ)²], the expectation written out over every class y."""
    out = np.zeros(weights.shape)
    for row in x.astype(np.float64):
        p = softmax((weights.astype(np.float64) @ row)[None])[0]
        for y, probability in enumerate(p):
            gradient = np.outer(np.eye(len(p))[y] - p, row)
            out += probability * gradient**2
    return out


def herding(x, target, count) -> list[int]:
    """Algorithm 4 of iCaRL, means recomputed; no row twice; the lowest index of equals."""
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(int(np.argmin(herding_distances(x, target, chosen))))
    return chosen


def herding_distances(x, target, chosen) -> F64:
    """‖target - (x_i + Σ chosen)/k‖ for every row not chosen, infinite for the others."""
    x = x.astype(np.float64)
    total = x[chosen].sum(axis=0)
    distances = np.full(len(x), np.inf)
    for i in range(len(x)):
        if i not in chosen:
            distances[i] = np.linalg.norm(target - (x[i] + total) / (len(chosen) + 1))
    return distances


def quantise(x) -> tuple[NDArray[np.int8], F64]:
    """round(x / scale), scale = max|x| / 127; halves away from zero."""
    x = x.astype(np.float64)
    scales = np.abs(x).max(axis=1, initial=0) / 127
    ratio = np.divide(x, scales[:, None], out=np.zeros_like(x), where=scales[:, None] > 0)
    return (np.sign(ratio) * np.floor(np.abs(ratio) + 0.5)).astype(np.int8), scales


def pack(matrix, dtype):
    """Lower triangle row by row."""
    return np.ascontiguousarray(matrix[np.tril_indices(len(matrix))], dtype)


def scatter(x) -> F64:
    """XᵀX, packed, as a sum of outer products."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for row in x.astype(np.float64):
        total += np.outer(row, row)
    return pack(total, np.float64)


def adwin(values, delta=0.002, clock=32, shortest=5, grace=10, buckets=5) -> list[int]:
    """ADWIN2 with every value kept in its bucket, oldest first; a window begins anew after a change."""
    window: list[list[float]] = []
    changes = []
    ticks = 0
    for value in values:
        window.append([float(value)])
        merge_full(window, buckets)
        ticks += 1
        change = 0
        if ticks % clock == 0:
            while (difference := difference_at_cut(window, delta, shortest, grace)) != 0:
                change = change or (1 if difference > 0 else -1)
                del window[0]
        changes.append(change * sum(map(len, window)))
        if change:
            window, ticks = [], 0
    return changes


def merge_full(window: list[list[float]], buckets: int) -> None:
    """Merge the two oldest of a size of which there are more than `buckets`, then so the next size."""
    size = 1
    while sum(len(bucket) == size for bucket in window) > buckets:
        first = next(at for at, bucket in enumerate(window) if len(bucket) == size)
        window[first : first + 2] = [window[first] + window[first + 1]]
        size *= 2


def difference_at_cut(window: list[list[float]], delta: float, shortest: int, grace: int) -> float:
    """μ1 - μ0 at the first border between buckets with |μ0 - μ1| > ε_cut; else 0."""
    every = np.concatenate(window)
    if len(every) <= grace:
        return 0.0
    confidence = math.log(2 * math.log(len(every)) / delta)
    for count in range(1, len(window)):
        before, after = np.concatenate(window[:count]), np.concatenate(window[count:])
        if min(len(before), len(after)) < shortest:
            continue
        m = 1 / (len(before) - shortest + 1) + 1 / (len(after) - shortest + 1)
        if abs(after.mean() - before.mean()) > math.sqrt(2 * m * every.var() * confidence) + 2 / 3 * m * confidence:
            return float(after.mean() - before.mean())
    return 0.0


def page_hinkley(values, delta=0.005, threshold=50.0, alpha=0.9999, grace=30) -> list[int]:
    """Both sums from their definition, the mean recomputed from all values since the last change."""
    changes: list[int] = []
    start = 0
    for now in range(1, len(values) + 1):
        rises, falls = [0.0], [0.0]
        for t in range(start + 1, now + 1):
            apart = values[t - 1] - np.mean(values[start:t])
            rises.append(alpha * rises[-1] + apart - delta)
            falls.append(alpha * falls[-1] + apart + delta)
        change, count = 0, now - start
        if count >= grace and rises[-1] - min(rises[1:]) > threshold:
            change = count - int(np.argmin(rises[1:])) - 1
        elif count >= grace and max(falls[1:]) - falls[-1] > threshold:
            change = -(count - int(np.argmax(falls[1:])) - 1)
        changes.append(change)
        start = now if change else start
    return changes


def adagrad(x, labels, weights, classes, *, rate):
    """Softmax steps as Duchi, Hazan and Singer (2011) write them; weights and the answer before each step."""
    w, g = np.zeros((classes, x.shape[1])), np.zeros((classes, x.shape[1]))
    answers = np.zeros((len(x), classes))
    for i, row in enumerate(x.astype(np.float64)):
        answers[i] = softmax((w @ row)[None])[0]
        gradient = weights[i] * np.outer(answers[i] - np.eye(classes)[labels[i]], row)
        g += gradient**2
        w -= rate * gradient / np.sqrt(g + 1e-8)
    return w, answers


def least_squares(x, labels, classes, *, forgetting, start):
    """Recursive least squares on whole matrices; every fourth row excites a column."""
    d = x.shape[1]
    w, p = np.zeros((classes, d)), start * np.eye(d)
    answers = np.zeros((len(x), classes))
    for i, row in enumerate(x.astype(np.float64)):
        answers[i] = w @ row
        gain = p @ row / (forgetting + row @ p @ row)
        w += np.outer(np.eye(classes)[labels[i]] - answers[i], gain)
        p = (p - np.outer(gain, p @ row)) / forgetting
        if forgetting < 1 and i % 4 == 3:
            unit = np.sqrt(4 * d * (1 - forgetting) / start) * np.eye(d)[i // 4 % d]
            p -= np.outer(p @ unit, p @ unit) / (1 + unit @ p @ unit)
    return answers, w, p


def cells(x, labels, classes, columns, thresholds, *, rate, kept=0.999):
    """AdaGrad on the indicator of each cell, the squared gradients fading where a cell is stepped."""
    tables, tests = columns.shape
    w, g = np.zeros((classes, tables << tests)), np.zeros((classes, tables << tests))
    answers = np.zeros((len(x), classes))
    for i, row in enumerate(x):
        passed = [
            [columns[m, t] >= 0 and row[columns[m, t]] > thresholds[m, t] for t in range(tests)] for m in range(tables)
        ]
        active = [(m << tests) + sum(int(one) << t for t, one in enumerate(passed[m])) for m in range(tables)]
        answers[i] = softmax(w[:, active].sum(axis=1)[None])[0]
        residual = (answers[i] - np.eye(classes)[labels[i]])[:, None]
        g[:, active] = kept * g[:, active] + residual**2
        w[:, active] -= rate * residual / np.sqrt(g[:, active] + 1e-8)
    return w, answers


def fixed_share(held, labels, *, share, floor, rate):
    """Weights of experts after their answers (n, K, C), by log loss at a learning rate (Herbster and Warmuth 1998)."""
    count = held.shape[1]
    weights = np.full(count, 1 / count)
    for answers, label in zip(held.astype(np.float64), labels, strict=True):
        weights = weights * np.exp(rate * np.log(np.maximum(answers[:, label], floor)))
        weights = (1 - share) * weights / weights.sum() + share / count
    return weights
