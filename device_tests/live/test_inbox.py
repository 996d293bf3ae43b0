"""The inbox: what it keeps, what it lets go, what a cut leaves."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.errors import EdgeclError, SettingError, StoreDamagedError
from edgecl.extractors.contract import Contract
from edgecl.extractors.opening import open_extractor
from edgecl.operations.inbox import DETECTIONS_KEPT, Inbox, Item
from edgecl.sources.json_lines import text_signal
from edgecl.sources.reading import read_samples

from ..support.commands import clips, edgecl, noise, process, voice_extractor, write_wav
from ..support.listening import said

pytestmark = pytest.mark.native("starts a listener for each evening")


@pytest.fixture(scope="module")
def contract() -> Contract:
    return open_extractor(voice_extractor()).contract


def sound(seed: int = 0) -> NDArray[np.float32]:
    return noise(1, seed=seed).astype(np.float32)[:, None]


def keep(inbox: Inbox, *, kind: str = "surprise", seed: int = 0) -> Item:
    return inbox.keep(sound(seed), kind=kind, time=1.5, label="yes", confidence=0.75, novelty=0.6)


def test_what_is_kept_comes_back_as_it_was(contract: Contract, tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", contract)
    item = keep(inbox)
    assert inbox.items() == [item]
    assert (item.id, item.label, item.seconds, item.count) == ("000001", "yes", 1.0, 1)
    np.testing.assert_allclose(inbox.signal(item), sound(), atol=1e-4)
    assert inbox.item("1") == item


def test_movement_is_kept_as_windows_that_learn_takes(contract: Contract, tmp_path: Path) -> None:
    channels = ("a", "b")
    wrist = replace(contract, modality="imu", sample_rate_hz=50.0, channels=channels, units=("g", "g"))
    wrist = replace(wrist, window_samples=100, hop_samples=50, pool_frames=1)
    moved = np.random.default_rng(0).standard_normal((100, 2)).astype(np.float32)
    inbox = Inbox(tmp_path / "inbox", wrist)
    item = inbox.keep(moved, kind="surprise", time=0, label="row", confidence=0.5, novelty=0.6)
    np.testing.assert_array_equal(inbox.signal(item), moved)
    (sample,) = read_samples(tmp_path / "inbox" / item.file, wrist, label="squat")
    np.testing.assert_array_equal(sample.signal, moved)  # type: ignore[union-attr]


def test_a_text_has_no_length_in_time(contract: Contract, tmp_path: Path) -> None:
    texts = replace(contract, modality="text", sample_rate_hz=0.0, units=("UTF-8",), window_samples=1, hop_samples=1)
    inbox = Inbox(tmp_path / "inbox", texts)
    signal = text_signal("where is my card")
    item = inbox.keep(signal, kind="set aside", time=0, label="card", confidence=0.5, novelty=0.1, called="refund")
    assert item.seconds == 0
    np.testing.assert_array_equal(inbox.signal(item), signal)


def test_the_newest_stay_within_the_bytes_granted(contract: Contract, tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", contract, capacity_bytes=100_000)
    for seed in range(9):
        keep(inbox, seed=seed)
        assert sum(path.stat().st_size for path in inbox.folder.iterdir()) <= 100_000
    assert [one.id for one in inbox.items()] == ["000007", "000008", "000009"]


def test_only_the_latest_detections_are_kept(contract: Contract, tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", contract)
    first = keep(inbox)
    kept = [keep(inbox, kind="detection", seed=seed).id for seed in range(DETECTIONS_KEPT + 3)]
    assert [one.id for one in inbox.items("detection")] == kept[3:]
    assert inbox.items("surprise") == [first]


def test_what_is_heard_again_is_counted(contract: Contract, tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", contract)
    inbox.heard_again(keep(inbox))
    assert [one.count for one in inbox.items()] == [2]
    item = inbox.items()[0]
    inbox.remove(item)
    inbox.heard_again(item)  # somebody has labelled it meanwhile
    assert inbox.items() == []


def test_what_another_process_changes_is_seen_at_once(contract: Contract, tmp_path: Path) -> None:
    one, other = (Inbox(tmp_path / "inbox", contract) for _ in range(2))
    first, second = keep(one, seed=1), keep(one, seed=2)
    assert one.items() == [first, second]
    other.heard_again(first)
    other.remove(second)
    third = keep(other, seed=3)
    assert [(item.id, item.count) for item in one.items()] == [(first.id, 2), (third.id, 1)]


def test_what_a_cut_leaves_is_not_listed_and_goes_with_the_next(contract: Contract, tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", contract)
    kept = keep(inbox)
    (inbox.folder / "000002.wav").write_bytes(b"RIFF")
    (inbox.folder / "000003.wav.tmp").write_bytes(b"RI")
    (inbox.folder / "000004.json").write_text('{"id": "0000')
    assert inbox.items() == [kept]
    latest = keep(inbox, seed=1)
    assert latest.id == "000005"
    assert {path.stem for path in inbox.folder.iterdir()} == {"000001", "000005"}


def test_a_torn_recording_is_refused(contract: Contract, tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", contract)
    item = keep(inbox)
    path = inbox.folder / item.file
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(StoreDamagedError, match="the power went"):
        inbox.recording(item)


def test_an_id_that_is_not_there_is_told_with_those_that_are(contract: Contract, tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", contract)
    with pytest.raises(SettingError, match="until a listener keeps"):
        inbox.item("1")
    keep(inbox)
    with pytest.raises(SettingError, match="there is 000001"):
        inbox.item("2")


def test_a_label_that_no_lesson_would_take_is_refused(contract: Contract, tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", contract)
    item = keep(inbox)
    assert inbox.sample(item, label=" lights on ").label == "lights on"
    with pytest.raises(SettingError, match="can't be used"):
        inbox.sample(item, label=".")


@pytest.fixture(scope="module")
def evening(kitchen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has heard a known word and one that nobody taught, the latter twice, and kept what it should."""
    folder = tmp_path_factory.mktemp("evening")
    store = Path(shutil.copytree(kitchen, folder / "kitchen"))
    coffee = clips("new-test", ["coffee"])[0].signal[:, 0]
    gap = said("yes")
    heard = write_wav(folder / "heard.wav", np.concatenate([gap, coffee, gap, coffee, gap]))
    assert edgecl("listen", store, heard, "--inbox", "--novelty", 0.3, "--threshold", 0.6).code == 0
    return store


@pytest.fixture
def noticed(evening: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(evening, tmp_path / "kitchen"))


def test_a_surprise_is_kept_once_and_named_through_the_gate(noticed: Path, tmp_path: Path) -> None:
    kept = edgecl("inbox", noticed, "--json").value["items"]
    (surprise,) = [one for one in kept if one["kind"] == "surprise"]
    assert surprise["count"] == 2
    assert edgecl("inbox", noticed, "export", surprise["id"], "-o", tmp_path / "out.wav").code == 0
    assert (tmp_path / "out.wav").read_bytes() == (noticed / "inbox" / surprise["file"]).read_bytes()
    assert edgecl("inbox", noticed, "label", surprise["id"], "coffee", "--json").value["new_classes"] == ["coffee"]
    assert surprise["id"] not in {one["id"] for one in edgecl("inbox", noticed, "--json").value["items"]}
    assert process("predict", noticed, surprise_clip(tmp_path), "--json").lines[0]["label"] == "coffee"


def surprise_clip(folder: Path) -> Path:
    return write_wav(folder / "again.wav", clips("new-test", ["coffee"])[0].signal)


def test_the_inbox_lists_for_people_and_for_programs(noticed: Path, tmp_path: Path) -> None:
    shown = edgecl("inbox", noticed)
    assert shown.code == 0
    assert "surprise" in shown.out
    assert "detection" in shown.out
    refused = edgecl("inbox", noticed, "export", 77, "-o", tmp_path / "x.wav")
    assert refused.code == 2
    assert "there is 0000" in refused.err


def test_a_wrong_detection_becomes_a_sample_of_what_it_was(noticed: Path) -> None:
    before = edgecl("status", noticed, "--json").value["classes"]["stop"]["samples"]
    done = edgecl("wrong", noticed, "--label", "stop", "--force", "--json")
    assert done.code == 0
    assert edgecl("status", noticed, "--json").value["classes"]["stop"]["samples"] == before + 1


def test_a_wrong_detection_without_a_name_becomes_background(noticed: Path) -> None:
    kept = len(edgecl("inbox", noticed, "--json").value["items"])
    assert edgecl("wrong", noticed, "--last", 2, "--force").code == 0
    classes = edgecl("status", noticed, "--json").value["classes"]
    assert classes["_background_noise_"]["samples"] == 10
    assert len(edgecl("inbox", noticed, "--json").value["items"]) == kept - 2


def test_wrong_is_refused_where_nothing_was_kept(kitchen: Path) -> None:
    done = edgecl("wrong", kitchen)
    assert done.code == 2
    assert "--inbox" in done.err


def test_a_clock_that_is_set_back_costs_nothing_that_is_new(
    contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(tmp_path / "inbox", contract, capacity_bytes=100_000)
    monkeypatch.setattr("edgecl.operations.inbox._now", lambda: "2026-11-28T12:00:00+00:00")
    for seed in range(4):
        keep(inbox, seed=seed)
    monkeypatch.setattr("edgecl.operations.inbox._now", lambda: "1970-01-01T00:00:05+00:00")
    for seed in range(4, 8):
        assert keep(inbox, seed=seed) in inbox.items()
    assert [one.id for one in inbox.items()] == ["000006", "000007", "000008"]
    inbox.heard_again(inbox.items()[0])
    keep(inbox, seed=8)
    assert [one.id for one in inbox.items()] == ["000006", "000008", "000009"]


def test_ids_go_on_beyond_six_digits(contract: Contract, tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", contract)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "999998.tmp").touch()
    kept = [keep(inbox, seed=seed) for seed in range(3)]
    assert [one.id for one in kept] == ["999999", "1000000", "1000001"]
    assert inbox.items() == kept
    assert inbox.item("1000000") == kept[1]
    np.testing.assert_array_equal(inbox.signal(kept[2]), inbox.signal(inbox.item("1000001")))


@pytest.mark.parametrize(
    "put",
    [
        lambda inbox: (inbox / "lost+found").mkdir(),
        lambda inbox: (inbox / "000009.json").mkdir(),
        lambda inbox: (inbox / "000009.json").symlink_to("000009.json"),
        lambda inbox: (inbox / "000009.json").symlink_to("nowhere"),
        lambda inbox: (inbox / "notes.txt").write_text("of the user"),
        lambda inbox: os.mkfifo(inbox / "pipe"),
    ],
)
def test_what_is_not_of_an_inbox_is_in_nobodys_way(
    contract: Contract, tmp_path: Path, put: Callable[[Path], object]
) -> None:
    inbox = Inbox(tmp_path / "inbox", contract)
    keep(inbox)
    put(inbox.folder)
    strangers = {one.name for one in inbox.folder.iterdir() if one.name[0] != "0"}
    keep(inbox, seed=1)
    assert len(inbox.items()) == 2
    assert strangers <= {one.name for one in inbox.folder.iterdir()}


@pytest.mark.parametrize("name", ["000001.wav", "notes.txt"])
def test_an_inbox_that_is_a_link_is_not_followed(contract: Contract, tmp_path: Path, name: str) -> None:
    """What is of no item was removed where it led."""
    elsewhere = tmp_path / "recordings"
    elsewhere.mkdir()
    (elsewhere / name).write_text("of the user")
    (tmp_path / "inbox").symlink_to(elsewhere)
    with pytest.raises(EdgeclError, match="is a link"):
        keep(Inbox(tmp_path / "inbox", contract))
    assert [one.name for one in elsewhere.iterdir()] == [name]


@pytest.mark.parametrize("field", ["kind", "kept", "label", "confidence", "seconds", "order", "count", "event"])
@pytest.mark.parametrize("value", [None, True, [1], {}, "x", 10**400, float("nan")])
def test_an_item_with_a_field_of_another_kind_is_none(
    contract: Contract, tmp_path: Path, field: str, value: object
) -> None:
    inbox = Inbox(tmp_path / "inbox", contract)
    about = inbox.folder / f"{keep(inbox).id}.json"
    is_text = isinstance(json.loads(about.read_text())[field], str)
    about.write_text(json.dumps({**json.loads(about.read_text()), field: value}))
    assert len(inbox.items()) == int(is_text and value == "x")
    keep(inbox, seed=1)
    assert inbox.items()[-1].id == "000002"
