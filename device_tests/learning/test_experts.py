"""Experts: plans by memory, classes that come, labels that come late, and what is refused."""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from edgecl.errors import SettingError
from edgecl.learning.expert_arrays import cell_tests
from edgecl.learning.expert_plan import FIXED, TESTS, ExpertPlan, every_expert, plan_experts
from edgecl.learning.expert_state import ExpertState
from edgecl.learning.experts import Experts, Learning
from edgecl.learning.row_scaling import FIRST_ROWS, LIMIT, RowScaling


def plan(columns: int = 3, classes: int = 4, available_bytes: int = 1 << 20) -> ExpertPlan:
    return plan_experts(row_dimension=columns, max_classes=classes, available_bytes=available_bytes)


def stream(count: int, *, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    rows = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    return rows, ["high" if one > 0 else "low" for one in rows[:, 0]]


def follow(experts: Experts, rows: np.ndarray, labels: list[str]) -> np.ndarray:
    fixed = np.zeros((len(rows), FIXED, len(experts.labels)), np.float32)
    return experts.follow(rows, fixed, [Learning(at, at, label) for at, label in enumerate(labels)])[0]


@pytest.mark.parametrize("available_bytes", [40_000, 80_000, 150_000, 1 << 20])
def test_what_runs_fits_the_memory_and_states_its_bytes(available_bytes: int) -> None:
    chosen = plan(available_bytes=available_bytes)
    state = ExpertState.start(chosen)
    assert chosen.nbytes <= available_bytes
    assert state.nbytes <= chosen.nbytes


def test_more_memory_never_runs_fewer_experts() -> None:
    counts = [len(plan(available_bytes=size).names) for size in (3000, 20_000, 60_000, 120_000, 200_000, 1 << 20)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_without_room_for_one_the_error_names_the_memory() -> None:
    with pytest.raises(SettingError) as error:
        plan(available_bytes=100)
    assert error.value.parameter == "memory_bytes"


def test_a_rule_is_learnt() -> None:
    experts = Experts(ExpertState.start(plan()))
    given = follow(experts, *stream(1500))
    truth = [experts.labels.index(label) for label in stream(1500)[1]]
    assert (given.argmax(axis=1) == truth)[500:].mean() > 0.95


def test_a_rule_of_two_columns_among_ten_is_learnt_better_with_tables_on_pairs() -> None:
    rows = np.random.default_rng(3).normal(size=(4000, 10)).astype(np.float32)
    labels = ["in" if abs(row[2]) < 0.6 and row[7] > -0.4 else "out" for row in rows]
    right = {}
    for paired in (True, False):
        every = every_expert(10, 4, paired=paired)
        alone = replace(every, lift_width=0, rates=every.rates[:1], forgettings=(), remembered=0)
        experts = Experts(ExpertState.start(alone))
        given = follow(experts, rows, labels).argmax(axis=1)
        truth = np.array([experts.labels.index(label) for label in labels])
        right[paired] = (given == truth)[2000:].mean()
    assert right[True] > 0.93
    assert right[True] > right[False] + 0.02


@pytest.mark.parametrize(("columns", "tables"), [(1, 96), (2, 96), (9, 96), (40, 96), (7919, 32), (9, 0), (1, 0)])
def test_tables_on_pairs_test_every_pair_alike(columns: int, tables: int) -> None:
    chosen = replace(every_expert(columns, 4), tables=tables)
    drawn, thresholds = cell_tests(chosen, seed=0)
    pairs = drawn[1::2]
    assert drawn.shape == thresholds.shape == (tables, TESTS)
    assert ((pairs >= 0) & (pairs < columns)).all()
    assert (pairs[:, : TESTS // 2] == pairs[:, :1]).all()
    assert (pairs[:, TESTS // 2 :] == pairs[:, -1:]).all()
    if columns > 1:
        counts = Counter(tuple(sorted((int(one[0]), int(one[-1])))) for one in pairs)
        assert all(one != other for one, other in counts)
        possible = columns * (columns - 1) // 2
        assert len(counts) == min(possible, tables // 2)
        assert max(counts.values(), default=0) <= -(-tables // 2 // possible)
    assert [int((one >= 0).sum()) for one in drawn[::2]] == [1 + at % TESTS for at in range(tables // 2)]


def test_a_stream_that_began_without_tables_on_pairs_goes_on_without_when_classes_come() -> None:
    experts = Experts(
        ExpertState.start(plan_experts(row_dimension=3, max_classes=4, available_bytes=1 << 20, paired=False))
    )
    rows, labels = stream(300)
    follow(experts, rows, labels)
    before = experts.state.cells.copy()
    experts.know([f"new {at}" for at in range(6)])
    chosen = experts.state.plan
    assert (chosen.max_classes, chosen.paired, chosen.tables) == (8, False, 64)
    np.testing.assert_array_equal(experts.state.cells[:, :4], before)


def test_cells_are_not_taken_over_where_they_are_tested_by_others() -> None:
    experts = Experts(ExpertState.start(plan()))
    follow(experts, *stream(300))
    assert experts.state.cells.any()
    assert experts.state.fitted(plan(classes=8)).cells.any()
    assert not experts.state.fitted(plan(columns=4)).cells.any()


def test_same_rows_same_bits_however_they_are_cut() -> None:
    rows, labels = stream(FIRST_ROWS + 200)
    whole, pieces = Experts(ExpertState.start(plan())), Experts(ExpertState.start(plan()))
    follow(whole, rows, labels)
    for first in range(0, len(rows), 37):
        follow(pieces, rows[first : first + 37], labels[first : first + 37])
    for name, array in whole.state.arrays().items():
        np.testing.assert_array_equal(pieces.state.arrays()[name], array, err_msg=name)


def test_a_label_that_comes_late_teaches_the_row_it_belongs_to() -> None:
    rows, labels = stream(300)
    experts = Experts(ExpertState.start(plan()))
    _, tickets = experts.follow(rows, np.zeros((300, FIXED, 0), np.float32), [])
    for at, label in enumerate(labels):
        experts.learn(tickets[at], label)
    given = follow(experts, *stream(200, seed=1))
    truth = [experts.labels.index(label) for label in stream(200, seed=1)[1]]
    assert (given.argmax(axis=1) == truth).mean() > 0.9


def test_arrays_grow_with_the_classes_and_nothing_is_lost() -> None:
    experts = Experts(ExpertState.start(plan(classes=4)))
    rows, labels = stream(600)
    follow(experts, rows, labels)
    gradient = experts.state.gradient.copy()
    follow(experts, rows[:3], ["c", "d", "e"])
    assert experts.state.plan.max_classes == 8
    assert experts.state.gradient.shape[2] == 8
    assert np.abs(experts.state.gradient[:, 0, :2] - gradient[:, 0, :2]).max() < 1
    assert experts.labels == ("high", "low", "c", "d", "e") or set(experts.labels) == {"high", "low", "c", "d", "e"}


def test_memory_is_flat_whatever_comes() -> None:
    experts = Experts(ExpertState.start(plan()))
    before = experts.state.nbytes
    follow(experts, *stream(5000))
    assert experts.state.nbytes == before
    assert experts.state.is_finite


def test_values_far_out_are_cut_and_state_stays_finite() -> None:
    rows, labels = stream(2000)
    rows[1500] = 1e30
    experts = Experts(ExpertState.start(plan()))
    follow(experts, rows, labels)
    assert experts.state.is_finite


def test_an_expert_that_comes_in_starts_with_an_even_share() -> None:
    experts = Experts(ExpertState.start(plan()))
    experts.take_part(0, present=True)
    weights = experts.mixing()
    assert weights["closed form"] == pytest.approx(1 / len(weights))
    experts.take_part(0, present=False)
    assert sum(experts.mixing().values()) == pytest.approx(1)


def test_the_scale_is_that_of_the_first_rows() -> None:
    rows = np.random.default_rng(0).normal(5, 3, (FIRST_ROWS + 50, 2)).astype(np.float32)
    scaling, scaled = RowScaling.start(2).take(rows)
    first = rows[:FIRST_ROWS].astype(float)
    expected = np.clip((rows[FIRST_ROWS:] - first.mean(axis=0)) / first.std(axis=0), -LIMIT, LIMIT)
    np.testing.assert_allclose(scaled[FIRST_ROWS:], expected, atol=1e-4)
    assert scaling.take(rows * 100)[0] is scaling


def test_a_column_that_never_changes_is_zero() -> None:
    assert not RowScaling.start(1).take(np.full((50, 1), 7, np.float32))[1].any()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("counters", [9, 0, 0, 0]),
        ("memory_labels", 7),
        ("gradient", np.nan),
        ("weights", None),
        ("solved", np.zeros(2)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, value: object) -> None:
    experts = Experts(ExpertState.start(plan()))
    follow(experts, *stream(50))
    arrays = {key: array.copy() for key, array in experts.state.arrays().items()}
    if value is None:
        del arrays[name]
    elif isinstance(value, np.ndarray):
        arrays[name] = value
    else:
        arrays[name][:] = value
    with pytest.raises(ValueError, match="experts"):
        ExpertState.from_arrays(arrays, plan=plan(), labels=experts.labels)


def test_a_state_goes_through_arrays_unchanged() -> None:
    experts = Experts(ExpertState.start(plan()))
    follow(experts, *stream(50))
    again = ExpertState.from_arrays(experts.state.arrays(), plan=plan(), labels=experts.labels)
    for name, array in experts.state.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)
    assert replace(again, labels=()).labels == ()


def test_one_row_at_a_time_asked_and_then_learnt_has_the_bits_of_a_block() -> None:
    rows, labels = stream(FIRST_ROWS + 100)
    whole, alone = Experts(ExpertState.start(plan())), Experts(ExpertState.start(plan()))
    follow(whole, rows, labels)
    for at, label in enumerate(labels):
        row = rows[at : at + 1]
        before = alone.state
        fixed = np.zeros((1, FIXED, len(alone.labels)), np.float32)
        asked = alone.follow(row, fixed, [])[0]
        alone.state = before
        learnt = follow(alone, row, [label])
        assert asked[0].tolist() == learnt[0, : asked.shape[1]].tolist()
    for name, array in whole.state.arrays().items():
        np.testing.assert_array_equal(array, alone.state.arrays()[name], err_msg=name)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_has_arrays_of_its_own_also_those_that_a_kernel_was_prepared_for(copied) -> None:
    rows, labels = stream(40)
    experts = Experts(ExpertState.start(plan()))
    for at, label in enumerate(labels[:20]):
        follow(experts, rows[at : at + 1], [label])
    other, before = copied(experts), experts.state.copy()
    for at, label in enumerate(labels[20:], 20):
        follow(other, rows[at : at + 1], [label])
    for name, array in before.arrays().items():
        np.testing.assert_array_equal(array, experts.state.arrays()[name], err_msg=name)
    assert other.state.counters[1] == 40
