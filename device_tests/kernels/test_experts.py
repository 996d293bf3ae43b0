"""All experts in one call: what each answers, how they are mixed, and that pieces are as the whole."""

from __future__ import annotations

import numpy as np
import pytest
from edgecl_kernels import follow_rows
from edgecl_kernels.calibration import BINS, EDGES

from . import naive

pytestmark = pytest.mark.usefixtures("implementation")

COLUMNS, CLASSES, KEPT, TABLES, TESTS = 3, 2, 16, 4, 2
FIXED = 1
NAMES = ("fixed", "transitions", "gradient", "cells", "least squares", "neighbours")


class State:
    """Every array that a call writes to."""

    def __init__(self) -> None:
        d, experts = COLUMNS + 1, len(NAMES)
        ends = np.array([0.0, *EDGES, 1.0])
        middle = (ends[:-1] + ends[1:]) / 2
        self.counters = np.array([0, 0, 0, -1], np.int32)
        self.weights = np.array([np.full(experts, 1 / experts), np.ones(experts)])
        self.reliability = np.array([np.ones(BINS), middle, middle]) * 20
        self.transitions = np.zeros((CLASSES, CLASSES), np.float32)
        self.gradient = np.zeros((1, 2, CLASSES, d), np.float32)
        self.cells = np.zeros((2, CLASSES, TABLES << TESTS), np.float32)
        self.forgetting = np.array([[0.99, 10.0, 0, 0]])
        self.solved = np.zeros((1, CLASSES, d))
        self.inverses = naive.pack(10 * np.eye(d), np.float64)[None].copy()
        self.memory = np.zeros((COLUMNS, KEPT), np.int8)
        self.memory_labels = np.zeros(KEPT, np.int32)

    def follow(self, x, steps, held, before):
        out = np.zeros((len(x), CLASSES), np.float32)
        r = np.random.default_rng(9)
        columns = r.integers(COLUMNS, size=(TABLES, TESTS)).astype(np.int32)
        thresholds = r.normal(size=(TABLES, TESTS)).astype(np.float32)
        features = np.concatenate([x, np.ones((len(x), 1), np.float32)], axis=1)
        scratch = np.zeros((1, CLASSES), np.float32)
        follow_rows(
            features, np.rint(x * 20).astype(np.int8), np.array(steps, np.int32).reshape(-1, 3), FIXED,
            np.ones(CLASSES, np.float32), np.array([0.01, 1e-3, 0.99, 0.3, 0.1]), self.counters, self.weights,
            self.reliability, self.transitions, self.gradient, columns, thresholds, self.cells, self.forgetting,
            self.solved, self.inverses, self.memory, self.memory_labels, np.zeros(3, np.int32),
            np.zeros(KEPT, np.int32), np.zeros(TABLES, np.int32), np.zeros((2, COLUMNS + 1)), scratch, before,
            held, out,
        )  # fmt: skip
        return out


def case(n: int = 60, seed: int = 0):
    x = np.clip(np.random.default_rng(seed).normal(size=(n, COLUMNS)), -6, 6).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int32)


def room(n: int):
    held = np.zeros((n, len(NAMES) + 1, CLASSES), np.float32)
    held[:, 0] = 0.5
    return held, np.full(n, -1, np.int32)


def at_once(x, labels, state=None):
    state = state or State()
    held, before = room(len(x))
    out = state.follow(x, [(at, at, label) for at, label in enumerate(labels)], held, before)
    return state, held, before, out


def test_in_pieces_is_as_at_once_to_the_bit():
    x, labels = case()
    whole, _held, _, out = at_once(x, labels)
    state = State()
    pieces = [at_once(x[at : at + 7].copy(), labels[at : at + 7], state)[3] for at in range(0, len(x), 7)]
    np.testing.assert_array_equal(np.concatenate(pieces), out)
    for name, array in vars(whole).items():
        np.testing.assert_array_equal(getattr(state, name), array, err_msg=name)


def test_weights_are_those_of_fixed_share():
    x, labels = case()
    state, held, _, _ = at_once(x, labels)
    expected = naive.fixed_share(held[:, :-1], labels, share=0.01, floor=1e-3, rate=0.25)
    np.testing.assert_allclose(state.weights[0], expected, rtol=1e-5)


def test_the_mixture_is_the_weighted_sum_of_the_answers():
    x, labels = case()
    state, *_ = at_once(x, labels)
    weights = state.weights[0].copy()
    held, before = room(1)
    state.follow(x[:1].copy(), [(0, -1, -1)], held, before)
    np.testing.assert_allclose(held[0, -1], weights @ held[0, :-1], rtol=1e-5)


def test_every_expert_answers_with_probabilities():
    x, labels = case()
    held, out = at_once(x, labels)[1::2]
    known = np.flatnonzero(held[:, -1].sum(axis=1) > 0)[2:]  # both classes are known
    np.testing.assert_allclose(held[known].sum(axis=2), 1, atol=1e-5)
    np.testing.assert_allclose(out[known].sum(axis=1), 1, atol=1e-5)
    assert (held[known] >= 0).all()


def test_before_the_first_label_nothing_is_answered():
    x, _labels = case(3)
    held, before = room(3)
    out = State().follow(x, [(0, -1, -1), (1, 0, 1), (2, -1, -1)], held, before)
    assert not out[:2].any()
    assert out[2].sum() == pytest.approx(1, abs=1e-5)


def test_an_answer_alone_changes_no_state():
    x, labels = case()
    state, *_ = at_once(x, labels)
    copies = {name: array.copy() for name, array in vars(state).items()}
    state.follow(x, [(at, -1, -1) for at in range(len(x))], *room(len(x)))
    for name, array in copies.items():
        np.testing.assert_array_equal(getattr(state, name), array, err_msg=name)


def test_an_expert_that_does_not_take_part_gets_no_weight():
    x, labels = case()
    state = State()
    state.weights[:, 3] = 0
    state.weights[0] /= state.weights[0].sum()
    at_once(x, labels, state)
    assert state.weights[0, 3] == 0
    assert state.weights[0].sum() == pytest.approx(1)


def test_neighbours_are_found_in_a_ring_of_the_latest_rows():
    x, labels = case(KEPT + 5)
    state, *_ = at_once(x, labels)
    assert list(state.counters[:3]) == [CLASSES, KEPT, 5]
    np.testing.assert_array_equal(state.memory[:, 4], np.rint(x[-1] * 20))


def test_confidence_is_how_often_such_answers_have_been_right():
    state = State()
    x, _ = case(4000 if not naive.PLAIN else 400)
    labels = np.where(np.random.default_rng(1).random(len(x)) < 0.3, x[:, 0] < 0, x[:, 0] > 0).astype(np.int32)
    out = at_once(x, labels, state)[3][len(x) // 2 :]
    right = out.argmax(axis=1) == labels[len(x) // 2 :]
    assert out.max(axis=1).mean() == pytest.approx(right.mean(), abs=0.05)
