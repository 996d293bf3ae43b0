from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from edgecl_kernels import refine_steps
from numpy.typing import NDArray

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")


@dataclass
class Case:
    """Arguments of `refine_steps`, drawn at random."""

    classes: int = 3
    dimension: int = 10
    batch: int = 6
    steps: int = 4
    count: int = 12
    width: int = 0
    momentum: float = 0.9
    penalty: float = 0.0
    factor: float = 0.8
    seed: int = 0
    parameters: NDArray[np.float32] = field(init=False)
    schedule: NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        r = np.random.default_rng(self.seed)
        self.columns = -(-(self.width + self.dimension + 1) // 16) * 16
        self.rows = r.integers(-127, 128, (self.count, self.dimension)).astype(np.int8)
        self.scales = r.uniform(0.002, 0.01, self.count).astype(np.float32)
        self.labels = r.integers(0, self.classes, self.count).astype(np.int32)
        self.offset = (0.1 * r.normal(size=self.width + self.dimension)).astype(np.float32)
        self.parameters = np.zeros((4, self.classes, self.columns), np.float32)
        used = self.width + self.dimension + 1
        self.parameters[..., :used] = 0.1 * r.normal(size=(4, self.classes, used))
        self.parameters[2] = np.abs(self.parameters[2])
        self.schedule = r.integers(0, self.count, (self.steps, self.batch)).astype(np.int32)
        self.sample_weights = r.dirichlet(np.ones(self.batch)).astype(np.float32)
        self.rates = r.uniform(0.05, 0.3, self.steps).astype(np.float32)

    def features(self):
        everything = np.arange(self.count)
        return naive.gather(self.rows, self.scales, everything, self.offset, self.factor, self.width, 5, self.columns)

    def run(self):
        """Return the parameters after the steps, the case being left as it was."""
        parameters = self.parameters.copy()
        x = np.full((self.batch, self.columns), np.nan, np.float32)
        p = self.p = np.full((self.batch, -(-self.classes // 16) * 16), np.nan, np.float32)
        refine_steps(
            parameters,
            self.rows,
            self.scales,
            self.labels,
            self.schedule,
            self.sample_weights,
            self.rates,
            self.momentum,
            self.penalty,
            self.offset,
            self.factor,
            self.width,
            5,
            x,
            p,
        )
        return parameters

    def expected(self):
        return naive.refine(
            self.parameters,
            self.features(),
            self.labels,
            self.schedule,
            self.sample_weights,
            self.rates,
            self.momentum,
            self.penalty,
        )


@pytest.mark.parametrize("penalty", [0.0, 3.0])
@pytest.mark.parametrize(
    ("classes", "dimension", "batch"), [(1, 3, 1), (2, 15, 3), (4, 16, 4), (5, 20, 5), (4, 12, 6), (3, 9, 7), (9, 7, 8)]
)
def test_steps_are_the_naive_ones(classes, dimension, batch, penalty):
    case = Case(classes, dimension, batch, penalty=penalty)
    weights, velocity = case.expected()
    actual = case.run()
    np.testing.assert_allclose(actual[0], weights, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(actual[1], velocity, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_many_small_steps_stay_with_the_naive_ones(seed):
    case = Case(classes=4, dimension=12, steps=naive.pick(200, 10), penalty=0.5, seed=seed)
    np.testing.assert_allclose(case.run()[0], case.expected()[0], rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(naive.PLAIN, reason="1537 columns are slow in plain Python")
def test_more_columns_than_one_panel_are_updated():
    case = Case(classes=6, dimension=1536, batch=9, steps=2, penalty=1.0)
    np.testing.assert_allclose(case.run()[0], case.expected()[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 5, 10])
@pytest.mark.parametrize("dimension", [70, naive.pick(333, 80)])
def test_tiles_of_every_size_make_the_same_steps(classes, dimension):
    case = Case(classes, dimension, batch=5, steps=2, penalty=1.0)
    np.testing.assert_allclose(case.run()[0], case.expected()[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dimension", [1, 18, 77])
def test_rows_need_not_be_padded(dimension):
    case = Case(7, dimension, batch=5, penalty=1.0)
    case.columns = dimension + 1
    case.parameters = np.ascontiguousarray(case.parameters[..., : case.columns])
    weights, velocity = case.expected()
    actual = case.run()
    np.testing.assert_allclose(actual[0], weights, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(actual[1], velocity, rtol=1e-4, atol=1e-5)


def test_lifted_steps_are_the_naive_ones():
    case = Case(classes=3, dimension=6, width=70, steps=2)
    np.testing.assert_allclose(case.run()[0], case.expected()[0], rtol=1e-4, atol=1e-5)


def test_precision_and_anchor_are_left_alone():
    case = Case(penalty=1.0)
    np.testing.assert_array_equal(case.run()[2:], case.parameters[2:])


def test_an_empty_slot_contributes_nothing():
    case = Case(batch=5)
    case.schedule[:, 2] = -1
    np.testing.assert_allclose(case.run()[0], case.expected()[0], rtol=1e-4, atol=1e-5)


def test_a_minibatch_of_empty_slots_only_lets_the_momentum_run_on():
    case = Case(steps=1)
    case.schedule[:] = -1
    actual = case.run()
    velocity = np.float32(0.9) * case.parameters[1]
    np.testing.assert_allclose(actual[1], velocity, rtol=1e-6)
    np.testing.assert_allclose(actual[0], case.parameters[0] - case.rates[0] * velocity, rtol=1e-5, atol=1e-7)


def test_steps_in_two_calls_are_steps_in_one():
    whole = Case(steps=4)
    first, second = Case(steps=4), Case(steps=4)
    first.schedule, first.rates = whole.schedule[:2].copy(), whole.rates[:2].copy()
    second.schedule, second.rates = whole.schedule[2:].copy(), whole.rates[2:].copy()
    second.parameters = first.run()
    np.testing.assert_array_equal(second.run(), whole.run())


def test_the_same_inputs_give_the_same_bits():
    np.testing.assert_array_equal(Case(penalty=2.0).run(), Case(penalty=2.0).run())


def test_padding_columns_stay_zero():
    case = Case(dimension=10)
    assert not case.run()[0, :, 11:].any()


def test_a_penalty_of_a_million_is_finite_and_lands_on_the_anchor():
    case = Case(penalty=1e6, steps=20)
    case.parameters[2, :, :5] = 100.0
    case.parameters[2, :, 5:] = 0.0
    actual = case.run()
    assert np.isfinite(actual[:2]).all()
    np.testing.assert_allclose(actual[0, :, :5], case.parameters[3, :, :5], atol=1e-5)
    assert np.abs(actual[0, :, 5:] - case.parameters[0, :, 5:]).max() > 0.01


def test_without_precision_a_penalty_changes_nothing():
    free, bound = Case(penalty=0.0), Case(penalty=1e6)
    bound.parameters[2] = free.parameters[2] = 0.0
    np.testing.assert_array_equal(bound.run(), free.run())


def test_momentum_that_fades_becomes_zero_and_never_denormal():
    case = Case(steps=8, momentum=0.1)
    case.schedule[:] = -1
    case.parameters[1] = 1e-15
    velocity = case.run()[1]
    assert not velocity.any()


def test_a_certain_prediction_leaves_no_denormal_gradient():
    case = Case(classes=2, steps=1, momentum=0.0)
    case.parameters[0, :, 10] = [45.0, -45.0]  # the bias decides: p = (1, 8e-40)
    case.parameters[0, :, :10] = 0.0
    case.labels[:] = 0
    assert not case.run()[1].any()
    assert not case.p[:, 1].any()


def test_training_reaches_the_optimum_of_separable_classes():
    case = Case(classes=3, dimension=4, count=9, batch=9, steps=naive.pick(3000, 60))
    case.rows = (100 * np.eye(3, 4)).astype(np.int8).repeat(3, axis=0)
    case.labels = np.arange(3, dtype=np.int32).repeat(3)
    case.schedule = np.tile(np.arange(9, dtype=np.int32), (case.steps, 1))
    scores = case.features() @ case.run()[0].T
    assert (scores.argmax(axis=1) == case.labels).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_comes_out_as_not_finite(value):
    case = Case()
    case.scales[case.schedule[0, 0]] = value
    with np.errstate(all="ignore"):
        assert not np.isfinite(case.run()[0]).all()


def test_no_steps_change_nothing():
    case = Case(steps=1)
    case.schedule, case.rates = case.schedule[:0], case.rates[:0]
    np.testing.assert_array_equal(case.run(), case.parameters)
