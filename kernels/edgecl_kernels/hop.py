"""A hop of a stream: frames to its latent, the bounds of its words' scores, and what a student adds to them."""

from __future__ import annotations

import math

import numpy as np

from edgecl_kernels._types import F32, F64, I32

_ZERO = np.float32(0)
_HALF = np.float32(0.5)
_SHORTEST = 1e-12
_SHORTEST_ROW = np.float32(1e-9)


def pool_frames(ring: F32, first: I32, mean: F32, has_unit_length: int, squares: F64, latent: F32) -> None:
    """latent (D) = mean of rows first[0] to first[1] - 1 of `ring` (n, D), minus `mean` (D); of length 1 where wanted.

    With the bits of numpy: rows are added one after the other, and `squares` (D), at most 128, by eight accumulators.
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
        return
    for d in range(dimension):
        squares[d] = np.float64(latent[d]) * np.float64(latent[d])
    length = np.float32(max(math.sqrt(sum_in_eights(squares)), _SHORTEST))
    for d in range(dimension):
        latent[d] = latent[d] / length


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


def bound_words(
    row: F32,
    product: F32,
    half_lengths: F32,
    sharpness: F32,
    constant: F32,
    limits: F32,
    found: F32,
    bounds: F32,
    reached: I32,
) -> None:
    """bounds (C) of the scores of `row` (D): a word's density less that of the nearest of the other means.

    `product` (D, D + M) whitens a row and multiplies it with M means, of which C are words; `half_lengths` (M) is half
    their squared lengths, `found` (D + M) workspace. With w the whitened row, h = |w|²/2 and n_k = w m_k - |m_k|²/2:
    bounds_k = (n_k - h) sharpness_k - constant_k - max n + h, the maximum over the M - C means that are no words.
    `reached` (1): how many of them reach `limits` (C).
    """
    dimension, columns, words = row.shape[0], found.shape[0], bounds.shape[0]
    for j in range(columns):
        found[j] = row[0] * product[0, j]
    for d in range(1, dimension):
        for j in range(columns):
            found[j] += row[d] * product[d, j]
    half = found[0] * found[0]
    for d in range(1, dimension):
        half += found[d] * found[d]
    half *= _HALF
    nearest = found[dimension + words] - half_lengths[words]
    for j in range(words + 1, columns - dimension):
        nearest = max(nearest, found[dimension + j] - half_lengths[j])
    for k in range(words):
        near = found[dimension + k] - half_lengths[k] - half
        bounds[k] = near * sharpness[k] - constant[k] - nearest + half
    reached[0] = 0
    for k in range(words):
        if bounds[k] >= limits[k]:
            reached[0] += 1


def ask_student(
    frames: F32,
    mean: F32,
    first: F32,
    first_bias: F32,
    second: F32,
    second_bias: F32,
    directions: F32,
    reach: F32,
    bounds: F32,
    limits: F32,
    row: F32,
    hidden: F32,
    answer: F32,
    added: F32,
    reached: I32,
) -> None:
    """added (C) = reach (C) times the cosines of a student's answer to `frames` (P, D) with `directions` (K, C).

    `reached` (1): how many of `bounds` (C), each with what is added to it if that is more than nothing, reach `limits`.
    z = unit(the means of three thirds of the frames, each minus `mean` (D)), kept in `row` (3 D);
    `answer` (K) = relu(z first + first_bias) second + second_bias, with `hidden` (H) between; P is a multiple of three.
    """
    dimension, hops = mean.shape[0], frames.shape[0] // 3
    share = np.float32(1) / np.float32(hops)
    for third in range(3):
        for d in range(dimension):
            total = _ZERO
            for i in range(third * hops, (third + 1) * hops):
                total += frames[i, d]
            row[third * dimension + d] = total * share - mean[d]
    scale_to_unit(row)
    add_layer(row, first, first_bias, hidden)
    for j in range(hidden.shape[0]):
        hidden[j] = max(hidden[j], _ZERO)
    add_layer(hidden, second, second_bias, answer)
    scale_to_unit(answer)
    for k in range(added.shape[0]):
        added[k] = _ZERO
    for d in range(answer.shape[0]):
        for k in range(added.shape[0]):
            added[k] += answer[d] * directions[d, k]
    reached[0] = 0
    for k in range(added.shape[0]):
        added[k] *= reach[k]
        if bounds[k] + max(added[k], _ZERO) >= limits[k]:
            reached[0] += 1


def add_layer(x: F32, weights: F32, bias: F32, out: F32) -> None:
    """out (m) = x (n) weights (n, m) + bias (m), by four rows at a time."""
    n, m = weights.shape
    whole = n - n % 4
    for j in range(m):
        out[j] = bias[j]
    for i in range(0, whole, 4):
        a, b, c, d = x[i], x[i + 1], x[i + 2], x[i + 3]
        for j in range(m):
            out[j] += a * weights[i, j] + b * weights[i + 1, j] + c * weights[i + 2, j] + d * weights[i + 3, j]
    for i in range(whole, n):
        for j in range(m):
            out[j] += x[i] * weights[i, j]


def scale_to_unit(x: F32) -> None:
    """Scale x (n) to length 1; what has none stays."""
    squares = _ZERO
    for i in range(x.shape[0]):
        squares += x[i] * x[i]
    length = max(np.float32(math.sqrt(squares)), _SHORTEST_ROW)
    for i in range(x.shape[0]):
        x[i] /= length
