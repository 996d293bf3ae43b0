"""Noise of a share: the analytic Gaussian mechanism, and what it makes of statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgecl.errors import SettingError
from edgecl.sharing.checks import is_positive
from edgecl.sharing.noise import SENSITIVITY, Noise, analytic_sigma, noisy, spent

from .test_share_file import share


@pytest.mark.parametrize(("epsilon", "delta", "sigma"), [(1.0, 1e-5, 3.7306), (10.0, 1e-5, 0.4998)])
def test_the_least_sigma_is_that_of_the_paper(epsilon, delta, sigma):
    found = analytic_sigma(epsilon, delta)
    assert found == pytest.approx(sigma, rel=0.01)
    assert spent(found, epsilon) <= delta < spent(0.99 * found, epsilon)


def test_it_is_below_the_classical_bound():
    for epsilon in (0.2, 0.5, 0.9):
        assert analytic_sigma(epsilon, 1e-5) < math.sqrt(2 * math.log(1.25e5)) / epsilon


def test_noisy_statistics_are_those_of_samples_and_differ_by_sigma():
    held, budget = share(yes=4000).statistics, Noise(8.0)
    sums = []
    for seed in range(60):
        (one,) = noisy(held, budget, seed=seed, is_unit=True).values()
        assert is_positive(one)
        sums.append(one.count)
    assert np.std(sums) == pytest.approx(budget.sigma, rel=0.4)
    assert budget.sigma == pytest.approx(SENSITIVITY * analytic_sigma(8.0, 1e-5))


def test_noise_needs_bounded_samples_and_a_budget():
    with pytest.raises(SettingError, match="length 1"):
        noisy(share(yes=9).statistics, Noise(1.0), is_unit=False)
    for epsilon, delta in ((0, 1e-5), (1.0, 0), (1.0, 0.7), (math.nan, 1e-5)):
        with pytest.raises(SettingError):
            Noise(epsilon, delta)
