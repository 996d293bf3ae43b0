"""Resize: other budgets for a store that has learnt."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecl.errors import EdgeclError, SettingError
from edgecl.learner import Learner
from edgecl.learning.resizing import narrowed, resized
from edgecl.model.exemplars import FeatureMap
from edgecl.model.model import MemoryObjects, Model

from ..support.commands import clips, edgecl, tree, voice_extractor, write_clips
from ..support.learning import Words, settings, taught

pytestmark = pytest.mark.native("teaches a store for each budget")

KIB = 1 << 10


@pytest.fixture(scope="module")
def kitchen_of_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    voice_extractor()
    folder = tmp_path_factory.mktemp("resize")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice", "--max-classes", 8).code == 0
    lesson = write_clips(folder / "clips", clips("teach", ["yes", "no", "left", "right"]))
    assert edgecl("learn", folder / "kitchen", lesson).code == 0
    return folder


@pytest.fixture
def kitchen(kitchen_of_words: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kitchen_of_words / "kitchen", tmp_path / "kitchen"))


def test_a_narrower_projection_of_a_projected_row_is_that_of_the_latent() -> None:
    latents = np.random.default_rng(0).standard_normal((5, 96)).astype(np.float32)
    whole, wide, narrow = (FeatureMap(96, width, 0, 7) for width in (0, 64, 32))
    np.testing.assert_allclose(narrowed(latents, whole, narrow), narrow.project(latents), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        narrowed(wide.project(latents), wide, narrow), narrow.project(latents), rtol=1e-5, atol=1e-6
    )


def test_a_narrowed_model_is_near_one_that_was_taught_narrow() -> None:
    words = Words(4)
    lesson = words.lesson(20)
    wide = settings(memory_bytes=1 << 20, max_classes=6)
    narrow = replace(wide, projection=wide.latent_dimension * 2 // 3, memory_bytes=200 * KIB)
    made = resized(taught(Model(wide), lesson), narrow, objects=MemoryObjects())
    fresh = taught(Model(narrow), lesson)
    for label in words.labels:
        np.testing.assert_allclose(made.statistics[label].mean, fresh.statistics[label].mean, rtol=0.05, atol=0.05)
    asked = np.concatenate([words.say(label, 20) for label in words.labels])
    same = np.mean([a == b for a, b in zip(made.predict(asked).labels, fresh.predict(asked).labels, strict=True)])
    assert same > 0.95


def test_within_its_features_a_head_stays_as_it_is(kitchen: Path) -> None:
    before = Learner.open(kitchen)
    head = before.store.current().objects["head"]
    done = edgecl("resize", kitchen, "--max-classes", 12, "--disk", "80MiB", "--json")
    assert done.code == 0
    assert (done.value["before"]["max_classes"], done.value["after"]["max_classes"]) == (8, 12)
    after = Learner.open(kitchen)
    assert after.store.current().objects["head"] == head
    assert (after.settings.max_classes, after.settings.disk_bytes) == (12, 80 << 20)
    status = edgecl("status", kitchen, "--json").value
    assert (status["max_classes"], status["disk_budget_bytes"], status["verdict"]) == (
        12,
        80 << 20,
        done.value["verdict"],
    )
    assert "resized" in edgecl("history", kitchen).out
    assert after.store.check() == []


def test_budgets_last_through_lessons_and_end_with_a_rollback(kitchen: Path, tmp_path: Path) -> None:
    assert edgecl("resize", kitchen, "--max-classes", 12).code == 0
    lesson = write_clips(tmp_path / "new", clips("teach", ["up"], most=6))
    assert edgecl("learn", kitchen, lesson).code == 0
    assert edgecl("set", kitchen, "--unknown-above", "0.9").code == 0
    assert Learner.open(kitchen).settings.max_classes == 12
    assert edgecl("forget", kitchen, "up").code == 0
    assert Learner.open(kitchen).settings.max_classes == 12
    assert edgecl("rollback", kitchen, 2).code == 0
    assert Learner.open(kitchen).settings.max_classes == 8
    assert edgecl("rollback", kitchen, 3).code == 0
    assert Learner.open(kitchen).settings.max_classes == 12


def test_shrinking_may_project_and_a_rollback_brings_the_width_back(kitchen: Path, kitchen_of_words: Path) -> None:
    heldout = write_clips(kitchen.parent / "test", clips("test", ["yes", "no", "left", "right"], most=4))
    before = edgecl("eval", kitchen, heldout, "--json").value["balanced_accuracy"]
    memory = Learner.open(kitchen).settings
    done = edgecl("resize", kitchen, "--memory", "48KiB", "--json", "--force")
    assert done.code == 0, done.out + done.err
    assert done.value["after"]["features"] < done.value["before"]["features"] == memory.features.dimension
    assert edgecl("eval", kitchen, heldout, "--json").value["balanced_accuracy"] > before - 0.3
    assert edgecl("listen", kitchen, next(heldout.rglob("*.wav"))).code == 0
    more = write_clips(kitchen.parent / "more", clips("test", ["stop"], most=6))
    assert edgecl("learn", kitchen, more, "--force").code == 0
    assert Learner.open(kitchen).store.check() == []
    assert edgecl("rollback", kitchen, 2).code == 0
    assert Learner.open(kitchen).settings == memory
    assert edgecl("eval", kitchen, heldout, "--json").value["balanced_accuracy"] == before


def test_richer_features_are_refused_with_what_must_be_taught_again(kitchen: Path) -> None:
    assert edgecl("resize", kitchen, "--memory", "48KiB", "--force").code == 0
    before = tree(kitchen)
    done = edgecl("resize", kitchen, "--memory", "1MiB")
    assert done.code == 2
    assert "teach again left, no, right, yes" in done.err
    assert "it keeps its features" in done.err
    assert tree(kitchen) == before


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--max-classes", 3], "knows 4 classes, 3 are too few: forget some first"),
        (["--memory", "1KiB"], "the smallest that can hold them"),
        (["--disk", "1KiB"], "the smallest that can hold them"),
        (["--max-classes", 8], "nothing to resize"),
        ([], "say what to change"),
    ],
)
def test_what_cannot_work_changes_nothing(kitchen: Path, options: list[object], why: str) -> None:
    before = tree(kitchen)
    done = edgecl("resize", kitchen, *options)
    assert done.code == 2
    assert why in done.err
    assert tree(kitchen) == before


def test_numbers_of_any_type_are_written_as_those_that_are_read(tmp_path: Path) -> None:
    voice_extractor()
    learner = Learner.create(tmp_path / "new", extractor="voice", max_classes=10.0, memory_bytes=np.int64(1 << 20))
    assert learner.resize(max_classes=np.float64(20)).is_accepted
    assert Learner.open(tmp_path / "new").status()["max_classes"] == 20
    assert learner.rollback(np.int64(1)).number == 3
    assert Learner.open(tmp_path / "new").check() == []


@pytest.mark.parametrize("wrong", ["10", 10.5, True, 0, -3, float("nan")])
def test_what_is_no_number_of_classes_is_refused_and_changes_nothing(tmp_path: Path, wrong: Any) -> None:
    voice_extractor()
    with pytest.raises(SettingError, match=r"max_classes .*: wanted a whole number"):
        Learner.create(tmp_path / "new", extractor="voice", max_classes=wrong)
    assert not (tmp_path / "new").exists()
    learner = Learner.create(tmp_path / "new", extractor="voice")
    for refused in (
        lambda: learner.resize(max_classes=wrong),
        lambda: learner.resize(memory_bytes=wrong if wrong != 10.5 else "1 MiB"),
        lambda: learner.rollback(wrong),
    ):
        with pytest.raises(SettingError, match=r"wanted a whole number|is not kept: choose one of 1$"):
            refused()
    assert Learner.open(tmp_path / "new").revision == 1


def test_a_trial_writes_nothing(kitchen: Path) -> None:
    before = tree(kitchen)
    done = edgecl("resize", kitchen, "--memory", "48KiB", "--dry-run")
    assert "DRY RUN" in done.out
    assert tree(kitchen) == before


@pytest.mark.parametrize("at", range(0, 11, 2))
def test_a_failure_at_any_file_leaves_the_old_budgets(kitchen: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgecl.store import publishing

    count = 0
    real_replace, real_write = publishing.replace_file, publishing.write_temporary

    def counted(real):  # type: ignore[no-untyped-def]
        def call(*arguments):  # type: ignore[no-untyped-def]
            nonlocal count
            count += 1
            if count > at:
                raise OSError(28, "No space left on device")
            return real(*arguments)

        return call

    monkeypatch.setattr(publishing, "replace_file", counted(real_replace))
    monkeypatch.setattr(publishing, "write_temporary", counted(real_write))
    with pytest.raises(EdgeclError):
        Learner.open(kitchen).resize(memory_bytes=48 * KIB, force=True)
    monkeypatch.undo()
    after = Learner.open(kitchen)
    assert (after.revision, after.settings.max_classes, after.settings.projection) == (2, 8, 0)
    assert after.store.check() == []
    assert after.resize(memory_bytes=48 * KIB, force=True).revision == 3


def test_an_empty_store_takes_any_features(tmp_path: Path) -> None:
    voice_extractor()
    assert edgecl("init", tmp_path / "k", "--extractor", "voice", "--memory", "24KiB").code == 0
    narrow = Learner.open(tmp_path / "k").settings.projection
    assert narrow > 0
    assert edgecl("resize", tmp_path / "k", "--memory", "1MiB").code == 0
    assert Learner.open(tmp_path / "k").settings.projection == 0


def test_a_revision_that_states_no_usable_settings_is_damaged(kitchen: Path) -> None:
    with pytest.raises((TypeError, ValueError)):
        Learner.open(kitchen).settings.with_resized({"memory_bytes": "much"})
    with pytest.raises(SettingError):
        Learner.open(kitchen).resize()


@pytest.mark.parametrize(("memory", "classes"), [("24KiB", 64), ("40KiB", 64), ("48KiB", 8), ("80KiB", 8)])
def test_a_small_store_of_words_is_taught_and_listens(tmp_path: Path, memory: str, classes: int) -> None:
    voice_extractor()
    store = tmp_path / "k"
    assert edgecl("init", store, "--extractor", "voice", "--memory", memory, "--max-classes", classes).code == 0
    lesson = write_clips(tmp_path / "clips", clips("teach", ["yes", "no", "left"], most=8))
    assert edgecl("learn", store, lesson).code == 0
    assert edgecl("listen", store, next(lesson.rglob("*.wav"))).code == 0
    assert edgecl("status", store).code == 0
