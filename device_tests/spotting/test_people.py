"""People who did not teach: what is expected of them, and whom a threshold is for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecl.cli.text import percent
from edgecl.model.exemplars import Exemplars, person_number
from edgecl.spotting.calibration import Calibration, OwnClips, calibrated, placed
from edgecl.spotting.people import MOSTLY, TIMES, Allowance, Expected, Unseen, people_of, squared_left_out, unseen

from ..support.commands import clips, edgecl, voice_extractor, write_clips

pytestmark = pytest.mark.native("draws many people")

BETWEEN, WITHIN, D = 30.0, 60.0, 40
PLAIN = Allowance(BETWEEN, WITHIN, 0, 0, 1, 1, 0, 0, 0)


def _clips(rng: np.random.Generator, people: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Clips (n, D) of a word with the mean 0, and whose they are."""
    whose = np.repeat(np.arange(people), each)
    speakers = rng.normal(0, np.sqrt(BETWEEN / D), (people, D))
    return speakers[whose] + rng.normal(0, np.sqrt(WITHIN / D), (len(whose), D)), whose


@pytest.mark.parametrize(("people", "each"), [(1, 5), (2, 3), (5, 1), (4, 4)])
def test_expected_distances_are_those_of_drawn_people(people: int, each: int) -> None:
    rng = np.random.default_rng(0)
    taught, others = [], []
    for _ in range(300):
        rows, whose = _clips(rng, people, each)
        mean = rows.mean(axis=0)
        count, own = people_of((whose + 1).astype(np.uint8), len(rows))
        taught.append(squared_left_out(rows, mean, count, own).mean())
        others.append(np.square(_clips(rng, 1, 1)[0] - mean).sum())
    ours, theirs = Expected.of_taught(count, own), Expected.of_unseen(count)
    assert np.mean(taught) == pytest.approx(np.mean(BETWEEN * ours.between + WITHIN * ours.within), rel=0.05)
    assert np.mean(others) == pytest.approx(BETWEEN * theirs.between + WITHIN * theirs.within, rel=0.05)


def test_one_person_says_less_of_others_than_several() -> None:
    rng = np.random.default_rng(1)
    lost = {}
    for people, each in ((1, 10), (5, 2)):
        rows, whose = _clips(rng, people, each)
        count, own = people_of((whose + 1).astype(np.uint8), len(rows))
        squared = squared_left_out(rows, rows.mean(axis=0), count, own)
        found = unseen(squared, np.zeros(len(rows)), count, own, PLAIN, dimension=D)
        lost[people] = float(-squared.mean() / 2 - found.quiet)
    assert lost[1] > lost[5] + BETWEEN / 4


def test_clips_of_people_who_are_not_named_count_as_one_persons() -> None:
    assert person_number(None) == 0
    assert person_number("anna") == person_number("anna") != person_number("berta")
    count, own = people_of(np.zeros(4, np.uint8), 8.0)
    assert count.tolist() == [8.0]
    assert own.tolist() == [0] * 4


def test_a_share_rises_with_the_score_and_lies_in_its_interval() -> None:
    low, high = (Unseen(quiet=score, noise=score - 3, variance=100, person=60) for score in (0.0, 5.0))
    assert low.heard(0) == pytest.approx(0.5)
    assert high.heard(0) > low.heard(0) > low.heard(0, in_noise=True)
    least, most = high.of_one_person(0)
    assert least < high.heard(0) < most


@pytest.mark.parametrize("score", [-15.0, 0.0, 12.0, 40.0])
@pytest.mark.parametrize("person", [5.0, 60.0, 300.0])
def test_of_people_who_differ_as_stated_nine_in_ten_or_more_are_heard_as_often_as_promised(
    score: float, person: float
) -> None:
    within, people, rng = 100.0, 4000, np.random.default_rng(0)
    found = Unseen(quiet=score, noise=score, variance=within + person, person=person)
    means = score + np.sqrt(person) * rng.normal(size=(people, 1))
    heard = (means + np.sqrt(within) * rng.normal(size=(people, TIMES)) >= 0).mean(axis=1)
    least, most = found.of_one_person(0)
    is_inside = (heard >= least) & (heard <= most)
    assert is_inside.mean() >= 0.9 - 0.01
    narrower = (heard >= least + 1 / TIMES) & (heard <= most - 1 / TIMES)
    assert narrower.mean() < 0.9 or least + 1 / TIMES > most - 1 / TIMES


def test_the_more_people_differ_the_wider_is_what_is_promised_of_one() -> None:
    ranges = [Unseen(10.0, 10.0, 100 + person, person).of_one_person(0) for person in (1.0, 100.0, 1000.0)]
    widths = [most - least for least, most in ranges]
    assert widths == sorted(widths)
    assert widths[0] < widths[2]


def test_rows_keep_their_people_when_they_are_taken_joined_and_stored() -> None:
    rows = Exemplars(np.ones((3, 2), np.int8), np.ones(3, np.float32), people=np.array([7, 8, 9], np.uint8))
    unknown = Exemplars(np.ones((1, 2), np.int8), np.ones(1, np.float32))
    assert Exemplars.joined([unknown, rows.take(np.array([2, 0])).first(1)]).who().tolist() == [0, 9]
    assert Exemplars.from_arrays(rows.arrays()).who().tolist() == [7, 8, 9]
    assert "people" not in unknown.arrays()
    with pytest.raises(ValueError, match="people"):
        Exemplars.from_arrays({**rows.arrays(), "people": np.ones(2, np.uint8)})


def test_the_threshold_for_anyone_is_no_higher_than_that_for_those_who_taught() -> None:
    rows, _ = _clips(np.random.default_rng(2), 1, 8)
    rows = rows.astype(np.float32)
    own = OwnClips(rows, rows.mean(axis=0), 8, np.zeros(8, np.uint8), np.full(8, -90, np.float32), 0.0)
    background = np.linspace(-60, 0, 50).astype(np.float32)
    far = replace(PLAIN, between=3 * BETWEEN)
    mine, anyone, low, unknown = (
        calibrated(own, background, hours=10, room=-np.inf, allowance=allowance, is_mine=is_mine)
        for allowance, is_mine in ((PLAIN, True), (PLAIN, False), (far, False), (None, False))
    )
    assert mine.threshold == unknown.threshold
    assert anyone.threshold <= mine.threshold
    assert low.threshold < mine.threshold
    assert low.threshold >= np.sort(background)[-5]
    assert mine.unseen is not None
    assert anyone.unseen is not None
    assert unknown.unseen is None
    assert anyone.unseen >= mine.unseen


@pytest.mark.parametrize("noise", [-8.0, 0.0, 3.0])
def test_what_is_reached_mostly_is_reached_so_often_in_quiet_and_in_noise(noise: float) -> None:
    found = Unseen(quiet=2.0, noise=2.0 + noise, variance=400, person=150)
    shares = [found.heard(found.mostly(), in_noise=in_noise) for in_noise in (False, True)]
    assert min(shares) == pytest.approx(MOSTLY, abs=1e-4)


DIFFERENT = replace(PLAIN, clip=60.0, person=40.0)


def _own() -> OwnClips:
    """A word of eight people, of which most of what others say is expected to reach about 42."""
    rows, whose = _clips(np.random.default_rng(2), 8, 1)
    rows = rows.astype(np.float32)
    numbers = (whose + 1).astype(np.uint8)
    return OwnClips(rows, rows.mean(axis=0), 8, numbers, np.full(8, -90, np.float32), 0.0)


def _calibrated(background: float, *, least: float, room: float = -np.inf, is_mine: bool = False) -> Calibration:
    """That word, where the worst hops of the background all have the same score."""
    hops = np.full(50, background, np.float32)
    return calibrated(
        _own(), hours=10, background=hops, room=room, allowance=DIFFERENT, is_mine=is_mine, least=least
    )  # fmt: skip


@pytest.mark.parametrize("is_mine", [False, True])
def test_a_low_threshold_is_raised_to_the_least_and_a_higher_one_is_not(is_mine: bool) -> None:
    low, high = (_calibrated(score, least=20.0, is_mine=is_mine) for score in (-60.0, 15.0))
    assert low.threshold == 20.0
    assert high.threshold == _calibrated(15.0, least=-np.inf, is_mine=is_mine).threshold > 20.0


def test_a_threshold_is_raised_only_as_far_as_most_of_what_others_say_is_expected_to_reach_it() -> None:
    one = _calibrated(-60.0, least=1000.0)
    assert one.threshold == _own().unseen(DIFFERENT).mostly()
    assert one.unseen_in_noise == pytest.approx(MOSTLY, abs=1e-3)
    hard = _calibrated(45.0, least=1000.0)
    assert hard.unseen is not None
    assert hard.unseen < MOSTLY
    assert hard.threshold == placed(45.0, hard.typical, _own().unseen(DIFFERENT).quiet)


def test_a_threshold_rises_with_the_background_and_the_least_and_is_above_the_room() -> None:
    by_background = [_calibrated(score, least=20.0).threshold for score in (-200.0, -40.0, 0.0, 20.0, 35.0)]
    by_least = [_calibrated(-60.0, least=least).threshold for least in (-200.0, -40.0, 0.0, 20.0, 35.0, 90.0)]
    assert by_background == sorted(by_background)
    assert by_least == sorted(by_least)
    assert _calibrated(-60.0, least=20.0, room=50.0).threshold > 50.0


def test_status_promises_what_others_get_and_a_lesson_says_for_whom_it_is(tmp_path: Path) -> None:
    voice_extractor()
    store, folder = tmp_path / "kitchen", tmp_path / "clips"
    assert edgecl("init", store, "--extractor", "voice").code == 0
    write_clips(folder, clips("teach", ("yes", "no"), most=5))
    assert edgecl("learn", store, folder).code == 0
    anyone = edgecl("status", store, "--json").value["spotting"]["yes"]
    assert anyone["is_mine"] is False
    assert 0 <= anyone["unseen_least"] <= anyone["unseen_most"] <= 1
    shown = edgecl("status", store).out
    assert "taught it" in shown
    assert "Others are expected to be heard" in shown
    assert edgecl("learn", store, folder, "--for", "me").code == 0
    mine = edgecl("status", store, "--json").value["spotting"]["yes"]
    assert mine["is_mine"] is True
    assert edgecl("forget", store, "no").code == 0
    assert edgecl("status", store, "--json").value["spotting"]["yes"]["is_mine"] is True
    assert edgecl("learn", store, folder / "yes", "--label", "yes", "--for", "anyone").code == 0
    assert edgecl("status", store, "--json").value["spotting"]["yes"]["is_mine"] is False


def test_a_lesson_says_once_what_others_get_of_all_its_words(tmp_path: Path) -> None:
    voice_extractor()
    store = tmp_path / "kitchen"
    assert edgecl("init", store, "--extractor", "voice").code == 0
    folder = write_clips(tmp_path / "clips", clips("teach", ["go", "yes", "no"]))
    for number, path in enumerate(sorted(folder.rglob("*.wav"))):  # by one person, as far as their names tell
        path.rename(path.with_name(f"{number}.wav"))
    told = edgecl("learn", store, folder)
    assert told.out.count("of what people say who did not teach") == 1
    note = " ".join(told.out.partition("of what people say who did not teach")[2].split())
    spotting = edgecl("status", store, "--json").value["spotting"]
    for label in ("go", "no", "yes"):
        assert f"'{label}' {percent(spotting[label]['unseen'])}" in note
