"""Paged stores: what is summed and solved is pages of files, and the head has a byte an entry."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import EdgeclError, SettingError
from edgecl.learner import Learner
from edgecl.learning.loop import learn
from edgecl.model.byte_head import ByteHead
from edgecl.model.head import HeadState
from edgecl.model.model import MemoryObjects, Model
from edgecl.model.settings import Settings, plan_memory
from edgecl.operations import scratch
from edgecl.operations.open_store import OpenStore

from ..support.commands import clips, edgecl, voice_extractor, write_clips
from ..support.learning import ANYTHING, FileObjects, Words, as_lesson, reloaded, settings, taught, teach

pytestmark = pytest.mark.native("teaches a store for each budget")


def paged(**given: int) -> Settings:
    return settings(**{"dimension": 48, "memory_bytes": 48 << 10, **given}, precision="float32", paged=True)


def test_it_answers_as_a_resident_model_does() -> None:
    words = Words(8, dimension=48)
    lessons = [words.lesson(20, words.labels[:5]), words.lesson(20, words.labels[4:])]
    small = taught(Model(paged()), *lessons)
    large = taught(Model(settings(dimension=48, memory_bytes=4 << 20, precision="float32")), *lessons)
    assert isinstance(small.head, ByteHead)
    assert type(large.head) is HeadState
    asked = np.concatenate([words.say(label, 40) for label in words.labels])
    np.testing.assert_allclose(
        small.head.logits(small.features(asked)), large.head.logits(large.features(asked)), atol=0.1
    )
    same = np.mean(
        [one == other for one, other in zip(*(m.predict(asked).labels for m in (small, large)), strict=True)]
    )
    assert same > 0.99
    np.testing.assert_allclose(small.predict(asked).novelty, large.predict(asked).novelty, atol=0.02)


def test_gradient_steps_end_in_a_head_of_bytes() -> None:
    words, objects = Words(8, dimension=48), MemoryObjects()
    model = Model(paged(memory_bytes=1 << 20))
    for part in (words.labels[:4], words.labels[4:]):
        outcome = teach(model, words.lesson(40, part), objects=objects, strategy="replay", policy=ANYTHING)
        assert outcome.model is not None
        model = outcome.model
    assert isinstance(model.head, ByteHead)
    assert model.head.is_refined
    assert model.bytes()["total"] <= model.settings.memory_bytes


def test_a_candidate_in_floats_counts_as_it_will_be_kept() -> None:
    """The floats are in what is planned for gradient steps: counted twice, they refused lessons that fit."""
    words = Words(8, dimension=48)
    kept = taught(Model(paged()), words.lesson(20))
    assert isinstance(kept.head, ByteHead)
    head = HeadState(kept.head.labels, kept.head.weights, kept.head.bias, kept.head.typical, kept.head.kind)
    assert replace(kept, head=head).bytes() == kept.bytes()
    assert kept.bytes()["head"] == kept.head.nbytes


def test_gradient_steps_that_do_not_fit_are_refused() -> None:
    words = Words(4, dimension=48)
    with pytest.raises(SettingError, match="were granted in all"):
        teach(Model(paged(memory_bytes=24 << 10)), words.lesson(10), objects=MemoryObjects(), strategy="replay")


def peak_of_lessons(folder: Path, given: Settings, words: Words) -> int:
    """The most that was allocated while words are taught in three lessons, beyond what was there before each."""
    folder.mkdir()
    objects, model, peak = FileObjects(folder), Model(given, pages=scratch.file_pages), 0
    for part in np.array_split(words.labels, 3):
        lesson = as_lesson(model, words.lesson(12, list(part)), spool=folder)
        learn(model, lesson, objects=objects, policy=ANYTHING)  # what is compiled on the way stays
        model = replace(reloaded(model, objects), pages=scratch.file_pages)
        tracemalloc.start()
        outcome = learn(model, lesson, objects=objects, policy=ANYTHING)
        peak = max(peak, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert outcome.model is not None
        model = outcome.model
    return peak


@pytest.mark.parametrize(("many", "dimension", "memory"), [(12, 96, 32 << 10), (48, 384, 80 << 10)])
def test_a_lesson_allocates_no_more_than_was_granted(tmp_path: Path, many: int, dimension: int, memory: int) -> None:
    """Python's objects are not learner state: they are what the same lessons take with latents of two numbers."""
    wide = settings(dimension=dimension, memory_bytes=memory, max_classes=many, precision="float32", paged=True)
    objects = peak_of_lessons(tmp_path / "2", replace(wide, latent_dimension=2), Words(many, dimension=2))
    whole = peak_of_lessons(tmp_path / "wide", wide, Words(many, dimension=dimension))
    plan = plan_memory(wide, many)
    assert whole - objects <= plan.workspace + plan.lesson
    assert plan.statistics + plan.head + plan.workspace + plan.lesson <= memory
    assert plan.exemplars >= many * 12 * (dimension + 4)


def test_scratch_that_does_not_fit_on_the_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch.os, "posix_fallocate", full)
    with pytest.raises(EdgeclError, match=r"do not fit on the disk: No space left"):
        scratch.file_pages((4, 4), np.float32)


def test_a_store_of_little_memory_learns_rolls_back_and_grows(tmp_path: Path) -> None:
    voice_extractor()
    store = tmp_path / "kitchen"
    made = edgecl("init", store, "--extractor", "voice", "--memory", "40KiB", "--json").value
    assert (made["features"]["paged"], made["features"]["projection"]) == (True, 0)
    assert [one["paged"] for one in made["tiers"] if one["chosen"]] == [True]
    assert '"format":4' in (store / "store.json").read_text()  # earlier software refuses it
    first = write_clips(tmp_path / "first", clips("teach", ["yes", "no"]))
    more = write_clips(tmp_path / "more", clips("teach", ["left", "right"]))
    assert edgecl("learn", store, first).code == 0
    assert edgecl("learn", store, more).code == 0
    asked = write_clips(tmp_path / "asked", clips("test", ["yes", "no", "left", "right"]))
    reached = edgecl("eval", store, asked, "--json").value["balanced_accuracy"]
    assert reached > 0.9
    status = edgecl("status", store, "--json").value
    assert status["bytes"]["total"] <= status["budget_bytes"] == 40 << 10
    assert isinstance(OpenStore.open(store).model()[1].head, ByteHead)
    assert edgecl("resize", store, "--memory", "1MiB").code == 0
    learner = Learner.open(store)
    assert not learner.settings.paged
    assert type(OpenStore.open(store).model()[1].head) is HeadState
    assert edgecl("eval", store, asked, "--json").value["balanced_accuracy"] == pytest.approx(reached, abs=0.05)
    assert edgecl("rollback", store, "2").code == 0
    assert sorted(edgecl("status", store, "--json").value["classes"]) == ["no", "yes"]
    assert edgecl("learn", store, more).code == 0


def test_a_damaged_class_costs_a_paged_store_that_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
    from edgecl_export import export_identity

    export_identity(tmp_path / "rows.onnx", [f"x{number}" for number in range(48)])
    learner = Learner.create(tmp_path / "shop", extractor=tmp_path / "rows.onnx", memory_bytes=24 << 10, max_classes=16)
    assert learner.settings.paged
    words = Words(3, dimension=48)
    for label in words.labels:
        learner.learn(words.say(label, 20), [label] * 20, force=True)
    lost = learner.store.current().objects[f"statistics/{words.labels[1]}"]
    path = learner.path / "objects" / f"{lost}.npz"
    path.write_bytes(path.read_bytes()[:-1])
    asked: list[object] = []
    monkeypatch.setattr(scratch, "file_pages", lambda *given, **_: asked.append(given) or np.zeros(*given))
    assert any(words.labels[1] in one for one in Learner.open(learner.path).repair())
    assert len(asked) >= 3  # its work space is pages of files, as that of a lesson
    again = Learner.open(learner.path)
    assert (again.classes, again.check()) == ((words.labels[0], words.labels[2]), [])
    assert isinstance(OpenStore.open(again.path).model()[1].head, ByteHead)
