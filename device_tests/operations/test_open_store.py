"""A store with the voice extractor, from demo clips to committed revisions."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from edgecl.demo.clips import voice_clips
from edgecl.errors import DataError, ModelError, SettingError, StoreDamagedError
from edgecl.learner import Learner
from edgecl.operations.answering import Answer
from edgecl.operations.data import Embedded
from edgecl.operations.evaluating import Evaluation
from edgecl.operations.open_store import OpenStore
from edgecl.sources.samples import Sample, Skip

pytestmark = pytest.mark.native("teaches a store for each damage")

WORDS = ("yes", "no", "left")


def clips(split: str, words: Iterable[str] = WORDS, count: int = 100) -> list[Sample]:
    chosen: list[Sample] = []
    for word in words:
        chosen += [one for one in voice_clips(split) if one.label == word][:count]
    return chosen


@pytest.fixture(scope="module")
def taught_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("learner") / "kitchen"
    learner = Learner.create(path, extractor="voice")
    assert learner.learn(clips("teach", count=6)).is_accepted
    return path


@pytest.fixture
def learner(taught_folder: Path, tmp_path: Path) -> Learner:
    shutil.copytree(taught_folder, tmp_path / "kitchen")
    return Learner.open(tmp_path / "kitchen")


def test_a_lesson_becomes_a_revision_that_answers(learner: Learner) -> None:
    assert learner.store.current().number == 2
    result: Evaluation = learner.evaluate(clips("test", count=4))
    assert result.balanced_accuracy > 0.8
    assert result.as_dict()["per_class"].keys() == set(WORDS)


def test_progress_counts_the_samples(learner: Learner) -> None:
    seen = [one.samples for one in learner.run.learn(clips("teach", ["yes"], 20)) if isinstance(one, Embedded)]
    assert seen == [16, 20]


def test_a_new_word_is_reported_as_new(learner: Learner) -> None:
    report = learner.learn(clips("teach", ["stop"], 5))
    assert report.is_accepted
    assert report.new_classes == ("stop",)
    assert report.revision == 3
    assert 0 < report.bytes["total"] <= learner.settings.memory_bytes
    assert report.bytes_written > 0


def test_swapped_labels_leave_the_model_and_a_line_in_the_journal(learner: Learner) -> None:
    before = learner.store.current()
    swapped = {"yes": "no", "no": "yes"}
    lesson = [Sample(one.source, swapped[str(one.label)], one.signal, None) for one in clips("test", ["yes", "no"], 5)]
    report = learner.learn(lesson)
    assert not report.is_accepted
    assert report.revision is None
    assert learner.store.current() == before
    assert learner.store.journal()[-1]["kind"] == "rejected"


def test_force_commits_and_records_it(learner: Learner) -> None:
    lesson = [Sample(one.source, "no", one.signal, None) for one in clips("test", ["yes"], 5)]
    report = learner.learn(lesson, force=True)
    assert report.forced
    assert report.revision == 3
    assert learner.store.current().body["forced"] is True
    assert learner.store.current().body["verdict"]["accepted"] is False


def test_a_dry_run_writes_nothing(learner: Learner) -> None:
    before = {one: one.stat().st_mtime_ns for one in learner.store.path.rglob("*") if one.name != "lock"}
    report = learner.learn(clips("teach", ["stop"], 5), dry_run=True)
    assert report.outcome.verdict.accepted
    assert report.revision is None
    assert {one: one.stat().st_mtime_ns for one in learner.store.path.rglob("*") if one.name != "lock"} == before


def test_unproven_is_refused_where_proof_is_required(learner: Learner) -> None:
    report = learner.learn(clips("teach", ["stop"], 1), require_proof=True)
    assert report.outcome.verdict.accepted
    assert not report.outcome.verdict.proven
    assert not report.is_accepted
    assert learner.store.current().number == 2


def test_what_was_refused_for_want_of_proof_is_not_reported_as_accepted(learner: Learner) -> None:
    report = learner.learn(clips("teach", ["stop"], 1), require_proof=True).as_dict()
    assert report["accepted"] is False
    assert report["bytes_written"] == 0


def test_the_same_lesson_on_a_copy_gives_the_same_objects(learner: Learner, tmp_path: Path) -> None:
    shutil.copytree(learner.store.path, tmp_path / "copy")
    other = Learner.open(tmp_path / "copy")
    for one in (learner, other):
        one.learn(clips("teach", ["stop"], 5))
    assert learner.store.current().objects == other.store.current().objects


def test_rollback_makes_the_old_model_live_again(learner: Learner) -> None:
    learner.learn(clips("teach", ["stop"], 5))
    revision = learner.rollback()
    assert revision.number == 4
    assert "stop" not in learner.status()["classes"]
    assert revision.objects == learner.store.revision(2).objects


def test_a_second_rollback_goes_one_further_back(learner: Learner) -> None:
    learner.learn(clips("teach", ["stop"], 5))
    assert [learner.rollback().body["rolled_back_to"] for _ in range(2)] == [2, 1]
    assert learner.status()["classes"] == {}
    with pytest.raises(SettingError, match="nothing to roll back to"):
        learner.rollback()


def test_after_a_rollback_and_a_lesson_rollback_takes_back_the_lesson_then_what_was_before(learner: Learner) -> None:
    learner.learn(clips("teach", ["stop"], 5))
    learner.rollback()
    learner.learn(clips("teach", ["go"], 5))  # revision 5
    known = set(learner.store.revision(2).body["classes"])
    assert set(learner.rollback().body["classes"]) == known
    assert learner.rollback().body["rolled_back_to"] == 1
    learner.rollback(5)
    assert "go" in learner.status()["classes"]


@pytest.mark.native("embeds hundreds of clips")
def test_repair_loses_the_class_whose_part_is_damaged_and_no_other(learner: Learner) -> None:
    learner.learn(clips("teach", ["stop"], 6))
    for role in ("statistics/no", "exemplars/stop", "head"):
        path = learner.store.path / "objects" / f"{learner.store.current().objects[role]}.npz"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    done = Learner.open(learner.store.path).repair()
    assert done[:3] == [
        "revision 4 is live: what is left of revision 3",
        "'no' is lost: its statistics are damaged",
        "the exemplars of 'stop' are lost",
    ]
    mended = Learner.open(learner.store.path)
    assert mended.store.check() == []
    model = OpenStore(mended.store).model()[1]
    assert model.labels == ("left", "stop", "yes")
    assert list(model.exemplars) == ["left", "yes"]
    assert mended.evaluate(clips("test", ["left", "yes"])).balanced_accuracy > 0.8
    assert mended.learn(clips("teach", ["no"], 6)).is_accepted


def test_rollback_to_what_is_not_kept_names_what_is(learner: Learner) -> None:
    with pytest.raises(SettingError, match="1, 2"):
        learner.rollback(99)


def test_rollback_of_the_first_revision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="nothing to roll back"):
        Learner.create(tmp_path / "new", extractor="voice").rollback()


def test_predictions_come_in_order_with_what_was_skipped(learner: Learner) -> None:
    items: list[Sample | Skip] = [*clips("test", ["yes"], 2), Skip("bad.wav", "silent: 0"), *clips("test", ["no"], 1)]
    said = list(learner.predict(items))
    assert [(type(one), one.source) for one in said] == [
        (Skip if isinstance(one, Skip) else Answer, one.source) for one in items
    ]
    answers = [one for one in said if isinstance(one, Answer)]
    assert all(0 <= one.confidence <= 1 and 0 <= one.novelty <= 1 for one in answers)


def test_an_untaught_store_cannot_answer(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="learnt nothing"):
        list(Learner.create(tmp_path / "new", extractor="voice").predict(clips("test", ["yes"], 1)))


def test_samples_without_labels_cannot_be_taught_or_measured(learner: Learner) -> None:
    unlabelled = [Sample(one.source, None, one.signal, None) for one in clips("test", ["yes"], 1)]
    with pytest.raises(DataError, match="has no label"):
        learner.learn(unlabelled)
    with pytest.raises(DataError, match="no sample has a label"):
        learner.evaluate(unlabelled)


def test_a_class_that_was_never_taught_counts_as_wrong(learner: Learner) -> None:
    result = learner.evaluate(clips("test", ["yes", "go"], 5))
    assert result.unknown == ("go",)
    assert result.as_dict()["per_class"]["go"]["accuracy"] == 0


@pytest.mark.native("embeds hundreds of clips")
def test_a_lesson_longer_than_its_share_of_the_memory_is_spooled_and_the_same(tmp_path: Path) -> None:
    heads = []
    for memory in (512 << 10, 4 << 20):
        learner = Learner.create(tmp_path / str(memory), extractor="voice", memory_bytes=memory, max_classes=8)
        repeated = [one for _ in range(30) for one in clips("teach", count=10)]
        assert learner.learn(repeated, force=True).is_accepted
        head = OpenStore(learner.store).head().head
        assert head is not None
        heads.append(head.weights)
        assert learner.store.check() == []
    np.testing.assert_array_equal(*heads)


def test_status_adds_up(learner: Learner) -> None:
    status = learner.status()
    parts = {name: size for name, size in status["bytes"].items() if name != "total"}
    assert sum(parts.values()) == status["bytes"]["total"] <= status["budget_bytes"]
    assert status["revisions"] == [1, 2]
    assert status["damage"] == []


def test_an_extractor_that_was_changed_is_noticed(learner: Learner) -> None:
    content = bytearray(learner.store.extractor_path.read_bytes())
    content[1000] ^= 1
    learner.store.extractor_path.write_bytes(content)
    with pytest.raises(StoreDamagedError):
        list(Learner.open(learner.store.path).predict(clips("test", ["yes"], 1)))


def test_a_budget_that_cannot_work_leaves_no_store(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="smallest"):
        Learner.create(tmp_path / "tiny", extractor="voice", memory_bytes=2000)
    assert not (tmp_path / "tiny").exists()
