from __future__ import annotations

import edgecl_kernels as kernels
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("implementation")


def pooled(ring, first, mean, has_unit_length):
    dimension = ring.shape[1]
    latent, squares = np.full(dimension, np.nan, np.float32), np.full(dimension, np.nan)
    kernels.pool_frames(ring, np.array(first, np.int32), mean, has_unit_length, squares, latent)
    return latent


@pytest.mark.parametrize("dimension", [1, 7, 8, 9, 64, 96, 127, 128])
@pytest.mark.parametrize("has_unit_length", [0, 1])
def test_a_latent_has_the_bits_of_numpy(dimension, has_unit_length):
    r = np.random.default_rng(dimension)
    for _ in range(20):
        ring, mean = (r.normal(size=size).astype(np.float32) for size in ((12, dimension), dimension))
        expected = np.add.reduce(ring[3:9], axis=0) / np.float32(6) - mean
        if has_unit_length:
            expected /= np.float32(max(np.sqrt(np.square(expected, dtype=np.float64).sum()), 1e-12))
        np.testing.assert_array_equal(pooled(ring, (3, 9), mean, has_unit_length), expected)


def test_a_latent_of_no_length_stays_zero():
    ring = np.ones((2, 5), np.float32)
    assert not pooled(ring, (0, 2), np.ones(5, np.float32), 1).any()


def bounded(row, product, half_lengths, spread, constant, limits):
    found, bounds = np.empty(product.shape[1], np.float32), np.empty(len(spread), np.float32)
    given, reached = (product, half_lengths, 1 / spread, constant, limits), np.zeros(1, np.int32)
    again = kernels.prepared("bound_words", row, *given, found, bounds, reached)
    return bounds, reached, again


@pytest.mark.parametrize(("dimension", "words", "others"), [(1, 1, 1), (3, 2, 1), (16, 5, 9), (96, 10, 266)])
def test_bounds_are_the_naive_ones_at_each_call(dimension, words, others):
    r = np.random.default_rng(words)
    whiten, means = r.normal(size=(dimension, dimension)), r.normal(size=(words + others, dimension))
    spread, constant = r.uniform(1, 2, words), r.normal(size=words)
    product = np.concatenate([whiten, whiten @ means.T], axis=1)
    half_lengths = np.square(means).sum(axis=1) / 2
    row, limits = np.zeros(dimension, np.float32), np.zeros(words, np.float32)
    given = (one.astype(np.float32) for one in (product, half_lengths, spread, constant))
    bounds, reached, again = bounded(row, *given, limits)
    for _ in range(3):
        row[:] = r.normal(size=dimension)
        again()
        away = np.square(row.astype(np.float64) @ whiten - means).sum(axis=1) / 2
        expected = -away[:words] / spread - constant + away[words:].min()
        np.testing.assert_allclose(bounds, expected, rtol=1e-3, atol=1e-3 * away.max())
        for least in (bounds.min(), np.median(bounds), bounds.max(), np.inf):  # a bound reaches its own value
            limits[:] = least
            again()
            assert reached == np.count_nonzero(bounds >= least)


def test_a_prepared_call_refuses_what_a_call_refuses(implementation):
    if implementation in ("plain", "jit"):
        pytest.skip("the library alone checks when a call is prepared")
    with pytest.raises(TypeError, match="bound_words wants"):
        kernels.prepared("bound_words", np.zeros(3))


def unit(x):
    return x / max(np.linalg.norm(x), 1e-9)


@pytest.mark.parametrize(("hops", "dimension", "hidden", "answers", "words"), [(3, 1, 1, 1, 1), (9, 10, 7, 6, 3)])
def test_what_a_student_adds_is_the_naive_product_at_each_call(hops, dimension, hidden, answers, words):
    r = np.random.default_rng(hops)
    shapes = dimension, (3 * dimension, hidden), hidden, (hidden, answers), answers, (answers, words)
    given = [r.normal(size=shape).astype(np.float32) for shape in shapes]
    frames, reach = np.zeros((hops, dimension), np.float32), np.arange(words, dtype=np.float32)
    bounds, limits = np.zeros(words, np.float32), np.zeros(words, np.float32)
    work = [np.zeros(size, np.float32) for size in (3 * dimension, hidden, answers)]
    added, reached = np.full(words, np.nan, np.float32), np.zeros(1, np.int32)
    again = kernels.prepared("ask_student", frames, *given, reach, bounds, limits, *work, added, reached)
    mean, first, first_bias, second, second_bias, directions = (one.astype(np.float64) for one in given)
    for _ in range(3):
        frames[:] = r.normal(size=frames.shape)
        again()
        row = unit((frames.astype(np.float64).reshape(3, -1, dimension).mean(axis=1) - mean).reshape(-1))
        answer = unit(np.maximum(row @ first + first_bias, 0) @ second + second_bias)
        np.testing.assert_allclose(added, reach * (answer @ directions), rtol=1e-4, atol=1e-5)
        bounds[:], limits[:] = r.normal(size=words), r.normal(size=words)
        again()
        assert reached == np.count_nonzero(bounds + np.maximum(added, 0) >= limits)
