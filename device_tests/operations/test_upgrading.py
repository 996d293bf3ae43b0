"""Upgrade: another extractor under an old store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.errors import EdgeclError, SettingError, StoreDamagedError
from edgecl.learner import Learner
from edgecl.learning.upgrading import can_contain, held_out
from edgecl.live.scorer import LiveScorer
from edgecl.model.model import Lesson, Model
from edgecl.operations.open_store import OpenStore
from edgecl.sources.samples import Sample

from ..support.commands import edgecl
from ..support.extractors import narrow_extractor
from ..support.learning import DIMENSION, Words, as_lesson, settings, taught
from ..support.stores import Cut, counted, folder_in_memory, killed_at, without_waiting

pytestmark = pytest.mark.native("teaches a store for each way to change its extractor")

COLUMNS = [f"x{index}" for index in range(DIMENSION)]
WORDS = Words(5, apart=1.5)
ROWS = WORDS.lesson(20, WORDS.labels[:4])
ASKED = np.concatenate([WORDS.say(label, 10) for label in ROWS])


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Two extractors of rows, `wide.onnx` and `narrow.onnx`, and `desk`, a store that was taught through the narrow."""
    identity = pytest.importorskip("edgecl_export.identity", reason="the exporter needs the extra [export]")
    with folder_in_memory() as path:
        identity.export_identity(path / "wide.onnx", COLUMNS)
        narrow_extractor(path / "wide.onnx", path / "narrow.onnx", [0, 1, 2])
        Learner.create(path / "desk", extractor=path / "narrow.onnx", max_classes=6).learn(ROWS, force=True)
        yield path


@pytest.fixture
def desk(folder: Path, tmp_path: Path) -> Learner:
    return Learner.open(shutil.copytree(folder / "desk", tmp_path / "desk"))


def shares(learner: Learner) -> NDArray[np.float32]:
    return learner.predict_proba(ASKED)


def accuracy(learner: Learner) -> float:
    return float(np.mean([one == WORDS.labels[index // 10] for index, one in enumerate(labels_of(learner))]))


def labels_of(learner: Learner) -> list[str]:
    return [getattr(answer, "label", "") for answer in learner.predict(ASKED)]


def test_a_better_extractor_answers_better_and_a_rollback_brings_the_old_answers_back(
    desk: Learner, folder: Path
) -> None:
    before, old = shares(desk), accuracy(desk)
    report = desk.upgrade(folder / "wide.onnx", ROWS)
    assert (report.verdict.accepted, report.revision, report.dropped) == (True, 3, ())
    assert accuracy(desk) > old
    assert desk.contract.dimension == desk.settings.latent_dimension == DIMENSION
    assert desk.status()["extractor"]["dimension"] == DIMENSION
    again = Learner.open(desk.path)
    assert again.check() == []
    np.testing.assert_array_equal(shares(again), shares(desk))
    again.rollback()
    assert again.contract.dimension == 3
    np.testing.assert_array_equal(shares(again), before)
    np.testing.assert_array_equal(shares(desk), before)  # that was open all the time
    assert "another extractor: identity" in edgecl("history", desk.path).out


def test_what_its_user_has_said_of_classes_stays(desk: Learner, folder: Path) -> None:
    desk.keep(WORDS.labels[0], "always")
    desk.set(unknown_above=0.9)
    before = desk.opened.live_body()
    assert desk.upgrade(folder / "wide.onnx", ROWS).revision
    after = desk.opened.live_body()
    for name in ("priorities", "unknown_above", "taught", "timed"):
        assert getattr(after, name) == getattr(before, name)


def test_lessons_forgetting_and_backups_go_on_with_the_new_extractor(
    desk: Learner, folder: Path, tmp_path: Path
) -> None:
    desk.upgrade(folder / "wide.onnx", ROWS)
    assert desk.learn(WORDS.lesson(8, WORDS.labels[4:])).revision == 4
    desk.forget(WORDS.labels[1])
    desk.resize(max_classes=5)
    desk.backup(tmp_path / "desk.backup")
    restored = Learner.restore(tmp_path / "desk.backup", tmp_path / "restored")
    assert restored.contract.dimension == DIMENSION
    np.testing.assert_array_equal(shares(restored), shares(desk))


def test_a_worse_extractor_is_rejected_and_leaves_a_note(desk: Learner, folder: Path, tmp_path: Path) -> None:
    desk.upgrade(folder / "wide.onnx", ROWS)
    before = shares(desk)
    worse = narrow_extractor(folder / "wide.onnx", tmp_path / "worse.onnx", [0])
    report = desk.upgrade(worse, ROWS)
    assert (report.is_accepted, report.revision) == (False, None)
    assert "recordings" in " ".join(report.verdict.reasons)
    np.testing.assert_array_equal(shares(desk), before)
    assert desk.history()["journal"][-1]["strategy"] == "upgrade"
    assert "another extractor" in edgecl("history", desk.path).out
    assert desk.upgrade(worse, ROWS, force=True).revision == 4
    assert desk.contract.dimension == 1


def test_a_trial_writes_nothing(desk: Learner, folder: Path) -> None:
    before = sorted(one.name for one in desk.path.rglob("*"))
    report = desk.upgrade(folder / "wide.onnx", ROWS, dry_run=True)
    assert (report.is_accepted, report.revision) == (True, None)
    assert sorted(one.name for one in desk.path.rglob("*")) == before


def test_classes_without_recordings_are_refused_by_name_or_dropped(desk: Learner, folder: Path) -> None:
    some = {label: rows for label, rows in ROWS.items() if label != WORDS.labels[2]}
    with pytest.raises(SettingError, match="no recordings of 'word 02'") as refused:
        desk.upgrade(folder / "wide.onnx", some)
    assert refused.value.parameter == "drop_missing"
    report = desk.upgrade(folder / "wide.onnx", {**some, "stranger": ASKED[:3]}, drop_missing=True)
    assert (report.dropped, dict(report.unknown)) == ((WORDS.labels[2],), {"stranger": 3})
    assert WORDS.labels[2] not in desk.classes
    desk.rollback()
    assert WORDS.labels[2] in desk.classes


def test_what_cannot_be_upgraded_is_refused(desk: Learner, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="has that extractor already"):
        desk.upgrade(folder / "narrow.onnx", ROWS)
    with pytest.raises(SettingError, match="make a new store for it"):
        desk.upgrade("voice", ROWS)
    with pytest.raises(SettingError, match="learnt nothing"):
        Learner.create(tmp_path / "empty", extractor=folder / "narrow.onnx").upgrade(folder / "wide.onnx", ROWS)
    stream = Learner.create(tmp_path / "stream", extractor=folder / "narrow.onnx", max_classes=4)
    stream.follow(ASKED, [WORDS.labels[index // 10] for index in range(len(ASKED))])
    with pytest.raises(SettingError, match="follows a stream"):
        stream.upgrade(folder / "wide.onnx", ROWS)


def test_a_part_of_a_store_is_no_extractor_to_give(desk: Learner, folder: Path, tmp_path: Path) -> None:
    desk.upgrade(folder / "wide.onnx", ROWS)
    with pytest.raises(SettingError, match="part of a store"):
        Learner.create(tmp_path / "other", extractor=desk.store.extractor_path)


def test_a_damaged_extractor_of_an_upgrade_is_found_and_repair_goes_back_to_the_old_one(
    desk: Learner, folder: Path
) -> None:
    before = shares(desk)
    desk.upgrade(folder / "wide.onnx", ROWS)
    path = desk.store.extractor_path
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    damaged = Learner.open(desk.path)
    with pytest.raises(StoreDamagedError, match="does not match its digest"):
        damaged.predict(ASKED)
    assert damaged.check()
    damaged.repair()
    assert damaged.check() == []
    np.testing.assert_array_equal(shares(Learner.open(desk.path)), before)


def test_killed_before_any_call_the_old_or_the_new_model_is_whole(folder: Path) -> None:
    few, answers = {label: ROWS[label][:4] for label in WORDS.labels[:2]}, []
    Learner.create(folder / "small", extractor=folder / "narrow.onnx", max_classes=2).learn(few, force=True)
    with without_waiting():
        for count in range(1, 400):
            path = shutil.copytree(folder / "small", folder / f"copy {count}")
            killed = False
            with counted(killed_at(count)):
                try:
                    Learner.open(path).upgrade(folder / "wide.onnx", few, force=True)
                except Cut:
                    killed = True
            found = Learner.open(path)
            answers.append((found.contract.dimension, shares(found).tobytes()))
            assert found.keep(WORDS.labels[0], "always").revision  # the next commit works
            assert found.check() == []
            shutil.rmtree(path)
            if not killed:
                break
    assert not killed
    assert len(answers) > 30
    assert len(set(answers)) == 2
    assert answers == sorted(answers)  # the old one until it is the new one


def test_a_lesson_that_was_read_through_the_old_extractor_is_not_committed(desk: Learner, folder: Path) -> None:
    other = Learner.open(desk.path)
    run = desk.run.learn(ROWS, again=True)
    next(run)
    assert other.upgrade(folder / "wide.onnx", ROWS).revision
    with pytest.raises(EdgeclError, match="another extractor meanwhile"):
        run.finish()


def test_a_listener_goes_on_with_the_extractor_that_it_started_with(
    desk: Learner, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    live = LiveScorer(OpenStore.open(desk.path))
    assert live.refresh()
    scorer = live.scorer
    desk.upgrade(folder / "wide.onnx", ROWS)
    assert not live.refresh()
    assert live.scorer is scorer
    assert "has another extractor: start again" in caplog.text
    desk.rollback()
    assert any(live.refresh() for _ in range(5))


@pytest.mark.parametrize("count", [2, 10, 60])
def test_sums_can_contain_their_own_samples_and_few_of_others(count: int) -> None:
    words = Words(2)
    model = taught(Model(settings()), lesson := words.lesson(count))
    label = words.labels[0]
    own = np.concatenate([*model.settings.features.blocks(as_lesson(model, lesson).rows[label])])
    assert can_contain(model.statistics[label], own).all()
    fresh = np.concatenate([*model.settings.features.blocks(as_lesson(model, words.lesson(count)).rows[label])])
    if count < DIMENSION:
        assert not can_contain(model.statistics[label], fresh).any()


def test_no_recording_is_judged_by_a_model_that_was_taught_with_it() -> None:
    """A label that says nothing of its samples is learnt by heart, and answered by chance where they are left out."""
    rng, by_heart, right = np.random.default_rng(0), list[bool](), list[bool]()
    names = {label: [f"{label}{row}" for row in range(12)] for label in ("a", "b")}
    for _ in range(10):
        noise = {label: rng.standard_normal((12, DIMENSION)).astype(np.float32) for label in names}
        model = taught(Model(settings()), noise)
        lesson = Lesson(as_lesson(model, noise).rows, recordings=names, groups=names)
        right += [one for found in held_out(model, lesson).values() for one in found.values()]
        by_heart += [one == label for label, rows in noise.items() for one in model.predict(rows).labels]
    assert len(right) == 240
    assert np.mean(by_heart) > 0.8
    assert np.mean(right) < 0.6


def test_a_person_is_left_out_whole_and_a_single_recording_judges_nothing(desk: Learner, folder: Path) -> None:
    said = [
        Sample(f"{label}/{row}", label, vector[None], "anna" if row < 10 else "ben")
        for label, rows in ROWS.items()
        for row, vector in enumerate(rows)
    ]
    alone = [
        Sample(one.source, one.label, one.signal, "anna", "one take") if one.label == WORDS.labels[3] else one
        for one in said
    ]
    assert desk.upgrade(folder / "wide.onnx", said, dry_run=True).verdict.classes[WORDS.labels[3]].samples == 20
    report = desk.upgrade(folder / "wide.onnx", alone, dry_run=True)
    assert report.verdict.name == "unproven"
    assert "'word 03' has no other recording" in " ".join(report.verdict.reasons)
