"""Room for a forgetting: it is kept from the first day, given back for it alone, and a full disk cannot take it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import EdgeclError
from edgecl.learner import Learner
from edgecl.store.store import Store

from ..support.commands import edgecl
from ..support.stores import Calls, counted, is_whole, make_store, small_disk, teach

pytest.importorskip("onnx", reason="the exporter needs the extra [export]")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "4m") as folder:
        yield folder


def taught(folder: Path, *, memory_bytes: int = 1 << 20) -> Learner:
    from edgecl_export import export_identity

    export_identity(folder / "identity.onnx", [f"x{number}" for number in range(40)])
    learner = Learner.create(
        folder / "table", extractor=folder / "identity.onnx", disk_bytes=2 << 20, memory_bytes=memory_bytes
    )
    rows = np.random.default_rng(0).normal(size=(60, 40)) + np.repeat([[0.0], [3.0], [6.0]], 20, axis=0)
    learner.learn(rows.astype(np.float32), ["a"] * 20 + ["b"] * 20 + ["c"] * 20)
    return learner


def _fits(file: FileIO, size: int) -> bool:
    try:
        return file.write(b"\1" * size) == size
    except OSError:
        return False


def fill(folder: Path) -> None:
    """Take every free byte of a disk."""
    with (folder / "filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            while _fits(file, size):
                pass


def test_a_class_is_forgotten_where_not_a_byte_is_free(disk: Path) -> None:
    learner = taught(disk)
    fill(disk)
    done = edgecl("forget", learner.path, "b")
    assert (done.code, done.err) == (0, "")
    again = Learner.open(learner.path)
    assert (again.classes, again.check()) == (("a", "c"), [])
    held, wanted = again.store.reserve()
    assert held >= wanted > 0


def test_a_paged_store_whose_work_space_has_no_room_either_is_read_and_forgets(
    disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    learner = taught(disk, memory_bytes=24 << 10)
    assert learner.settings.paged
    monkeypatch.setattr("edgecl.operations.scratch.spool_folder", lambda: disk)
    fill(disk)
    for words in (["status", learner.path], ["forget", learner.path, "b"]):
        caplog.clear()
        assert edgecl(*words).code == 0
        (warning,) = caplog.messages
        assert "bytes of work space do not fit on the disk: No space left on device" in warning
        assert "taken from memory, beyond what was granted" in warning
    again = Learner.open(learner.path)
    assert (again.classes, again.check()) == (("a", "c"), [])


def test_without_the_room_it_fails_changes_nothing_and_says_what_to_do(disk: Path) -> None:
    learner = taught(disk)
    (learner.path / "reserve").unlink()
    fill(disk)
    done = edgecl("forget", learner.path, "b")
    assert done.code == 1
    assert "No space left on device (free some space)" in done.err
    assert Learner.open(learner.path).classes == ("a", "b", "c")
    assert not list(learner.path.rglob("*.tmp"))


def test_a_lesson_on_a_full_disk_leaves_the_room_for_the_forgetting(disk: Path) -> None:
    learner = taught(disk)
    fill(disk)
    with pytest.raises(EdgeclError, match="No space left"):
        learner.learn(np.full((20, 40), 9, np.float32), ["d"] * 20)
    assert learner.store.reserve()[0] > 0
    learner.forget("a")
    assert Learner.open(learner.path).classes == ("b", "c")


def test_a_store_that_is_reached_by_a_link_learns_forgets_and_goes_back(tmp_path: Path) -> None:
    taught(tmp_path).path.rename(tmp_path / "real")
    (tmp_path / "table").symlink_to("real")
    learner = Learner.open(tmp_path / "table")
    learner.learn(np.full((20, 40), 9, np.float32), ["d"] * 20, force=True)
    learner.forget("a")
    learner.rollback(1)
    assert (tmp_path / "table").is_symlink()
    again = Learner.open(tmp_path / "real")
    assert (again.check(), "a" in again.classes, again.store.reserve()[0] > 0) == ([], False, True)


def test_a_store_of_before_gets_the_room_with_its_next_commit(tmp_path: Path) -> None:
    store = make_store(tmp_path / "kitchen")
    (store.path / "reserve").unlink()
    assert store.reserve()[0] == 0
    teach(store, {"head": 1})
    held, wanted = store.reserve()
    assert held == wanted == (store.path / "reserve").stat().st_size
    assert store.check() == []


def test_the_room_grows_with_what_a_forgetting_writes(tmp_path: Path) -> None:
    store = make_store(tmp_path / "kitchen")
    before = store.reserve()[0]
    teach(store, {"head": 1, "statistics/yes": 2}, size=50_000)
    held, wanted = store.reserve()
    assert held == wanted >= 4 * 50_000 > before


def test_a_copy_without_its_blocks_counts_as_none_until_the_next_commit(tmp_path: Path) -> None:
    store = make_store(tmp_path / "kitchen")
    size = (store.path / "reserve").stat().st_size
    with (store.path / "reserve").open("wb") as file:
        file.truncate(size)
    assert store.reserve() == (0, size)
    teach(store, {"head": 1})
    assert store.reserve()[0] >= size


def test_it_counts_in_the_budget_and_a_small_budget_has_none(tmp_path: Path) -> None:
    large, small = make_store(tmp_path / "large"), make_store(tmp_path / "small", disk_bytes=100_000)
    assert large.bytes_on_disk() - small.bytes_on_disk() == large.reserve()[0] + 2  # two digits of the budget
    for mark in range(5):
        teach(small, {"head": mark}, size=500)
    assert small.reserve()[0] == 0


def test_it_gives_way_before_a_lesson_does(tmp_path: Path) -> None:
    store = make_store(tmp_path / "kitchen", disk_bytes=1 << 20)
    room = (1 << 20) - store.bytes_on_disk()
    teach(store, {"statistics/yes": 1}, size=(room + 10_000) // 4)
    assert is_whole(store)
    assert store.bytes_on_disk() <= 1 << 20


def test_a_disk_that_has_no_room_for_it_commits_all_the_same_and_says_so(tmp_path: Path) -> None:
    store = make_store(tmp_path / "kitchen")
    (store.path / "reserve").unlink()
    full = Calls(lambda _, name: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if "fallocate" in name else None)
    with counted(full):
        assert teach(store, {"head": 1}).number == 2
    assert "on a full disk `forget` may fail" in store.damage[0]
    assert Store.open(store.path).check() == []


def test_a_restored_store_gets_it_with_its_next_commit(tmp_path: Path) -> None:
    learner = taught(tmp_path)
    assert edgecl("backup", learner.path, "-o", tmp_path / "one.backup").code == 0
    shutil.rmtree(learner.path)
    assert edgecl("restore", tmp_path / "one.backup", learner.path).code == 0
    again = Learner.open(learner.path)
    again.rollback()
    held, wanted = again.store.reserve()
    assert held >= wanted


def test_doctor_says_how_much_is_kept(tmp_path: Path) -> None:
    learner = taught(tmp_path)
    done = edgecl("doctor", learner.path)
    assert "32 KiB are reserved, so that `forget` works on a full disk" in done.out
    (learner.path / "reserve").unlink()
    done = edgecl("doctor", learner.path)
    assert "0 B of 32 KiB are reserved: `forget` may fail on a full disk" in done.out.replace("\n", " ")
