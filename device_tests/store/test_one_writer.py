"""One writer at a time, whatever happens to the lock file or the folder of a store."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest import mock

import pytest

from edgecl.errors import EdgeclError, StoreLockedError
from edgecl.store import files
from edgecl.store.store import Store

from ..support.stores import commit, is_whole, make_store, teach


@pytest.fixture
def store(folder: Path) -> Store:
    made = make_store(folder / "kitchen")
    teach(made, {"head": 1})
    return made


def test_a_removed_lock_lets_no_second_writer_in(store: Store) -> None:
    with store.writer() as first:
        (store.path / "lock").unlink()
        with pytest.raises(StoreLockedError, match="another process is writing"), store.writer(timeout_s=0.1):
            pass
        assert commit(first, store.current(), {"statistics/one": 1}).number == 3
    teach(store, {"statistics/two": 2})
    assert {"statistics/one", "statistics/two"} <= set(store.current().objects)
    assert is_whole(store)
    assert store.check() == []


def test_where_folders_cannot_be_locked_a_writer_whose_lock_was_removed_commits_nothing(store: Store) -> None:
    acquired = files._acquired

    def of_files_alone(path: Path, timeout_s: float) -> int:
        if path.is_dir():
            raise OSError(37, "No locks available")
        return acquired(path, timeout_s)

    with mock.patch.object(files, "_acquired", of_files_alone), store.writer() as first:
        first.put({})
        (store.path / "lock").unlink()
        second = teach(Store.open(store.path), {"statistics/two": 2})
        with pytest.raises(StoreLockedError, match="moved or replaced"):
            commit(first, second, {"statistics/one": 1})
        with pytest.raises(StoreLockedError):
            first.note({"kind": "rejected"})
    assert store.current() == second
    assert store.check() == []


def test_a_lock_that_is_replaced_while_it_is_waited_for_is_taken_as_it_is_now(store: Store) -> None:
    lock, other = store.path / "lock", store.path / "other"
    is_acquired = files._is_acquired
    replaced: list[int] = []

    def replace_once(descriptor: int) -> bool:
        if not replaced:
            replaced.append(lock.stat().st_ino)
            other.touch()
            other.replace(lock)
        return is_acquired(descriptor)

    with mock.patch.object(files, "_is_acquired", replace_once), files.locked(lock, timeout_s=1) as held:
        held.require()
        assert lock.stat().st_ino != replaced[0]


def test_current_that_another_writer_has_moved_is_not_overwritten(store: Store) -> None:
    with store.writer() as first:
        pointer = (store.path / "current").read_bytes()
        (store.path / "current").write_bytes(b"1 " + pointer.split()[1] + b"\n")
        with pytest.raises(StoreLockedError, match="another process has written"):
            commit(first, store.current(), {"statistics/one": 1})


def test_a_store_that_was_replaced_under_its_writer_is_left_alone(store: Store, folder: Path) -> None:
    with store.writer() as first:
        shutil.copytree(store.path, folder / "copy")
        store.path.rename(folder / "away")
        (folder / "copy").rename(store.path)
        second = teach(Store.open(store.path), {"statistics/two": 2})
        with pytest.raises(StoreLockedError, match="moved or replaced"):
            commit(first, second, {"statistics/one": 1})
    assert Store.open(store.path).current() == second
    assert Store.open(store.path).check() == []


def test_a_store_that_was_moved_under_its_writer_says_so(store: Store, folder: Path) -> None:
    with store.writer() as first:
        store.path.rename(folder / "away")
        with pytest.raises(EdgeclError):
            commit(first, Store.open(folder / "away").current(), {"statistics/one": 1})
    assert Store.open(folder / "away").current().number == 2
    assert Store.open(folder / "away").check() == []


def test_a_commit_that_failed_can_be_repeated_by_the_same_writer(store: Store) -> None:
    with store.writer() as writer:
        base = store.current()
        with mock.patch.object(files.os, "fsync", side_effect=OSError(5, "error")), pytest.raises(EdgeclError):
            commit(writer, base, {"statistics/one": 1})
        assert commit(writer, base, {"statistics/one": 1}).number == 3
