"""Drift detectors: one contract for each of them, then what is their own."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from edgecl.drift import adwin, in_place
from edgecl.drift.adwin import Adwin
from edgecl.drift.detector import Change, Detector
from edgecl.drift.outlier_score import outlier_scores
from edgecl.drift.page_hinkley import PageHinkley
from edgecl.errors import DataError, SettingError

DETECTORS = pytest.mark.parametrize("start", [Adwin.start, lambda: PageHinkley.start(delta=0.1, threshold=20)])


def errors(*shares: float, length: int = 2000, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.concatenate([generator.random(length) < share for share in shares])


@DETECTORS
def test_a_rise_of_the_error_is_noticed_with_its_direction(start) -> None:
    first, *_ = start().update(errors(0.1, 0.5)).changes
    assert first.direction == 1
    assert 2000 <= first.at < 2100
    assert abs(first.at + 1 - first.since - 2000) < 200


@DETECTORS
def test_a_fall_is_noticed_with_its_direction(start) -> None:
    first, *_ = start().update(errors(0.5, 0.1)).changes
    assert first.direction == -1
    assert 2000 <= first.at < 2100


@DETECTORS
def test_an_update_leaves_the_old_detector_as_it_was(start) -> None:
    detector: Detector = start()
    signal = detector.update(errors(0.1, 0.5))
    assert detector.update(errors(0.1, 0.5)).changes == signal.changes
    assert signal.detector is not detector


@DETECTORS
def test_one_by_one_is_as_all_at_once(start) -> None:
    values = errors(0.1, 0.6, length=500)
    detector: Detector = start()
    told = []
    for at, value in enumerate(values):
        signal = detector.update(value)
        told += [Change(at, one.direction, one.since) for one in signal.changes]
        detector = signal.detector
    assert tuple(told) == start().update(values).changes


@DETECTORS
def test_memory_stays_the_same_however_long_the_stream_is(start) -> None:
    assert start().update(errors(0.3, length=100_000)).detector.nbytes == start().nbytes <= 4096


@DETECTORS
@pytest.mark.parametrize("values", [[np.nan], [0.0, np.inf], [[0.0]]])
def test_what_is_no_finite_number_is_refused(start, values) -> None:
    with pytest.raises(DataError, match="finite numbers"):
        start().update(values)


def test_false_alarms_of_adwin_are_rare_on_steady_errors() -> None:
    alarms = sum(len(Adwin.start().update(errors(0.2, length=10_000, seed=seed)).changes) for seed in range(10))
    assert alarms <= 2


def test_adwin_knows_the_mean_since_the_last_change() -> None:
    adwin = Adwin.start().update(errors(0.1, 0.9)).detector
    assert isinstance(adwin, Adwin)
    assert adwin.mean == pytest.approx(0.9, abs=0.05)
    assert 1900 <= adwin.width + 64 <= 2064
    assert Adwin.start().mean == 0


@pytest.mark.parametrize(
    "wrong", [{"delta": 0}, {"delta": 1}, {"clock": 0}, {"shortest": 0}, {"grace": 2}], ids=lambda one: str(one)
)
def test_adwin_refuses_settings_that_cannot_work(wrong) -> None:
    with pytest.raises(SettingError, match="wanted"):
        Adwin.start(**wrong)


@pytest.mark.parametrize("wrong", [{"delta": -1}, {"threshold": 0}, {"alpha": 0}, {"alpha": 1.1}, {"grace": 0}])
def test_page_hinkley_refuses_settings_that_cannot_work(wrong) -> None:
    with pytest.raises(SettingError, match="wanted"):
        PageHinkley.start(**wrong)


def test_surprise_is_one_half_at_the_usual_distance_of_the_nearest_class() -> None:
    distances = np.array([[4.0, 9.0], [0.0, 9.0], [1e9, 1e12]])
    np.testing.assert_allclose(outlier_scores(distances, reference=4.0), [0.5, 0.0, 1.0], atol=1e-6)


def test_a_shift_of_unlabelled_samples_is_noticed_by_their_surprise() -> None:
    generator = np.random.default_rng(0)
    steady, moved = generator.chisquare(8, (2000, 1)), 2 * generator.chisquare(8, (500, 1))
    watched = outlier_scores(np.concatenate([steady, moved]), reference=float(np.median(steady)))
    (change,) = Adwin.start().update(watched).changes
    assert change.direction == 1
    assert 2000 <= change.at < 2200


def test_the_example_of_the_module_runs() -> None:
    assert doctest.testmod(adwin).failed == 0


@DETECTORS
def test_in_place_notices_what_updates_notice_one_by_one_in_blocks_and_mixed(start) -> None:
    values = errors(0.1, 0.6, 0.2, length=700)
    expected = start().update(values).changes
    assert len(expected) >= 2
    one = start().in_place()
    assert tuple(change for value in values if (change := one.add(float(value)))) == expected
    mixed, draw, found, at = start().in_place(), np.random.default_rng(5), [], 0
    while at < len(values):
        size = int(draw.integers(0, 90))
        if size < 20:
            found += [change] if (change := mixed.add(float(values[at]))) else []
            at += 1
        else:
            found += mixed.extend(values[at : at + size])
            at += size
    assert (tuple(found), mixed.seen) == (expected, len(values))


@DETECTORS
def test_in_place_goes_on_from_a_detector_and_gives_one_back(start) -> None:
    values = errors(0.1, 0.5, length=333)
    half = start().update(values[:500]).detector
    watched = half.in_place()
    changes = watched.extend(values[500:])
    whole = start().update(values)
    assert {500 + change.at for change in changes} == {change.at for change in whole.changes if change.at >= 500}
    np.testing.assert_array_equal(watched.detector.packed, whole.detector.packed)
    np.testing.assert_array_equal(half.packed, start().update(values[:500]).detector.packed)
    again = watched.detector
    watched.add(1.0)
    np.testing.assert_array_equal(again.packed, whole.detector.packed)


@DETECTORS
def test_in_place_refuses_what_is_not_finite_and_keeps_its_memory(start) -> None:
    watched = start().in_place()
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(DataError, match="finite"):
            watched.add(wrong)
        with pytest.raises(DataError, match="finite"):
            watched.extend([0.0, wrong])
    watched.extend(errors(0.1, 0.5))
    before = watched.nbytes
    for value in errors(0.1, 0.5, length=300):
        watched.add(float(value))
    assert watched.nbytes == before
    assert watched.seen == 4600


def test_the_example_of_in_place_runs() -> None:
    assert doctest.testmod(in_place).failed == 0
