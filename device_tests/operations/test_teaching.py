"""A lesson that was taught before, in whole or in part."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecl import Learner
from edgecl.errors import DataError
from edgecl.sources.sound import encode_exactly

from ..support.commands import clips, edgecl, voice_extractor, write_clips, write_wav

pytestmark = pytest.mark.native("teaches a store for each lesson")

WORDS = ("yes", "no", "up")


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    """A store that was taught the clips in the folder next to it, `clips`."""
    voice_extractor()
    write_clips(tmp_path / "clips", clips("teach", WORDS, most=6))
    assert edgecl("init", tmp_path / "kitchen", "--extractor", "voice").code == 0
    assert edgecl("learn", tmp_path / "kitchen", tmp_path / "clips").code == 0
    return tmp_path / "kitchen"


def test_the_same_folder_again_makes_no_revision_and_says_so(kitchen: Path) -> None:
    done = edgecl("learn", kitchen, kitchen.parent / "clips")
    assert done.code == 0
    assert "NOTHING NEW, revision 2 stays live" in done.out
    assert "all 18 samples were taught before" in done.out
    assert "--again teaches it nevertheless" in done.out
    value = edgecl("learn", kitchen, kitchen.parent / "clips", "--json").value
    assert value["unchanged"]
    assert value["taught_before"] == len(value["skipped"]) == 18
    assert value["skipped"][0]["reason"].startswith("taught before")
    one = sorted((kitchen.parent / "clips" / "yes").iterdir())[0]
    alone = edgecl("learn", kitchen, one, "--label", "yes").out
    assert "- the sample was taught before: there is nothing to learn" in alone
    status = edgecl("status", kitchen, "--json").value
    assert status["revision"] == 2
    assert status["remembered"]["samples"] == 18
    assert status["classes"]["yes"]["remembered"] == 6


def test_one_clip_more_in_a_folder_is_the_one_that_is_taught(kitchen: Path) -> None:
    write_clips(kitchen.parent / "clips", clips("teach", ("yes",))[:7])
    value = edgecl("learn", kitchen, kitchen.parent / "clips", "--json", "--force").value
    assert (value["samples"], value["taught_before"]) == (1, 18)
    assert edgecl("status", kitchen, "--json").value["classes"]["yes"]["samples"] == 7


def test_what_would_teach_a_lesson_with_nothing_new_is_said(kitchen: Path) -> None:
    folder = kitchen.parent / "clips"
    forced = edgecl("learn", kitchen, folder, "--force")
    assert forced.code == 0
    assert "--again teaches it nevertheless" in forced.out
    learner = Learner.open(kitchen)
    learner.learn(clips("teach", ("yes",)), force=True)  # so many that one more is nothing new
    familiar = clips("teach", ("yes",))[0]
    write_wav(folder / "yes" / "more.wav", np.float32(0.9) * familiar.signal)
    some = edgecl("learn", kitchen, folder, "--dry-run")
    said = " ".join(some.out.split())
    assert "--force teaches the 1 other sample, --again also the 18 that were taught before" in said
    assert edgecl("learn", kitchen, folder, "--force", "--json").value["revision"] is not None


def test_again_teaches_a_repeat_on_purpose(kitchen: Path) -> None:
    assert edgecl("learn", kitchen, kitchen.parent / "clips", "--again", "--force").code == 0
    assert edgecl("status", kitchen, "--json").value["classes"]["yes"]["samples"] == 12


def test_a_forgotten_class_can_be_taught_the_same_clips(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    learner.forget("up")
    report = learner.learn(clips("teach", ("up",), most=6), distinct=True)
    assert report.taught_before == 0
    assert report.revision is not None


def test_a_rollback_takes_back_what_was_remembered(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    learner.rollback(1)
    assert learner.learn(clips("teach", WORDS, most=6)).samples == 18


def test_a_clip_under_two_labels_is_taught_as_neither(tmp_path: Path) -> None:
    voice_extractor()
    learner = Learner.create(tmp_path / "store", extractor="voice")
    yes = clips("teach", ("yes",), most=6)
    report = learner.learn([*yes, *(replace(one, label="no") for one in yes[:2])])
    assert report.counts == {"yes": 4}
    assert sum(one.reason.startswith("contradiction") for one in report.skipped) == 4
    with pytest.raises(DataError, match="'no' and 'yes'"):
        learner.learn([yes[0], replace(yes[0], label="no")])


def test_the_same_takes_at_other_levels_count_once(tmp_path: Path) -> None:
    voice_extractor()
    takes = [one for word in WORDS for one in clips("teach", (word,), most=2)]
    levels = [replace(one, signal=np.float32(level) * one.signal) for level in (1, 0.7, 0.5, 0.4) for one in takes]
    assert edgecl("init", tmp_path / "kitchen", "--extractor", "voice").code == 0
    value = edgecl("learn", tmp_path / "kitchen", write_clips(tmp_path / "clips", levels), "--json").value
    assert not value["proven"]
    assert {one["samples"] for one in value["classes"].values()} == {2}
    assert "has 2 recordings to be judged by" in " ".join(value["reasons"])


def test_labels_without_meaning_are_not_proven_by_the_same_takes_a_little_louder(tmp_path: Path) -> None:
    voice_extractor()
    mixed = [replace(one, label="ab"[index % 2]) for index, one in enumerate(clips("teach", WORDS, most=6))]
    learner = Learner.create(tmp_path / "store", extractor="voice")
    before = learner.learn(mixed, force=True).verdict
    louder = [replace(one, source=f"{one.source} louder", signal=np.float32(0.8) * one.signal) for one in mixed]
    after = learner.learn(louder, force=True).verdict
    right = [np.mean([one.after for one in some.classes.values()]) for some in (before, after)]
    assert right[1] < right[0] + 0.2
    assert not after.proven


def test_a_clip_that_was_confirmed_from_the_inbox_is_skipped_with_its_folder(kitchen: Path) -> None:
    learner, clip = Learner.open(kitchen), kitchen.parent / "more" / "up" / "quiet.wav"
    signal = np.float32(0.77) * clips("teach", ("up",), most=7)[6:][0].signal  # between the steps of 16 bits
    item = learner.inbox().keep(
        signal, kind="set aside", time=0.0, label="no", confidence=0.5, novelty=0.0, called="up", source=str(clip)
    )
    assert learner.learn_items([item], label="up", force=True).revision
    clip.parent.mkdir(parents=True)
    clip.write_bytes(encode_exactly(signal, rate_hz=16_000))
    again = edgecl("learn", kitchen, clip.parent.parent, "--json").value
    assert (again["taught_before"], again["unchanged"]) == (1, True)


def test_equal_rows_of_a_table_are_each_a_sample(tmp_path: Path) -> None:
    learner = Learner.create(tmp_path / "store", extractor=_table(tmp_path))
    rows = {"dry": [[0.0, 1.0, 2.0, 0.0, 0.0, 0.0]] * 3, "wet": [[5.0, 1.0, 0.0, 0.0, 0.0, 0.0]] * 3}
    assert learner.learn(rows).samples == 6
    assert learner.learn(rows, force=True).taught_before == 0


def _table(folder: Path) -> Path:
    pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
    from edgecl_export.table import export_table

    (folder / "rows.csv").write_text("a,b,c,y\n" + "0,1,2,dry\n5,1,0,wet\n1,1,2,dry\n5,2,0,wet\n" * 10)
    export_table(folder / "table.onnx", folder / "rows.csv", label_column="y")
    return folder / "table.onnx"


def test_a_lesson_flushes_each_file_at_most_twice_and_writes_little_more_than_what_changes(
    kitchen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, calls = sizes(kitchen), {"fsync": 0, "bytes": 0}
    fsync, write = os.fsync, os.write

    def counted_fsync(descriptor: int) -> None:
        calls["fsync"] += 1
        fsync(descriptor)

    def counted_write(descriptor: int, data: bytes) -> int:
        calls["bytes"] += len(data)
        return write(descriptor, data)

    monkeypatch.setattr(os, "fsync", counted_fsync)
    monkeypatch.setattr(os, "write", counted_write)
    assert Learner.open(kitchen).learn(clips("teach", ("on",), most=5)).is_accepted
    after = sizes(kitchen)
    changed = {name: size for name, size in after.items() if before.get(name) != size}
    changed["journal.jsonl"] = (changed["journal.jsonl"][0] - before["journal.jsonl"][0], 0)  # it is appended to
    assert len(changed) >= 6
    assert calls["fsync"] <= 2 * len(changed)
    assert calls["bytes"] <= 1.2 * sum(size for size, _ in changed.values())


def sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Length and time of each file."""
    found = [(path, path.stat()) for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (status.st_size, status.st_mtime_ns) for path, status in found}


def test_a_new_class_is_proven_without_the_person_of_each_sample_where_several_gave_it(tmp_path: Path) -> None:
    voice_extractor()
    taught = clips("teach", ("yes", "no"), most=6)
    by_two = [replace(one, group=f"person{number % 2}") for number, one in enumerate(taught)]
    write_clips(tmp_path / "two", by_two)
    write_clips(tmp_path / "one", [replace(one, group="me") for one in taught])
    for name, people in (("one", 0), ("two", 2)):
        assert edgecl("init", tmp_path / f"of {name}", "--extractor", "voice").code == 0
        shown = edgecl("learn", tmp_path / f"of {name}", tmp_path / name, "--dry-run").out
        assert ("6 of 2 people" in shown) == bool(people)
        verdict = edgecl("learn", tmp_path / f"of {name}", tmp_path / name, "--json").value
        assert {one["people"] for one in verdict["classes"].values()} == {people}
