from __future__ import annotations

import edgecl_kernels as kernels
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("implementation")


def pooled(ring, first, mean, has_unit_length):
    dimension = ring.shape[1]
    latent, squares = np.full(dimension, np.nan, np.float32), np.full(dimension, np.nan)
    assert kernels.pool_frames(ring, np.array(first, np.int32), mean, has_unit_length, squares, latent) == 1
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


def near(x, means):
    return np.square(x - means).sum(axis=1) / 2


def lengths(means):
    return (-np.square(means).sum(axis=1) / 2).astype(np.float32)


@pytest.mark.parametrize(("columns", "dimension", "words", "noises"), [(1, 1, 1, 1), (5, 3, 2, 2), (96, 96, 10, 1)])
def test_bounds_by_noise_are_the_naive_ones_at_each_call(columns, dimension, words, noises):
    r = np.random.default_rng(words)
    factors, shifts = r.normal(size=(columns, (noises + 1) * dimension)), r.normal(size=(noises + 1, dimension))
    shifts[0] = 0
    margins, means = r.normal(size=noises), r.normal(size=(words, dimension))
    numbers = np.array([lengths(means), 1 / r.uniform(1, 2, words), r.normal(size=words)], np.float32)
    row, limits = np.zeros(columns, np.float32), np.zeros(words, np.float32)
    given = [one.astype(np.float32) for one in (factors, -shifts.reshape(-1), margins, means.T.copy())]
    found, densities, bounds = (np.full(n, np.nan, np.float32) for n in ((noises + 1) * dimension, words, words))
    again = kernels.prepared("bound_by_noise", row, *given, numbers, limits, found, densities, bounds)
    for _ in range(3):
        row[:] = r.normal(size=columns)
        again()
        apart = (row.astype(np.float64) @ factors).reshape(noises + 1, dimension) - shifts
        expected = -near(apart[0], means) * numbers[1] - numbers[2]
        noise = (-np.square(apart[1:]).sum(axis=1) / 2 - margins).max()
        size = 1e-3 * max(np.abs(expected).max(), abs(noise))
        np.testing.assert_allclose(found[:dimension], apart[0], rtol=1e-3, atol=1e-4 * columns)
        np.testing.assert_allclose(densities, expected, rtol=1e-3, atol=size)
        np.testing.assert_allclose(bounds, expected - noise, rtol=1e-3, atol=size)
        for least in (bounds.min(), np.median(bounds), bounds.max(), np.inf):  # a bound reaches its own value
            limits[:] = least
            assert again() == np.count_nonzero(bounds >= least)


@pytest.mark.parametrize(("dimension", "words", "others"), [(1, 1, 1), (3, 2, 1), (96, 10, 266)])
def test_bounds_by_means_are_lowered_to_the_naive_ones(dimension, words, others):
    r = np.random.default_rng(words)
    scale, whitened = 1 / 256, np.zeros(2 * dimension, np.float32)
    whole = r.integers(-1000, 1001, (others, dimension))
    means = whole * scale
    given = whole.T.astype(np.int16).copy(), lengths(means) / np.float32(scale), scale
    found, limits = np.full(others, np.nan, np.float32), np.zeros(words, np.float32)
    densities, bounds = np.zeros(words, np.float32), np.zeros(words, np.float32)
    again = kernels.prepared("bound_by_means", whitened, *given, limits, found, densities, bounds)
    for _ in range(3):
        whitened[:], densities[:] = r.normal(size=2 * dimension), r.normal(size=words)
        before = (densities + near(whitened[:dimension].astype(np.float64), means).min()).astype(np.float32)
        bounds[:] = before + r.normal(size=words)
        expected = np.minimum(bounds, before)
        again()
        np.testing.assert_allclose(bounds, expected, rtol=1e-3, atol=1e-3)
        for least in (bounds.min(), np.median(bounds), bounds.max(), np.inf):
            limits[:] = least
            assert again() == np.count_nonzero(bounds >= least)


def test_a_prepared_call_refuses_what_a_call_refuses(implementation):
    if implementation in ("plain", "jit"):
        pytest.skip("the library alone checks when a call is prepared")
    with pytest.raises(TypeError, match="bound_by_means wants"):
        kernels.prepared("bound_by_means", np.zeros(3))


def unit(x):
    return x / max(np.linalg.norm(x), 1e-9)


@pytest.mark.parametrize(("hops", "dimension", "hidden", "answers", "words"), [(3, 1, 1, 1, 1), (9, 10, 7, 6, 3)])
def test_what_a_student_adds_is_the_naive_product_at_each_call(hops, dimension, hidden, answers, words):
    r = np.random.default_rng(hops)
    shapes = dimension, hidden, (hidden, answers), answers, (answers, words)
    mean, inner_bias, outer, outer_bias, directions = (r.normal(size=shape).astype(np.float32) for shape in shapes)
    inner = r.integers(-32767, 32768, (3 * dimension, hidden)).astype(np.int16)
    inner_bias, outer = 1e4 * inner_bias, 1e-4 * outer
    ring, reach = np.zeros((2 * hops, dimension), np.float32), np.arange(words, dtype=np.float32)
    bounds, limits = np.zeros(words, np.float32), np.zeros(words, np.float32)
    work = [np.zeros(size, np.float32) for size in (3 * dimension, hidden, answers)]
    added, span = np.full(words, np.nan, np.float32), np.array([2, 2 + hops], np.int32)
    net = inner, inner_bias, outer, outer_bias
    again = kernels.prepared("ask_student", ring, span, mean, *net, directions, reach, bounds, limits, *work, added)
    for _ in range(3):
        ring[:] = r.normal(size=ring.shape)
        again()
        thirds = ring[2 : 2 + hops].astype(np.float64).reshape(3, -1, dimension).mean(axis=1)
        row = unit((thirds - mean).reshape(-1))
        answer = unit(np.maximum(row @ inner.astype(np.float64) + inner_bias, 0) @ outer + outer_bias)
        np.testing.assert_allclose(added, reach * (answer @ directions), rtol=1e-4, atol=1e-4)
        bounds[:], limits[:] = r.normal(size=words), r.normal(size=words)
        assert again() == np.count_nonzero(bounds + np.maximum(added, 0) >= limits)


def counting(limits):
    """A prepared call that returns how many of three bounds reach their limits, and its bounds."""
    bounds, means = np.zeros(3, np.float32), np.zeros((1, 1), np.int16)
    arrays = np.zeros(1, np.float32), means, np.zeros(1, np.float32), 1.0, limits, np.zeros(1, np.float32)
    return kernels.prepared("bound_by_means", *arrays, np.array([1, 2, 3], np.float32), bounds), bounds


@pytest.mark.parametrize(("limits", "returned", "made"), [((0, 0, 0), 1, 3), ((9, 0, 0), 0, 1), ((0, 9, 0), 0, 2)])
def test_calls_in_turn_end_with_the_first_that_returns_nothing(limits, returned, made):
    calls, bounds = zip(*(counting(np.array([9, 9, one], np.float32)) for one in limits), strict=True)
    for one in bounds:
        one[:] = 5
    in_turn = kernels.in_turn(*calls)
    for _ in range(2):
        assert in_turn() == returned
    assert [one.tolist() == [1, 2, 3] for one in bounds] == [True] * made + [False] * (3 - made)
