"""A hop of a stream: frames to its latent, the bounds of its words' scores, and what a student adds to them."""

from __future__ import annotations

import math

import numpy as np

from edgecl_kernels._types import F32, F64, I16, I32

_ZERO = np.float32(0)
_HALF = np.float32(0.5)
_SHORTEST = 1e-12
_SHORTEST_ROW = np.float32(1e-9)


def pool_frames(ring: F32, first: I32, mean: F32, has_unit_length: int, squares: F64, latent: F32) -> int:
    """latent (D) = mean of rows first[0] to first[1] - 1 of `ring` (n, D), minus `mean` (D); of length 1 where wanted.

    With the bits of numpy: rows are added one after the other, and `squares` (D), at most 128, by eight accumulators.
    Returns 1: what comes next in turn is done.
    """
    dimension = latent.shape[0]
    for d in range(dimension):
        latent[d] = ring[first[0], d]
    for i in range(first[0] + 1, first[1]):
        for d in range(dimension):
            latent[d] += ring[i, d]
    frames = np.float32(first[1] - first[0])
    for d in range(dimension):
        latent[d] = latent[d] / frames - mean[d]
    if has_unit_length == 0:
        return 1
    for d in range(dimension):
        squares[d] = np.float64(latent[d]) * np.float64(latent[d])
    length = np.float32(max(math.sqrt(sum_in_eights(squares)), _SHORTEST))
    for d in range(dimension):
        latent[d] = latent[d] / length
    return 1


def sum_in_eights(x: F64) -> float:
    """Sum of x (n), n <= 128, in the order of numpy's pairwise sum."""
    n = x.shape[0]
    whole = n - n % 8
    total = 0.0
    if whole:
        a, b, c, d, e, f, g, h = x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
        for i in range(8, whole, 8):
            a += x[i]
            b += x[i + 1]
            c += x[i + 2]
            d += x[i + 3]
            e += x[i + 4]
            f += x[i + 5]
            g += x[i + 6]
            h += x[i + 7]
        total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for i in range(whole, n):
        total += x[i]
    return total


def bound_by_noise(
    row: F32,
    factors: F32,
    shifts: F32,
    margins: F32,
    words: F32,
    numbers: F32,
    limits: F32,
    found: F32,
    densities: F32,
    bounds: F32,
) -> int:
    """bounds (C) of the scores of `row` (L): a word's density less that of the likeliest noise.

    `factors` (L, (G + 1) D) whitens a row for the words, then for each noise; `shifts` are minus the whitened means,
    zeros first; `margins` (G) is what a noise's constant exceeds that of the words by; `found` ((G + 1) D) workspace.
    `words` (D, C) are whitened means m, `numbers` (3, C) minus half their squared lengths, sharpness and constant. With
    w the whitened row: densities_k = (w m_k + numbers_0k - |w|^2/2) numbers_1k - numbers_2k.
    Returns how many bounds reach `limits` (C).
    """
    dimension = words.shape[0]
    add_layer(row, factors, shifts, found)
    noise = -half_square(found, dimension, 2 * dimension) - margins[0]
    for g in range(1, margins.shape[0]):
        start = (g + 1) * dimension
        noise = max(noise, -half_square(found, start, start + dimension) - margins[g])
    half = half_square(found, 0, dimension)
    add_layer(found[:dimension], words, numbers[0], densities)
    for k in range(densities.shape[0]):
        densities[k] = (densities[k] - half) * numbers[1, k] - numbers[2, k]
        bounds[k] = densities[k] - noise
    return count_reached(bounds, limits)


def bound_by_means(
    whitened: F32, means: I16, lengths: F32, scale: float, limits: F32, found: F32, densities: F32, bounds: F32
) -> int:
    """Lower `bounds` (C) to a word's density less that of the nearest mean, where that is less.

    `whitened` begins with a row (D); `means` (D, M) and `lengths` (M), minus half their squared lengths, are in units
    of `scale`; `found` (M) workspace. Returns how many bounds reach `limits` (C).
    """
    dimension = means.shape[0]
    add_layer(whitened[:dimension], means, lengths, found)
    nearest = found[0]
    for j in range(1, found.shape[0]):
        nearest = max(nearest, found[j])
    nearest = nearest * np.float32(scale) - half_square(whitened, 0, dimension)
    for k in range(bounds.shape[0]):
        bounds[k] = min(bounds[k], densities[k] - nearest)
    return count_reached(bounds, limits)


def ask_student(
    ring: F32,
    first: I32,
    mean: F32,
    inner: I16,
    inner_bias: F32,
    outer: F32,
    outer_bias: F32,
    directions: F32,
    reach: F32,
    bounds: F32,
    limits: F32,
    row: F32,
    hidden: F32,
    answer: F32,
    added: F32,
) -> int:
    """added (C) = reach (C) times the cosines of a student's answer with `directions` (K, C).

    The frames are rows first[0] to first[1] - 1, a multiple of three, of `ring` (n, D). Returns how many of `bounds`
    (C), each with what is added to it if that is more than nothing, reach `limits`.
    z = unit(the means of three thirds of the frames, each minus `mean` (D)), kept in `row` (3 D);
    `answer` (K) = relu(z inner + inner_bias) outer + outer_bias, with `hidden` (H) between.
    """
    dimension, hops = mean.shape[0], (first[1] - first[0]) // 3
    share = np.float32(1) / np.float32(hops)
    for third in range(3):
        for d in range(dimension):
            total = _ZERO
            for i in range(first[0] + third * hops, first[0] + (third + 1) * hops):
                total += ring[i, d]
            row[third * dimension + d] = total * share - mean[d]
    scale_to_unit(row)
    add_layer(row, inner, inner_bias, hidden)
    for k in range(answer.shape[0]):
        answer[k] = outer_bias[k]
    for j in range(hidden.shape[0]):
        if hidden[j] > _ZERO:  # a fifth of them are
            for k in range(answer.shape[0]):
                answer[k] += hidden[j] * outer[j, k]
    scale_to_unit(answer)
    for k in range(added.shape[0]):
        added[k] = _ZERO
    for d in range(answer.shape[0]):
        for k in range(added.shape[0]):
            added[k] += answer[d] * directions[d, k]
    reached = 0
    for k in range(added.shape[0]):
        added[k] *= reach[k]
        if bounds[k] + max(added[k], _ZERO) >= limits[k]:
            reached += 1
    return reached


def half_square(x: F32, start: int, stop: int) -> np.float32:
    """Half the squared length of x[start:stop]."""
    total = _ZERO
    for i in range(start, stop):
        total += x[i] * x[i]
    return total * _HALF


def count_reached(x: F32, limits: F32) -> int:
    """How many of x (n) reach their limits (n)."""
    reached = 0
    for i in range(x.shape[0]):
        if x[i] >= limits[i]:
            reached += 1
    return reached


def add_layer(x: F32, weights: F32 | I16, bias: F32, out: F32) -> None:
    """out (m) = x (n) weights (n, m) + bias (m), by four rows at a time that are a quarter of the rows apart.

    In a stream the weights are in no near cache, and are waited for in four places at once. The student's first layer
    took 12 us so, 14 row by row, and 15 by four rows that follow each other.
    """
    quarter = x.shape[0] // 4
    for j in range(out.shape[0]):
        out[j] = bias[j]
    for i in range(quarter):
        k, m, n = i + quarter, i + 2 * quarter, i + 3 * quarter
        a, b, c, d = x[i], x[k], x[m], x[n]
        for j in range(out.shape[0]):
            out[j] += (
                a * np.float32(weights[i, j])
                + b * np.float32(weights[k, j])
                + c * np.float32(weights[m, j])
                + d * np.float32(weights[n, j])
            )
    for i in range(4 * quarter, x.shape[0]):
        for j in range(out.shape[0]):
            out[j] += x[i] * np.float32(weights[i, j])


def scale_to_unit(x: F32) -> None:
    """Scale x (n) to length 1; what has none stays."""
    squares = _ZERO
    for i in range(x.shape[0]):
        squares += x[i] * x[i]
    length = max(np.float32(math.sqrt(squares)), _SHORTEST_ROW)
    for i in range(x.shape[0]):
        x[i] /= length
