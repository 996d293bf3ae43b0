"""Acceleration with and without gravity does not mix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl import Learner
from edgecl.demo.movement import CHANNELS, EXERCISES, RATE_HZ, recording
from edgecl.errors import DataError, EdgeclError
from edgecl.sources.gravity import Gravity
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample, Skip

from ..support.commands import edgecl
from ..support.recordings import WRIST

METRIC = replace(WRIST, units=("m/s2",) * 3)
DOWN = np.array([0, 0, 9.80665])


def window(force: float, *, down: NDArray[np.float64] = DOWN, label: str = "walk", seed: int = 0) -> Sample:
    """A window of movement of about `force` m/s2 on top of a gravity."""
    noise = np.random.default_rng(seed).normal(size=(100, 3)) * force / 3**0.5
    return Sample(f"walk.csv:{seed}", label, (noise - noise.mean(axis=0) + down).astype(np.float32), None)


def turned(turns: float) -> Sample:
    """A window in which a device at rest is turned about its x axis."""
    angle = np.linspace(0, 2 * np.pi * turns, 100)
    signal = 9.80665 * np.stack([np.zeros(100), np.sin(angle), np.cos(angle)], axis=1)
    return Sample("turned.csv", "turn", signal.astype(np.float32), None)


@pytest.mark.parametrize(
    ("sample", "found"),
    [
        (window(2), True),
        (window(15), True),
        (window(2, down=0 * DOWN), False),
        (window(0.01, down=0 * DOWN), False),
        (window(0, down=0 * DOWN), None),
        (window(15, down=0 * DOWN), None),
        (turned(1), None),
        (turned(0.4), True),
        (replace(window(2, down=0 * DOWN), is_scaled=True), None),
    ],
)
def test_a_window_shows_gravity_none_or_nothing(sample: Sample, found: bool | None) -> None:
    gravity = Gravity(METRIC, None)
    assert list(gravity.same(iter([sample]))) == [sample]
    assert gravity.is_in is found


def test_in_g_it_is_the_same() -> None:
    gravity = Gravity(replace(WRIST, units=("g",) * 3), None)
    gravity.check(window(0, down=DOWN).signal / np.float32(9.80665), "one")
    with pytest.raises(DataError, match="two: the acceleration has no gravity in it, and that of the samples before"):
        gravity.check(window(1, down=0 * DOWN).signal / np.float32(9.80665), "two")


@pytest.mark.parametrize("taught", [True, False])
def test_what_was_taught_is_compared_with(taught: bool) -> None:
    items = [Skip("a", "b"), *(window(2, down=0 * DOWN if taught else DOWN, seed=seed) for seed in range(40))]
    with pytest.raises(DataError, match=r"what was taught has .*acc?=1|what was taught has .*a=1") as raised:
        list(Gravity(METRIC, taught).same(iter(items)))
    assert raised.value.parameter == "scale"
    settled = [replace(one, is_scaled=True) for one in items if isinstance(one, Sample)]
    assert len(list(Gravity(METRIC, taught).same(iter(settled)))) == 40


def test_one_odd_window_among_many_of_a_label_refuses_nothing() -> None:
    items = [window(2, seed=seed, down=0 * DOWN if seed == 5 else DOWN) for seed in range(20)]
    assert list(Gravity(METRIC, True).same(iter(items))) == items


def test_a_contract_without_units_is_not_judged() -> None:
    items = [window(2), window(2, down=0 * DOWN, label="run")]
    assert list(Gravity(WRIST, True).same(iter(items))) == items


def csv(path: Path, exercise: str, *, is_linear: bool, seed: int = 1, seconds: float = 30.0) -> Path:
    """A recording of the demo's person `seed`."""
    signal = np.array(recording(exercise, seed, seconds=seconds), np.float64)
    if is_linear:  # as a phone does it: what changes slowly is gravity
        slow = np.stack([np.convolve(column, np.ones(100) / 100, "same") for column in signal[:, :3].T], axis=1)
        signal[:, :3] -= slow
        signal = signal[100:-100]
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [",".join([f"{at / RATE_HZ:.3f}", *(f"{one:.5f}" for one in row)]) for at, row in enumerate(signal)]
    path.write_text("\n".join([",".join(["timestamp", *CHANNELS]), *rows]) + "\n")
    return path


@pytest.mark.native("teaches a store of movement")
def test_a_store_of_one_kind_refuses_the_other_by_every_door(tmp_path: Path) -> None:
    store, kinds = tmp_path / "gym", list(EXERCISES)[:2]
    assert edgecl("init", store, "--extractor", "imu").code == 0
    for one in kinds:
        csv(tmp_path / "with" / one / "1.csv", one, is_linear=False)
        csv(tmp_path / "linear" / one / "1.csv", one, is_linear=True, seed=2)
    assert edgecl("learn", store, tmp_path / "with").code == 0
    refused = tmp_path / "linear" / kinds[0] / "1.csv"
    for command in (
        ("learn", store, tmp_path / "linear"),
        ("eval", store, tmp_path / "linear"),
        ("predict", store, refused),
        ("centre", store, refused),
        ("listen", store, refused),
    ):
        done = edgecl(*command)
        assert (done.code, "no gravity in it" in done.err, "(--scale)" in done.err) == (4, True, True), done
        assert "no gravity in it" not in edgecl(*command, "--scale", "acc=1").err
    assert Learner.open(store).opened.live_body().gravity is True


@pytest.mark.native("teaches a store of movement")
def test_predict_prints_no_answer_of_a_file_that_is_refused_further_on(tmp_path: Path) -> None:
    store, kinds = tmp_path / "gym", list(EXERCISES)[:2]
    assert edgecl("init", store, "--extractor", "imu").code == 0
    for one in kinds:
        csv(tmp_path / "with" / one / "1.csv", one, is_linear=False)
    assert edgecl("learn", store, tmp_path / "with").code == 0
    session = tmp_path / "session"
    csv(session / "1.csv", kinds[0], is_linear=False, seconds=80.0)
    assert edgecl("predict", store, session).out
    csv(session / "2.csv", kinds[0], is_linear=True, seconds=80.0)
    done = edgecl("predict", store, session)
    assert (done.code, "no gravity in it" in done.err, done.out) == (4, True, "")


@pytest.mark.native("teaches a store of movement")
def test_a_fresh_store_takes_either_kind_and_not_both_in_one_lesson(tmp_path: Path) -> None:
    kinds = list(EXERCISES)[:2]
    for index, one in enumerate(kinds):
        csv(tmp_path / "linear" / one / "1.csv", one, is_linear=True)
        csv(tmp_path / "mixed" / one / "1.csv", one, is_linear=index == 1)
    for name in ("a", "b"):
        assert edgecl("init", tmp_path / name, "--extractor", "imu").code == 0
    assert edgecl("learn", tmp_path / "a", tmp_path / "linear").code == 0
    opened = Learner.open(tmp_path / "a").opened
    assert opened.live_body().gravity is False
    assert edgecl("rollback", tmp_path / "a").code == 0
    assert opened.live_body().gravity is None
    done = edgecl("learn", tmp_path / "b", tmp_path / "mixed")
    assert (done.code, "that of the samples before has gravity in it" in done.err) == (4, True)


@pytest.mark.native("teaches a store of movement")
def test_a_store_that_was_taught_before_it_was_noted_is_not_compared_with(tmp_path: Path) -> None:
    one, other = list(EXERCISES)[:2]
    assert edgecl("init", tmp_path / "a", "--extractor", "imu").code == 0
    given = csv(tmp_path / "with.csv", one, is_linear=False)
    assert edgecl("learn", tmp_path / "a", given, "--label", one, "--scale", "acc=1").code == 0  # so that none is noted
    linear = csv(tmp_path / "linear.csv", other, is_linear=True)
    assert edgecl("learn", tmp_path / "a", linear, "--label", other).code == 0
    assert Learner.open(tmp_path / "a").opened.live_body().gravity is None


@pytest.mark.native("teaches a store of movement")
def test_a_lesson_that_another_has_overtaken_does_not_mix_with_it(tmp_path: Path) -> None:
    one, other = list(EXERCISES)[:2]
    learner = Learner.create(tmp_path / "gym", extractor="imu")
    contract = learner.contract
    slow = read_samples(csv(tmp_path / "with" / one / "1.csv", one, is_linear=False).parent.parent, contract)
    fast = read_samples(csv(tmp_path / "linear" / other / "1.csv", other, is_linear=True).parent.parent, contract)
    run = learner.run.learn(slow)
    next(run)
    assert Learner.open(learner.path).learn(fast).is_accepted
    with pytest.raises(EdgeclError, match="was taught while the lesson was read: teach it again"):
        run.finish()
