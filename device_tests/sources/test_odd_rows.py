"""Rows of movement that no sensor gave are named; those of any sensor are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecl.extractors.contract import Contract
from edgecl.operations.data import samples_of
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample

from ..support.recordings import WRIST, csv_of, movement, npz, put

WALK = replace(WRIST, units=("m/s2",) * 3, window_samples=100, hop_samples=50)
DOWN = np.array([0, 0, 9.80665])
TIMES = np.arange(600) / 50


def taught(data: Any, contract: Contract = WALK) -> int:
    """How many samples a lesson has."""
    if isinstance(data, Path):
        data = read_samples(data, contract, label="walk" if data.suffix == ".csv" else None)
    return sum(isinstance(one, Sample) for one in samples_of(data, contract=contract))


def test_zeros_in_place_of_lost_rows_are_named_in_any_form(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = movement(600) + DOWN
    rows[30:35] = 0
    told = "in 1 of 11 windows rows are zero, without gravity amid gravity, such as"
    assert taught(put(tmp_path / "walk.csv", csv_of(TIMES, rows))) == 11
    assert f"{told} {tmp_path}/walk.csv:2: leave out" in caplog.text
    assert caplog.text.count("rows are zero") == 1
    caplog.clear()
    X = rows.reshape(6, 100, 3)
    taught(npz(tmp_path / "walk.npz", X=X, y=np.array(["walk"] * 6)))
    assert "in 1 of 6 windows rows are zero" in caplog.text
    caplog.clear()
    taught({"walk": X})
    assert "in 1 of 6 windows rows are zero, without gravity amid gravity, such as walk[0]: leave" in caplog.text
    caplog.clear()
    put(tmp_path / "all" / "walk" / "1.csv", csv_of(TIMES, rows))
    taught(tmp_path / "all")
    assert caplog.text.count("rows are zero") == 1


def test_zeros_of_a_device_at_rest_without_gravity_are_not_named(caplog: pytest.LogCaptureFixture) -> None:
    rest = np.round(movement(600) / 3)
    rest[rest**2 > 1] = 0
    assert (~rest.any(axis=1)).any()
    mostly_rest = np.zeros((100, 3))
    mostly_rest[:20] = 8
    taught([*rest.reshape(6, 100, 3), mostly_rest])
    assert not caplog.text


def test_movement_that_coarse_steps_take_to_zero_is_not_named(caplog: pytest.LogCaptureFixture) -> None:
    step = DOWN / 10
    swing = np.round(8 + 8 * np.cos(2 * np.pi * 2.2 * TIMES))[:, None] * step
    assert (~swing.any(axis=1)).any()
    taught([*swing.reshape(6, 100, 3)])
    assert not caplog.text


@pytest.mark.parametrize("per_second", [5, 10, 25])
def test_steps_of_a_device_that_turns_steadily_are_not_named(
    caplog: pytest.LogCaptureFixture, per_second: float
) -> None:
    tenths = np.floor(TIMES * per_second)[:, None] / 10 * np.array([1, 0, 0])
    taught([*(tenths + DOWN).reshape(6, 100, 3)])
    assert not caplog.text


@pytest.mark.parametrize("times", [2, 2.5, 5])
def test_rows_that_are_written_again_until_the_next_comes_are_named(
    tmp_path: Path, times: float, caplog: pytest.LogCaptureFixture
) -> None:
    rows = (movement(600) + DOWN)[(np.arange(600) / times).astype(int)]
    others = movement(4000, seed=1).reshape(40, 100, 3)
    taught([*read_samples(put(tmp_path / "walk.csv", csv_of(TIMES, rows)), WALK, label="walk"), *others])
    assert f"in 11 of 51 windows each row is there {times:.3g} times, such as {tmp_path}/walk.csv:2: the" in caplog.text
    assert f"the sensor gave {50 / times:.3g} Hz, and 50 Hz are wanted: record faster" in caplog.text


def test_rows_that_come_again_are_named_where_times_are_uneven(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = np.repeat(movement(120) + DOWN, 5, axis=0)
    uneven = TIMES + np.random.default_rng(0).uniform(-0.002, 0.002, 600)
    taught(put(tmp_path / "walk.csv", csv_of(uneven, rows)))
    assert "each row is there 5 times" in caplog.text


@pytest.mark.parametrize("step", [0.5, 2.0, 5.0])
def test_rows_that_are_equal_because_their_steps_are_coarse_are_not_named(
    step: float, caplog: pytest.LogCaptureFixture
) -> None:
    smooth = np.stack([np.convolve(one, np.ones(25) / 5, "same") for one in movement(3000).T], axis=1)
    coarse = np.round((smooth + DOWN) / step) * step
    assert (np.diff(coarse, axis=0) == 0).all(axis=1).any()
    taught({"walk": coarse.reshape(30, 100, 3)})
    assert not caplog.text


@pytest.mark.parametrize(("factor", "is_named"), [(0.5, True), (2.0, True), (0.9, False), (1.1, False)])
def test_gravity_at_rest_that_is_not_of_its_unit_is_named(
    factor: float, is_named: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rest = (0.1 * movement(800) + DOWN).reshape(8, 100, 3) * factor
    taught({"rest": rest, "lie": np.repeat(rest / factor, 4, axis=0)})
    told = f"at rest gravity is {9.80665 * factor:.3g} in 'rest', where 9.81 m/s2 is wanted"
    assert (told in caplog.text) == bool(caplog.text) == is_named
    assert (f"The factor is a={1 / factor:.3g}" in caplog.text) == is_named
    caplog.clear()
    taught({"rest": rest - factor * DOWN + [0.3, 0, 0]})  # an offset without gravity
    taught({"walk": (3 * movement(800) + DOWN).reshape(8, 100, 3) * factor})  # not at rest
    assert not caplog.text


def test_an_axis_that_is_stuck_or_twice_is_named(caplog: pytest.LogCaptureFixture) -> None:
    X = (movement(800) + DOWN).reshape(8, 100, 3)
    X[:, :, 1] = X[:, :, 0]
    taught({"walk": X})
    assert "ax and ay are the same in all of 8 windows: is one written twice?" in caplog.text
    caplog.clear()
    X[:, :, 1] = -1
    taught({"walk": X})
    assert "ay: no change in any of 8 windows, where others change: is it recorded?" in caplog.text
    caplog.clear()
    taught({"walk": np.full((8, 100, 3), DOWN)})
    taught({"walk": X[:7]})
    rest = X / 100 + DOWN
    taught({"rest": rest})
    taught({"walk": X}, replace(WALK, units=("m/s2", "degC", "m/s2")))
    assert not caplog.text
