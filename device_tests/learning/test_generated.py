"""Generated replay: rows drawn from class statistics."""

from __future__ import annotations

import numpy as np
import pytest

from edgecl.errors import SettingError
from edgecl.learning.generated import DIAGONAL, FULL, LOW_RANK, MEANS, Form, GeneratedRows
from edgecl.learning.loop import learn
from edgecl.learning.strategies import COMPARED, GENERATED, STRATEGIES
from edgecl.model.exemplars import dequantise
from edgecl.model.model import MemoryObjects, Model
from edgecl.model.settings import Settings
from edgecl.model.statistics import square

from ..support.learning import Words, accuracy, as_lesson, settings, taught


def drawn(form: Form, *, lift_width: int = 0, count: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of one class, with its mean and covariance."""
    words = Words(2)
    made = settings() if not lift_width else settings(lift_width=lift_width)
    one = taught(Model(made), words.lesson(400)).statistics[words.labels[0]]
    rows = GeneratedRows.of(one, form, lift_width=lift_width, generator=np.random.default_rng(0))
    found = rows.draw(np.arange(count))
    covariance = square(one.scatter, one.dimension)[lift_width:, lift_width:] / (one.count - 1)
    return dequantise(found.rows, found.scales), one.mean[lift_width:], covariance


@pytest.mark.parametrize("lift_width", [0, 8])
def test_a_full_form_has_the_mean_and_covariance_of_its_class(lift_width: int) -> None:
    rows, mean, covariance = drawn(Form(FULL), lift_width=lift_width)
    scale = np.sqrt(np.trace(covariance) / len(mean))
    np.testing.assert_allclose(rows.mean(axis=0), mean, atol=0.05 * scale)
    np.testing.assert_allclose(np.cov(rows.T), covariance, atol=0.15 * scale**2)


@pytest.mark.parametrize("form", [Form(LOW_RANK, 3), Form(DIAGONAL)])
def test_a_smaller_form_has_the_variances_of_its_class(form: Form) -> None:
    rows, _, covariance = drawn(form)
    np.testing.assert_allclose(rows.var(axis=0), np.diag(covariance), rtol=0.15)


def test_a_low_rank_form_has_the_leading_directions_that_a_diagonal_one_lacks() -> None:
    leading = np.linalg.eigh(drawn(Form(FULL))[2])[1][:, -1]
    whole = float(leading @ drawn(Form(FULL))[2] @ leading)
    spread = {form.name: float(np.var(drawn(form)[0] @ leading)) for form in (Form(LOW_RANK, 3), Form(DIAGONAL))}
    assert abs(spread[LOW_RANK] - whole) < 0.1 * whole
    assert spread[DIAGONAL] < 0.8 * whole


def test_means_alone_are_the_same_row_each_time() -> None:
    rows, mean, _ = drawn(Form(MEANS), count=5)
    np.testing.assert_allclose(rows, np.tile(mean, (5, 1)), atol=0.01)


def test_a_class_of_one_sample_is_drawn_as_that_sample() -> None:
    words = Words(2)
    one = taught(Model(settings()), words.lesson(1)).statistics[words.labels[0]]
    rows = GeneratedRows.of(one, Form(FULL), lift_width=0, generator=np.random.default_rng(0))
    assert np.isfinite(rows.draw(np.arange(3)).scales).all()


def test_the_form_is_what_the_budget_has_room_for() -> None:
    sizes = (1 << 18, 1 << 14, 4 * 8 * 96, 100, 0)
    forms = [Form.within(size, classes=8, dimension=96) for size in sizes]
    assert [one.name for one in forms] == [FULL, LOW_RANK, DIAGONAL, MEANS, MEANS]
    assert forms[1].rank == (1 << 14) // (4 * 8 * 96) - 1
    assert Form.of_model(taught(Model(settings()), Words(3).lesson(5)))[1] <= Model(settings()).plan(3).exemplars


def played(strategy: str, words: Words, made: Settings) -> Model:
    """A model of three lessons of two classes each."""
    model, objects = Model(made), MemoryObjects()
    for first in (0, 2, 4):
        lesson = as_lesson(model, words.lesson(30, words.labels[first : first + 2]))
        outcome = learn(model, lesson, objects=objects, strategy=strategy, force=True)
        assert outcome.model is not None
        model = outcome.model
    return model


def test_old_classes_are_kept_by_rows_that_are_drawn() -> None:
    words, asked = Words(6, apart=2.0), Words(6, apart=2.0).lesson(60)
    kept, spoiled = (accuracy(played(one, words, settings()), asked) for one in (GENERATED, "naive"))
    assert kept > 0.9
    assert spoiled < kept - 0.1


def test_the_same_seed_gives_the_same_head() -> None:
    first, again = (played(GENERATED, Words(6), settings()).head for _ in range(2))
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(first.weights, again.weights)


def test_it_is_for_comparisons_alone() -> None:
    assert GENERATED not in STRATEGIES
    assert GENERATED not in COMPARED
    model = Model(settings())
    with pytest.raises(SettingError, match="alone"):
        learn(model, as_lesson(model, Words(2).lesson(5)), strategy=GENERATED)
