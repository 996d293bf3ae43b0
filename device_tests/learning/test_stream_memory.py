"""What a stream needs of the memory granted, and what gives way where it is short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import SettingError
from edgecl.learner import Learner
from edgecl.learning.expert_plan import every_expert, plan_experts
from edgecl.learning.prequential import Prequential
from edgecl.learning.stream_memory import SNAPSHOTS, StreamMemory, whole_stream_bytes
from edgecl.model.model import Model
from edgecl.model.settings import Settings, choose_tier
from edgecl.operations.streaming import bytes_with_stream
from edgecl.units import parse_bytes

from ..support.commands import edgecl


def settings(columns: int, classes: int, memory_bytes: int) -> Settings:
    return Settings(
        memory_bytes=memory_bytes, disk_bytes=64 << 20, max_classes=classes, latent_dimension=columns,
        shrinkage_floor=0.01,
    )  # fmt: skip


def test_a_whole_stream_has_every_snapshot_and_expert() -> None:
    wide = settings(54, 8, 0)
    memory = StreamMemory.within(replace(wide, memory_bytes=whole_stream_bytes(wide)), label_delay=0)
    whole = every_expert(54, 8)
    assert memory == StreamMemory(SNAPSHOTS, whole.nbytes)
    assert plan_experts(row_dimension=54, max_classes=8, available_bytes=memory.experts) == whole


def test_where_memory_is_short_snapshots_give_way_before_a_stream_is_refused() -> None:
    small = settings(200, 8, 4 << 20)
    assert 1 <= StreamMemory.within(small, label_delay=0).snapshots < SNAPSHOTS
    generator = np.random.default_rng(0)
    labels = [str(one) for one in generator.integers(8, size=1200)]
    rows = generator.normal(size=(1200, 200)).astype(np.float32)
    rows[:, 0] += np.array(labels, np.float32) * 3
    stream = Prequential(Model(small))
    for at in range(0, 1200, 60):
        stream.take(labels[at : at + 60], rows[at : at + 60])
    assert stream.tally.accuracy > 0.3
    assert stream.nbytes + stream.model.bytes()["total"] < small.memory_bytes


@pytest.mark.parametrize("memory_bytes", range(3 << 20, 8 << 20, 700 << 10))
def test_a_stream_of_many_classes_keeps_within_the_memory_granted(memory_bytes: int) -> None:
    granted = choose_tier(settings(6, 128, memory_bytes), overhead_disk_bytes=0)
    generator = np.random.default_rng(0)
    labels = [f"item {at % 100}" for at in range(600)]
    stream = Prequential(Model(granted))
    for at in range(0, 600, 60):
        stream.take(labels[at : at + 60], generator.normal(size=(60, 6)).astype(np.float32))
    assert len(stream.panel.labels) == 100
    assert bytes_with_stream(stream)["total"] <= memory_bytes


@pytest.mark.parametrize(
    ("columns", "classes", "memory_bytes"), [(60, 256, 1 << 20), (30, 64, 512 << 10), (100, 256, 2 << 20)]
)
def test_the_number_of_classes_that_is_named_does_in_a_new_store(columns: int, classes: int, memory_bytes: int) -> None:
    small = choose_tier(settings(columns, classes, memory_bytes), overhead_disk_bytes=0)
    with pytest.raises(SettingError, match=r"or make it for \d+ classes at most") as refused:
        StreamMemory.within(small, label_delay=0)
    named = int(str(refused.value).partition("make it for ")[2].partition(" ")[0])
    new = choose_tier(settings(columns, named, memory_bytes), overhead_disk_bytes=0)
    assert StreamMemory.within(new, label_delay=0).snapshots


@pytest.mark.parametrize(("columns", "memory_bytes"), [(200, 1 << 20), (8, 64 << 10), (500, 2 << 20)])
def test_what_would_do_is_named_and_does(columns: int, memory_bytes: int) -> None:
    small = settings(columns, 8, memory_bytes)
    with pytest.raises(SettingError, match=r"needs [\d.]+ [KM]iB, .* were granted") as refused:
        Prequential(Model(choose_tier(small, overhead_disk_bytes=0)))
    named = parse_bytes(str(refused.value).partition("needs ")[2].partition(",")[0])
    Prequential(Model(choose_tier(replace(small, memory_bytes=named), overhead_disk_bytes=0)))


def test_the_number_of_classes_that_would_do_is_named_and_does() -> None:
    wide = settings(500, 64, 16 << 20)
    with pytest.raises(SettingError, match=r"64 classes, 500 columns .* or make it for \d+ classes at most") as refused:
        Prequential(Model(wide))
    named = int(str(refused.value).rpartition("make it for ")[2].split()[0])
    Prequential(Model(replace(wide, max_classes=named)))
    with pytest.raises(SettingError, match="were granted"):
        Prequential(Model(replace(wide, max_classes=named + 1)))


def test_init_says_that_a_stream_does_not_fit(tmp_path: Path) -> None:
    export = pytest.importorskip("edgecl_export")
    export.export_identity(tmp_path / "wide.onnx", [f"x{at}" for at in range(500)])
    made = edgecl("init", tmp_path / "wide", "--extractor", tmp_path / "wide.onnx")
    assert "There is no room to follow a stream in it: a stream of 64 classes, 500 columns" in made.out
    assert "edgecl follow" not in made.out
    few = edgecl("init", tmp_path / "few", "--extractor", tmp_path / "wide.onnx", "--max-classes", 4)
    assert "no room" not in few.out
    assert "edgecl follow" in few.out


def test_a_store_for_tables_follows_wide_ones_of_many_classes_by_default(tmp_path: Path) -> None:
    export = pytest.importorskip("edgecl_export")
    names = [f"x{at}" for at in range(54)]
    export.export_identity(tmp_path / "wide.onnx", names)
    learner = Learner.create(tmp_path / "store", extractor=tmp_path / "wide.onnx")
    assert learner.settings.max_classes == 64
    rows = np.random.default_rng(0).normal(size=(80, 54)).astype(np.float32)
    report = learner.follow(rows, [str(at % 40) for at in range(80)])
    assert report.tally.labelled == 80
    assert report.bytes["total"] < learner.settings.memory_bytes
    export.export_identity(tmp_path / "narrow.onnx", names[:8])
    narrow = Learner.create(tmp_path / "narrow", extractor=tmp_path / "narrow.onnx", max_classes=4)
    assert narrow.settings.memory_bytes == 1 << 20
