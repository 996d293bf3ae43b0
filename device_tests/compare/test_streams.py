"""Streams from recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.compare.results import Options
from edgecl.compare.streams import HELD_OUT, Recordings, embed, make_streams, prepare, recordings
from edgecl.errors import DataError, SettingError
from edgecl.sources.samples import Sample, Skip

from ..support.comparing import run, spoken

pytestmark = pytest.mark.native("plays every strategy several times")


class Doubling:
    """An extractor whose latent is twice the signal's first sample."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def latents(self, signals: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        self.asked.append(len(signals))
        return np.stack([2 * signal[0] for signal in signals])


def sample(value: float, label: str = "go", group: str | None = "ann") -> Sample:
    return Sample("file", label, np.full((4, 3), value, np.float32), group)


def test_samples_are_embedded_once_in_order_and_skips_are_kept() -> None:
    extractor, skip = Doubling(), Skip("bad.wav", "too short: 0.1 s")
    items = [skip, *(sample(value, "ab"[value % 2]) for value in range(20))]
    data = embed(items, extractor)  # type: ignore[arg-type]
    assert sum(extractor.asked) == 20
    np.testing.assert_array_equal(data.latents[:, 0], 2 * np.arange(20))
    assert [data.names[index] for index in data.labels[:3]] == ["a", "b", "a"]
    assert data.skipped == (skip,)


def test_a_latent_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="not finite"):
        embed([sample(np.nan)], Doubling())  # type: ignore[arg-type]


def test_groups_are_known_only_if_every_sample_has_one() -> None:
    latents = np.zeros((3, 2), np.float32)
    assert recordings(latents, ["a", "a", "b"], ["x", "y", "x"]).group_names == ("x", "y")
    assert recordings(latents, ["a", "a", "b"], ["x", None, "x"]).groups is None


def test_rare_classes_and_those_of_one_person_are_left_out_and_named() -> None:
    data = spoken(4, people=4, each=4)
    rare = np.flatnonzero(data.labels == 1)[4:]
    alone = np.flatnonzero((data.labels == 2) & (data.groups != 0))
    kept, remarks = prepare(
        data.take(np.setdiff1d(np.arange(len(data.labels)), [*rare, *alone])), by="speaker", scenario="class"
    )
    assert kept.names == ("word 00", "word 03")
    assert "word 01, word 02" in remarks[0]


def test_five_samples_of_a_class_take_part_with_a_remark_on_how_coarse_that_is() -> None:
    kept, remarks = prepare(spoken(4, people=5, each=1), by="speaker", scenario="class")
    assert len(kept.names) == 4
    assert "moves the accuracy of a stream by 12.5 points" in remarks[-1]


@pytest.mark.parametrize(
    ("data", "by", "scenario", "message"),
    [
        (spoken(1), None, "class", "one class"),
        (spoken(3, people=1, each=20), None, "class", "'person 0'.*none to split at random"),
        (spoken(3, people=2, each=2), None, "class", "fewer than two classes have 5 samples"),
        (replace(spoken(3), groups=None, group_names=()), "speaker", "class", "a split by speaker needs"),
        (replace(spoken(3), groups=None, group_names=()), None, "domain", "one after another"),
        (spoken(3), "none", "domain", "one after another"),
    ],
)
def test_data_that_cannot_be_compared_is_refused(data: Recordings, by: str | None, scenario: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare(data, by=by, scenario=scenario)


def test_without_groups_it_splits_at_random_and_says_so() -> None:
    data, remarks = prepare(replace(spoken(3), groups=None, group_names=()), by=None, scenario="class")
    assert "at random" in remarks[0]
    (stream,) = make_streams(data, scenario="class", experiences=3, seeds=1)
    assert np.bincount(data.labels[stream.unseen]).tolist() == [11, 11, 11]  # three in ten of 36


@pytest.mark.parametrize("scenario", ["class", "domain"])
def test_who_is_tested_on_taught_nothing(scenario: str) -> None:
    data = spoken()
    assert data.groups is not None
    for stream in make_streams(data, scenario=scenario, experiences=3, seeds=4):
        assert not set(data.groups[stream.training]) & set(data.groups[stream.unseen])


def test_seeds_test_on_other_people() -> None:
    data = spoken()
    assert data.groups is not None
    tested = [set(data.groups[one.unseen]) for one in make_streams(data, scenario="class", experiences=3, seeds=3)]
    assert set.union(*tested) == set(range(6))
    assert all(len(one) == 2 for one in tested)


def test_every_class_arrives_once() -> None:
    data = spoken()
    for stream in make_streams(data, scenario="class", experiences=4, seeds=3):
        arrived = [set(data.labels[rows]) for rows in stream.lessons]
        assert sum(map(len, arrived)) == len(set.union(*arrived)) == 6
        assert [set(data.labels[rows]) for rows in stream.parts] == arrived


def test_people_arrive_one_after_another_and_keep_a_quarter_back() -> None:
    data = spoken(each=8)
    assert data.groups is not None
    (stream,) = make_streams(data, scenario="domain", experiences=None, seeds=1)
    assert len(stream.lessons) == 4
    for learnt, tested in zip(stream.lessons, stream.parts, strict=True):
        assert set(data.groups[learnt]) == set(data.groups[tested])
        assert len(set(data.groups[learnt])) == 1
        assert not set(learnt) & set(tested)
        assert len(tested) * HELD_OUT == len(learnt) + len(tested)
        assert max(learnt[data.labels[learnt] == 0]) < min(tested[data.labels[tested] == 0])  # the end of the session


def test_a_class_on_one_side_of_a_split_is_not_played_and_named() -> None:
    data = spoken(4, people=3)
    assert data.groups is not None
    data = data.take(np.flatnonzero((data.labels != 3) | (data.groups < 2)))
    found, _ = run(data, Options(seeds=3, experiences=2, strategies=("closed-form",)))
    assert any("plays without word 03" in remark for remark in found.remarks)


@pytest.mark.parametrize(("scenario", "wanted"), [("class", "6 classes"), ("domain", "4 speakers")])
def test_more_experiences_than_there_can_be_are_refused(scenario: str, wanted: str) -> None:
    with pytest.raises(SettingError, match=f"7 experiences are too many.*{wanted}"):
        make_streams(spoken(), scenario=scenario, experiences=7, seeds=2)


def test_a_lesson_that_leaves_nothing_to_test_it_on_is_refused() -> None:
    with pytest.raises(SettingError, match="choose fewer"):
        make_streams(spoken(each=HELD_OUT - 1), scenario="domain", experiences=4, seeds=1)


def test_two_people_are_too_few_to_arrive_one_after_another() -> None:
    with pytest.raises(DataError, match="two or more lessons"):
        make_streams(spoken(people=2), scenario="domain", experiences=None, seeds=1)
