"""Labels of a stream that contradict what is known, and a drift that is none of them."""

from __future__ import annotations

from edgecl.learning.contradictions import MEMORY_ROWS, Contradictions

SURE = (0.998, 0.001, 0.001)


def fed(state: Contradictions, labels: list[int]) -> tuple[list[float], Contradictions]:
    weights = []
    for label in labels:
        weight, state = state.weigh(SURE[label])
        weights.append(weight)
    return weights, state


def test_a_label_that_fits_has_its_full_weight_and_counts_for_nothing() -> None:
    weights, state = fed(Contradictions(), [0] * 100)
    assert weights == [1.0] * 100
    assert state.count == 0
    assert state.share == 0


def test_a_wrong_label_among_right_ones_is_weighted_down_and_counted() -> None:
    weights, state = fed(Contradictions(), [0] * 100 + [2] + [0] * 10)
    assert 0 < weights[100] < 0.2
    assert weights[101:] == [1.0] * 10
    assert state.count == 1


def test_an_answer_without_certainty_contradicts_nothing() -> None:
    weight, state = Contradictions().weigh(0.3)
    assert (weight, state.count) == (1.0, 0)


def test_a_drift_is_learnt_after_a_few_rows_and_not_counted_on() -> None:
    weights, state = fed(Contradictions(), [1] * (2 * MEMORY_ROWS))
    assert state.has_shifted
    full = weights.index(1.0)
    assert full < MEMORY_ROWS / 2
    assert weights[full:] == [1.0] * (len(weights) - full)
    assert state.count == full


def test_a_class_that_was_impossible_is_no_division_by_zero() -> None:
    weight, state = Contradictions().weigh(0.0)
    assert (weight, state.count) == (0.0, 1)


def test_a_label_that_was_not_known_contradicts_nothing() -> None:
    weight, state = Contradictions().weigh(None)
    assert (weight, state.count) == (1.0, 0)


def test_a_probability_that_is_no_number_contradicts_nothing() -> None:
    weight, state = Contradictions().weigh(float("nan"))
    assert (weight, state) == (1.0, Contradictions())


def test_rows_that_are_weighed_together_weigh_what_they_do_one_by_one() -> None:
    owns = [None, 0.5, 0.001, 0.0, 0.00999999999999999, 0.01, *[0.002] * 60, 0.9, None, 0.001]
    state, weights = Contradictions(), []
    for own in owns:
        weight, state = state.weigh(own)
        weights.append(weight)
    assert Contradictions().weigh_each(owns) == (weights, state)
    assert 0 < state.count < 60
