"""A federation played on one machine: who is dealt what, and the three answers that are compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecl.compare.streams import Recordings, recordings
from edgecl.errors import DataError, SettingError
from edgecl.federation.dealing import deal_folders, deal_people
from edgecl.federation.simulation import simulate
from edgecl.learner import Learner

from ..operations.test_sharing import LABELS, latents
from ..support.commands import edgecl, voice_extractor
from ..support.stores import without_waiting

pytestmark = pytest.mark.native("teaches many stores")


def people(
    count: int, *, named: bool = True, each: int = 6, first: int = 0, labels: tuple[str, ...] = LABELS
) -> Recordings:
    """Latents of so many people, each with samples of every class."""
    x, y, groups = [], [], []
    for person in range(first, first + count):
        for label, rows in latents(person, each, labels).items():
            x.append(rows)
            y.extend([label] * each)
            groups.extend([f"p{person}" if named else None] * each)
    return recordings(np.concatenate(x), y, groups)


def test_people_are_at_one_device_and_those_tested_at_none() -> None:
    dealt = deal_people(people(7), devices=3, rounds=2, seed=0)
    assert dealt.data.groups is not None
    whom = [set(dealt.data.groups[np.concatenate(parts)].tolist()) for parts in dealt.devices.values()]
    assert len(whom) == 3
    assert sum(map(len, whom)) == len(set.union(*whom)) == 5
    assert dealt.held_out == 2
    assert not set(dealt.data.group_names) & set(dealt.tested.group_names)
    rows = np.concatenate([part for parts in dealt.devices.values() for part in parts])
    assert sorted(rows.tolist()) == list(range(len(dealt.data.labels)))


def test_the_same_seed_deals_the_same_and_another_one_otherwise() -> None:
    data = people(9)
    first, again, other = (deal_people(data, devices=3, rounds=1, seed=seed).tested.group_names for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("data", "devices", "error", "says"),
    [
        (people(1), None, DataError, "1 of the 3 speakers or subjects"),
        (people(5, named=False), None, DataError, "not every sample names"),
        (people(6), 7, SettingError, "7 devices: wanted 2 to 4"),
        (people(6, labels=("yes",)), None, DataError, "two or more"),
    ],
)
def test_what_cannot_be_dealt_is_refused_with_what_to_do(
    data: Recordings, devices: int | None, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        deal_people(data, devices=devices, rounds=1, seed=0)


def test_devices_answer_as_the_central_store_after_every_round(tmp_path: Path) -> None:
    voice_extractor()
    dealt = deal_people(people(6), devices=3, rounds=2, seed=0)
    with without_waiting():
        report = simulate(dealt, tmp_path / "fleet", extractor="voice", keep=True).finish()
    assert [one.round for one in report.rounds] == [1, 2]
    for one in report.rounds:
        assert one.same_answers == 1
        assert one.merged == one.merged_least == one.central
        assert (one.replied, one.refused) == (3, {})
        assert sum(one.outcomes.values()) == 3
    assert report.rounds[-1].alone <= report.rounds[-1].merged
    whole = Learner.open(tmp_path / "fleet" / "central").opened.model()[1]
    for name in dealt.devices:
        model = Learner.open(tmp_path / "fleet" / name).opened.model()[1]
        assert {label: one.count for label, one in model.statistics.items()} == {
            label: one.count for label, one in whole.statistics.items()
        }
        assert model.head is not None
        assert whole.head is not None
        assert np.abs(model.head.weights - whole.head.weights).max() <= 1e-5 * np.abs(whole.head.weights).max()


def test_folders_are_devices_with_classes_of_their_own(tmp_path: Path) -> None:
    voice_extractor()
    home, office = people(2, labels=("go", "no")), people(2, first=2, labels=("stop", "yes"))
    dealt = deal_folders({"home": home, "office": office}, rounds=1, seed=0, tested=people(3, first=4))
    with without_waiting():
        report = simulate(dealt, tmp_path / "fleet", extractor="voice").finish()
    assert report.classes == LABELS
    assert report.devices == {"home": 24, "office": 24}
    (only,) = report.rounds
    assert only.alone <= 0.5
    assert only.merged == only.central > 0.9


def test_folders_without_other_people_say_that_figures_flatter() -> None:
    dealt = deal_folders({"home": people(2), "office": people(2, first=2)}, rounds=1, seed=0)
    assert "better than" in dealt.remarks[0]
    assert len(dealt.data.labels) + len(dealt.tested.labels) == 96


def test_flowers_apps_give_the_same_figures(tmp_path: Path) -> None:
    pytest.importorskip("flwr")
    voice_extractor()
    dealt, found = deal_people(people(5), devices=2, rounds=2, seed=0), []
    late = next(iter(dealt.devices))  # it has learnt nothing before the first round
    first, second = dealt.devices[late]
    dealt = replace(dealt, devices={**dealt.devices, late: (first[:0], np.concatenate([first, second]))})
    for engine in ("local", "flower"):
        with without_waiting():
            found.append(simulate(dealt, tmp_path / engine, extractor="voice", engine=engine).finish())
    assert found[0].rounds == found[1].rounds
    assert found[1].engine == "flower"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgecl.demo.clips import voice_clips
    from edgecl.sources.sound import encode_wav

    folder = tmp_path_factory.mktemp("data") / "clips"
    words = [one for one in voice_clips("teach") if one.label in ("yes", "left")]
    for number, one in enumerate(words):
        path = folder / str(one.label) / f"{one.group}_{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_wav(one.signal, rate_hz=16_000))
    return folder


def test_the_command_prints_the_three_and_keeps_the_stores(clips: Path, tmp_path: Path) -> None:
    voice_extractor()
    line = ("federate", "run", clips, "--extractor", "voice", "--devices", 2, "-o", tmp_path / "fleet")
    with without_waiting():
        done = edgecl(*line)
    assert done.code == 0, done.err
    assert "alone  merged  central" in done.out
    assert sorted(one.name for one in (tmp_path / "fleet").iterdir()) == ["central", "device 1", "device 2", "state"]
    again = edgecl(*line)
    assert again.code == 2
    assert "name a new folder" in again.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("{clips}/yes",), 4, "without a label"),
        (("{clips}", "{clips}"), 2, "each is a device"),
        (("{clips}", "{clips}/../nowhere"), 4, "nowhere"),
        (("{clips}", "{clips}/yes", "--devices", "2"), 2, "(--devices)"),
    ],
)
def test_bad_input_is_named(clips: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    voice_extractor()
    done = edgecl("federate", "run", *(one.format(clips=clips) for one in arguments), "--extractor", "voice")
    assert done.code == code
    assert says in done.err


def test_flower_is_named_where_it_is_missing(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecl.federation.app.find_spec", lambda _: None)
    done = edgecl("federate", "run", clips, "--extractor", "voice", "--flower")
    assert done.code == 1
    assert "edgecl[federated]" in done.err
    assert not done.out


def test_json_has_a_row_for_each_round(clips: Path) -> None:
    voice_extractor()
    with without_waiting():
        done = edgecl("federate", "run", clips, "--extractor", "voice", "--rounds", 2, "--devices", 2, "--json")
    assert [one["round"] for one in json.loads(done.out)["rounds"]] == [1, 2]
