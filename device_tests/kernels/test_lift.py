from __future__ import annotations

import numpy as np
import pytest
from edgecl_kernels import lift_rows, lift_signs
from edgecl_kernels.lift import sign_word

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")

SIZES = [(1, 1, 1), (3, 5, 7), (2, 8, 64), (5, 10, 65), (4, 33, 130)]


def draw(n: int, dimension: int, seed: int = 0):
    return np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)


def lifted(x, seed: int, width: int):
    out = np.full((x.shape[0], width + x.shape[1]), np.nan, np.float32)
    lift_rows(x, seed, out)
    return out


def test_words_are_those_of_splitmix64():
    # the generator's published test vector
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [sign_word(1234567, index) for index in range(3)] == expected


@pytest.mark.parametrize(("n", "dimension", "width"), SIZES)
@pytest.mark.parametrize("seed", [0, 7, -3, 2**62])
def test_a_lifted_row_is_the_projection_then_the_row(n, dimension, width, seed):
    x = draw(n, dimension)
    np.testing.assert_allclose(lifted(x, seed, width), naive.lift(x, seed, width), rtol=1e-5, atol=1e-6)


def test_signs_are_the_ones_that_the_kernel_uses():
    np.testing.assert_array_equal(lift_signs(5, 70, 9), naive.lift_signs(5, 70, 9))


def test_signs_are_plus_or_minus_one_and_balanced():
    signs = lift_signs(11, 256, 64)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 4 / np.sqrt(signs.size)
    assert np.abs(signs @ signs.T / 64 - np.eye(256)).max() < 0.75  # rows are nearly orthogonal


def test_another_seed_gives_other_signs():
    assert (lift_signs(1, 64, 64) != lift_signs(2, 64, 64)).mean() == pytest.approx(0.5, abs=0.05)


def test_a_row_is_lifted_alone_as_in_a_batch():
    x = draw(5, 13)
    batch = lifted(x, 3, 100)
    for i in range(5):
        np.testing.assert_array_equal(lifted(x[i : i + 1], 3, 100)[0], batch[i])


def test_no_rows_and_no_lift_are_allowed():
    assert lifted(draw(0, 3), 1, 64).shape == (0, 67)
    np.testing.assert_array_equal(lifted(draw(2, 3), 1, 0), draw(2, 3))


def test_nan_stays_in_its_row():
    x = draw(3, 6)
    x[1, 2] = np.nan
    with np.errstate(all="ignore"):
        out = lifted(x, 1, 64)
    assert np.isnan(out[1, :64]).all()
    assert np.isfinite(out[[0, 2]]).all()
