"""The scale of columns: by the first rows, by later ones where a column wakes up, by ranks where a tail is heavy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.learning.heavy_tails import DEVIATES, JUDGED_ROWS, deviates, knots_of
from edgecl.learning.prequential import Prequential
from edgecl.learning.row_scaling import FIRST_ROWS, LIMIT, RowScaling
from edgecl.model.model import Model
from edgecl.model.settings import Settings

Rows = NDArray[np.float32]


def odd_rows(count: int = 2600, *, seed: int = 0) -> Rows:
    """A column each that is as usual, wakes up, is a rare flag, has a heavy tail, never changes."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(count, 5)) * [1, 20, 1, 1, 0] + [5, 0, 0, 0, 7]
    rows[:1200, 1], rows[:, 2] = 7, np.arange(count) % 400 == 399
    rows[:, 3] = np.exp(draw.normal(size=count) * 2)
    rows[:1100, 2] = 0
    return rows.astype(np.float32)


@pytest.mark.native("scales thousands of rows")
@pytest.mark.parametrize("block", [1, 7, 64, 3000])
def test_the_scale_does_not_depend_on_blocks(block: int) -> None:
    rows, scaling = odd_rows(), RowScaling.start(5)
    scaled = []
    for at in range(0, len(rows), block):
        scaling, part = scaling.take(rows[at : at + block])
        scaled.append(part)
    whole, expected = RowScaling.start(5).take(rows)
    np.testing.assert_array_equal(np.concatenate(scaled), expected)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(scaling.arrays()[name], array)


def test_ordinary_columns_are_scaled_by_the_first_rows_alone() -> None:
    rows = np.random.default_rng(0).normal(3, 5, (3000, 4)).astype(np.float32)
    after, scaled = RowScaling.start(4).take(rows)
    first = rows[:FIRST_ROWS].astype(np.float64)
    np.testing.assert_allclose(scaled[FIRST_ROWS:], (rows[FIRST_ROWS:] - first.mean(axis=0)) / first.std(axis=0), 1e-4)
    assert after.is_settled(rows)
    assert after.take(rows)[0] is after


def test_a_column_that_wakes_up_is_scaled_by_the_rows_from_then_on() -> None:
    rows = odd_rows(4000)
    after, scaled = RowScaling.start(5).take(rows)
    assert not scaled[:1200, 1].any()
    assert np.abs(scaled[1200:1300, 1]).max() < 5  # also before it is known well
    assert scaled[2300:, 1].std() == pytest.approx(1, abs=0.1)
    assert not scaled[:, 4].any()
    assert after.late.tolist()[::2] == [0, FIRST_ROWS, 0]


def test_a_heavy_tail_is_read_by_ranks() -> None:
    rows = odd_rows()
    scaled = RowScaling.start(5).take(rows)[1][FIRST_ROWS:, 3]
    deviate = np.log(rows[FIRST_ROWS:, 3]) / 2
    assert np.corrcoef(scaled, deviate)[0, 1] > 0.97
    assert np.abs(scaled).max() <= LIMIT
    order = np.argsort(deviate)
    assert (np.diff(scaled[order]) >= 0).all()


@pytest.mark.parametrize(
    ("column", "is_heavy"),
    [
        (lambda draw: draw.normal(size=JUDGED_ROWS), False),
        (lambda draw: draw.uniform(size=JUDGED_ROWS), False),
        (lambda draw: draw.integers(2, size=JUDGED_ROWS), False),
        (lambda draw: np.arange(JUDGED_ROWS) == 100, False),
        (lambda draw: np.exp(draw.normal(size=JUDGED_ROWS) * 2), True),
        (lambda draw: draw.standard_cauchy(JUDGED_ROWS), True),
        (lambda draw: np.zeros(JUDGED_ROWS), False),
    ],
)
def test_tails_are_heavy_or_not(column, is_heavy: bool) -> None:
    rows = np.array(column(np.random.default_rng(2)), np.float32)[:, None]
    assert bool(len(knots_of(rows))) is is_heavy


def test_deviates_lie_on_lines_between_knots() -> None:
    knots = np.cumsum(np.arange(1.0, len(DEVIATES) + 1))
    np.testing.assert_allclose(deviates(knots.astype(np.float32), knots), DEVIATES, atol=1e-6)
    middle = (knots[1:] + knots[:-1]) / 2
    expected = [np.interp(one, knots, DEVIATES) for one in middle]
    np.testing.assert_allclose(deviates(middle.astype(np.float32), knots), expected, atol=1e-6)
    far = deviates(np.array([-1e30, 1e30], np.float32), knots)
    assert far.tolist() == [-4, 4]
    alike = np.where(np.arange(len(DEVIATES)) < 5, 1.0, knots + 1)
    assert np.isfinite(deviates(np.array([0, 1, 1.5, 99], np.float32), alike)).all()


def test_the_scale_of_an_older_store_is_read() -> None:
    rows = odd_rows()
    arrays = RowScaling.start(5).take(rows[:1050])[0].arrays()
    old = RowScaling.from_arrays({name: arrays[name] for name in ("scaled_rows", "mean", "squares")})
    assert old.take(rows[1050:])[1].shape == (1550, 5)
    with pytest.raises(ValueError, match="does not fit together"):
        RowScaling.from_arrays({**arrays, "knots": np.zeros((3, 2))})
    with pytest.raises(ValueError, match="does not fit together"):
        RowScaling.from_arrays({**arrays, "late": np.zeros(4)})


def accuracy(rows: Rows, labels: list[str]) -> float:
    settings = Settings(
        memory_bytes=4 << 20, disk_bytes=64 << 20, max_classes=4, latent_dimension=rows.shape[1], shrinkage_floor=0.01
    )
    stream, answers = Prequential(Model(settings)), []
    for at in range(0, len(rows), 64):
        stream.take(labels[at : at + 64], rows[at : at + 64])
        answers += stream.answers
    return float(np.mean([one == label for one, label in zip(answers[2000:], labels[2000:], strict=True)]))


@pytest.mark.native("follows thousands of rows")
def test_a_stream_learns_from_a_column_that_wakes_up() -> None:
    rows = odd_rows(4000)
    assert accuracy(rows, ["high" if row[1] > 0 else "low" for row in rows]) > 0.93


@pytest.mark.native("follows thousands of rows")
def test_a_stream_learns_from_the_small_values_of_a_heavy_tail() -> None:
    rows = odd_rows(4000)
    assert accuracy(rows, ["high" if 0.3 < row[3] < 3 else "low" for row in rows]) > 0.85


def test_a_scale_of_the_first_rows_alone_is_plain_and_one_with_late_columns_or_heavy_tails_is_not() -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(FIRST_ROWS + 10, 3)).astype(np.float32)
    assert RowScaling.start(3).take(rows)[0].is_plain
    late = rows.copy()
    late[:FIRST_ROWS, 1] = 7
    assert not RowScaling.start(3).take(late)[0].is_plain
    heavy = np.exp(3 * rows)
    assert not RowScaling.start(3).take(heavy)[0].is_plain


def test_values_far_out_do_not_make_all_others_one_value() -> None:
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(FIRST_ROWS + 500, 2)).astype(np.float32)
    glitches = np.arange(150, len(rows), 200)
    spoilt = rows.copy()
    spoilt[glitches] *= 1e6
    usual = np.ones(len(rows), bool)
    usual[glitches] = False
    scaled = RowScaling.start(2).take(spoilt)[1][usual][FIRST_ROWS:]
    assert scaled.std(axis=0) == pytest.approx([1, 1], abs=0.25)


def test_a_column_that_grows_is_still_scaled_by_what_it_has_become() -> None:
    rows = np.random.default_rng(2).normal(size=(FIRST_ROWS, 1)).astype(np.float32)
    rows[200:] *= 1000
    assert 400 < RowScaling.start(1).take(rows)[0]._spread[0] < 1100


@pytest.mark.parametrize("size", [1e-12, 1e-30, 1, 1e9])
def test_columns_are_scaled_whatever_their_size(size: float) -> None:
    rows = (np.random.default_rng(3).normal(size=(FIRST_ROWS + 500, 1)) * size).astype(np.float32)
    assert RowScaling.start(1).take(rows)[1][FIRST_ROWS:].std() == pytest.approx(1, abs=0.1)


def test_a_rare_flag_counts_in_full_and_a_late_column_has_its_glitches_cut() -> None:
    rows = np.random.default_rng(4).normal(size=(2 * FIRST_ROWS + 500, 2)).astype(np.float32)
    rows[:, 0] = np.arange(len(rows)) % 400 == 399
    rows[:FIRST_ROWS, 1] = 0
    rows[FIRST_ROWS + 150 :: 200, 1] *= 1e6
    after = RowScaling.start(2).take(rows)[0]
    assert after._spread[0] == pytest.approx(rows[:FIRST_ROWS, 0].astype(float).std(), rel=1e-6)
    assert after._spread[1] == pytest.approx(1, abs=0.25)


def changed(kind: str) -> Rows:
    """A column whose values become uniform in 0 to 500, or 1,000 times as large, late in the first rows or after."""
    draw = np.random.default_rng(5)
    usual, far = draw.normal(0, 0.01, 4000), draw.uniform(0, 500, 4000)
    parts = {
        "noise until row 800": (usual[:800], far[800:]),
        "noise until row 900": (usual[:900], far[900:]),
        "a thousand times as large": (usual[:900], usual[900:] * 1000),
        "zero, little, far": (np.zeros(700), usual[:1], far[701:]),
        "every third value": (usual[:800], far[800:] * (np.arange(3200) % 3 == 0)),
        "late": (np.zeros(1000), usual[:850], far[1850:]),
    }
    return np.concatenate(parts[kind]).astype(np.float32)[:, None]


@pytest.mark.native("scales thousands of rows")
@pytest.mark.parametrize(
    "kind",
    [
        "noise until row 800",
        "noise until row 900",
        "a thousand times as large",
        "zero, little, far",
        "every third value",
        "late",
    ],
)
def test_values_far_out_count_in_full_once_they_are_not_rare(kind: str) -> None:
    rows = changed(kind)
    _, scaled = RowScaling.start(1).take(rows)
    end = rows[2500:, 0]
    assert np.corrcoef(scaled[2500:, 0], end)[0, 1] > 0.95
    assert (np.abs(scaled[2500:, 0]) >= LIMIT).mean() < 0.1  # 0.5 and more where they never count in full


@pytest.mark.native("scales thousands of rows")
@pytest.mark.parametrize("block", [1, 7, 64])
def test_what_was_far_out_of_late_is_part_of_the_state(block: int) -> None:
    rows = np.concatenate([changed("noise until row 800"), changed("late"), odd_rows(4000)], axis=1)
    rows[850::150, 3] *= 1e6
    whole, expected = RowScaling.start(rows.shape[1]).take(rows)
    scaling, scaled = RowScaling.start(rows.shape[1]), []
    for at in range(0, len(rows), block):
        scaling, part = RowScaling.from_arrays(scaling.arrays()).take(rows[at : at + block])
        scaled.append(part)
    np.testing.assert_array_equal(np.concatenate(scaled), expected)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(scaling.arrays()[name], array)


def test_a_scale_that_looks_whether_values_are_rare_is_not_plain_until_it_is_settled() -> None:
    rows = np.random.default_rng(6).normal(size=(FIRST_ROWS, 1)).astype(np.float32)
    rows[990] = 1e6
    scaling = RowScaling.start(1).take(rows[:990])[0]
    assert scaling.is_plain
    assert not scaling.take(rows[990:995])[0].is_plain
    assert scaling.take(rows[990:])[0].is_plain
