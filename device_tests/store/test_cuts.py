"""The store when the writer dies, the disk fails or the power goes, at any point."""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import EdgeclError, StoreMissingError
from edgecl.store import creation
from edgecl.store.records import Revision
from edgecl.store.store import Store

from ..support.stores import (
    TIME,
    Calls,
    Cut,
    Disk,
    commit,
    counted,
    failing_at,
    is_whole,
    killed_at,
    make_store,
    teach,
    without_waiting,
)

Action = Callable[[Store], object]


def lesson(store: Store) -> Revision:
    """Two objects, one of which is there already."""
    return teach(store, {"head": 50, "statistics/yes": 3, "statistics/new": 51})


def large_lesson(store: Store) -> Revision:
    """One that fits only when old revisions go."""
    return teach(store, {"head": 50, "ewc": 51}, size=2500)


def rollback(store: Store) -> Revision:
    with store.writer() as writer:
        return writer.rollback(store.revisions()[0], time=TIME)


def note(store: Store) -> None:
    with store.writer() as writer:
        writer.put({"x": np.zeros(3)})
        writer.note({"kind": "rejected"})


def two_lessons(store: Store) -> None:
    """The second after the first under one lock, so that what the first leaves is the start of the second."""
    with store.writer() as writer:
        first = commit(writer, store.current(), {"head": 50})
        commit(writer, first, {"head": 51})


def forget(store: Store) -> Revision:
    """All but the oldest revision saw what is forgotten."""
    with store.writer() as writer:
        live = store.current()
        left = {role: mark for role, mark in live.body["marks"].items() if role != "statistics/no"}
        return writer.forget(
            objects={role: live.objects[role] for role in left},
            body={"marks": left},
            time=TIME,
            saw=lambda told: "statistics/no" in told.get("marks", ()),
        )[0]


ACTIONS: list[Action] = [lesson, large_lesson, rollback, note, two_lessons, forget]


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with without_waiting():
        yield


@pytest.fixture
def taught(folder: Path) -> Path:
    """A store at the limit of its revisions and near that of its bytes."""
    store = make_store(folder / "taught", disk_bytes=32_000, keep_revisions=3)
    for mark in range(5):
        teach(store, {"head": mark, "statistics/yes": mark // 2, "statistics/no": 9}, size=500)
    return store.path


def fresh_copy(taught: Path, name: object) -> Store:
    path = taught.with_name(f"copy {name}")
    shutil.copytree(taught, path)
    return Store.open(path)


def outcomes(taught: Path, action: Action) -> list[object]:
    """What the live model may be: before the action, within it and after it."""
    store = fresh_copy(taught, "outcomes")
    before = store.current()
    action(store)
    kept = [store.revision(number) for number in store.revisions() if number > before.number]
    shutil.rmtree(store.path)
    return [one.body for one in (before, *kept)]


def require_sound(path: Path, allowed: list[object]) -> None:
    """One of the allowed models is live and whole, nothing is damaged, and the next lesson works."""
    store = Store.open(path)
    assert store.damage == []
    assert store.current().body in allowed
    assert is_whole(store)
    require_nothing_forgotten(store)
    number = store.current().number
    assert teach(store, {"next": 1}).number == number + 1
    assert is_whole(store)
    assert store.check() == []
    assert not list(path.rglob("*.tmp"))
    told = [entry["revision"] for entry in store.journal() if "revision" in entry]
    shutil.rmtree(path)
    assert told == list(range(told[0], number + 2))  # the oldest may have been dropped for length


def require_nothing_forgotten(store: Store) -> None:
    """Where forgetting was committed, nothing of it is left in any file of a store that has been opened."""
    if store.current().kind == "forget":
        assert not [path for path in store.path.rglob("*") if path.is_file() and b"statistics/no" in path.read_bytes()]
        assert store.unused_objects() == set()


def steps_of(taught: Path, action: Action) -> list[str]:
    store = fresh_copy(taught, "steps")
    calls = Calls(lambda number, name: None)
    with counted(calls):
        action(store)
    shutil.rmtree(store.path)
    return calls.names


@pytest.mark.native("tries hundreds of cuts")
@pytest.mark.parametrize("action", ACTIONS)
def test_killed_before_any_call_the_old_or_the_new_model_is_whole(taught: Path, action: Action) -> None:
    allowed = outcomes(taught, action)
    for count in range(1, len(steps_of(taught, action)) + 1):
        store = fresh_copy(taught, count)
        with pytest.raises(Cut), counted(killed_at(count)):
            action(store)
        require_sound(store.path, allowed)


@pytest.mark.native("tries hundreds of cuts")
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_call_that_fails_leaves_the_old_model_and_no_rest(taught: Path, action: Action, code: int) -> None:
    allowed = outcomes(taught, action)
    for count in range(1, len(steps_of(taught, action)) + 1):
        store = fresh_copy(taught, count)
        raised = None
        with counted(failing_at(count, code, lasting=False)):
            try:
                action(store)
            except EdgeclError as error:
                raised = error
        assert not list(store.path.rglob("*.tmp")) or code != errno.ENOSPC
        if raised and action is not two_lessons:
            assert os.strerror(code) in str(raised)
            is_late = action is forget and "is live, but what it forgot is not removed yet" in str(raised)
            assert store.current().body == allowed[-1 if is_late else 0]
        require_sound(store.path, allowed)


@pytest.mark.native("tries hundreds of cuts")
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fails_from_some_call_on_leaves_a_whole_model(taught: Path, action: Action, code: int) -> None:
    allowed = outcomes(taught, action)
    for count in range(1, len(steps_of(taught, action)) + 1):
        store = fresh_copy(taught, count)
        with counted(failing_at(count, code, lasting=True)), suppress(EdgeclError):
            action(store)
        require_sound(store.path, allowed)


def test_an_error_that_could_not_be_undone_says_that_the_new_model_is_live(taught: Path) -> None:
    said = []
    for count in range(1, len(steps_of(taught, lesson)) + 1):
        store = fresh_copy(taught, count)
        before = store.current()
        with counted(failing_at(count, errno.EIO, lasting=True)):
            try:
                lesson(store)
            except EdgeclError as error:
                said.append(("it is live" in str(error)) == (store.current() != before))
    assert len(said) > 10
    assert all(said)


@pytest.mark.native("tries thousands of cuts")
@pytest.mark.parametrize("action", ACTIONS)
def test_after_a_power_cut_the_old_or_the_new_model_is_whole(taught: Path, action: Action) -> None:
    allowed = outcomes(taught, action)
    store = fresh_copy(taught, "followed")
    disk = Disk(store.path)
    with disk.followed():
        action(store)
    draw = random.Random(0)
    assert len(disk.cuts) > 5
    for number, leave in enumerate(disk.cuts):
        for again in range(3):
            path = taught.with_name(f"left {number} {again}")
            leave(draw, path)
            require_sound_but_for_the_journal(path, allowed)


def require_sound_but_for_the_journal(path: Path, allowed: list[object]) -> None:
    """As `require_sound`; only the line that was being added may be torn, until the next writer comes."""
    store = Store.open(path)
    assert store.damage == []
    assert store.current().body in allowed
    assert is_whole(store)
    assert [found for found in store.check() if "journal.jsonl" not in found] == []
    with store.writer():
        pass
    require_sound(path, allowed)


def test_a_lesson_that_has_returned_survives_a_power_cut(taught: Path) -> None:
    store = fresh_copy(taught, "followed")
    disk = Disk(store.path)
    with disk.followed():
        revision = lesson(store)
    draw = random.Random(0)
    for again in range(20):
        path = taught.with_name(f"left {again}")
        disk.cuts[-1](draw, path)
        left = Store.open(path)
        assert left.current() == revision
        assert left.check() == []
        assert left.journal()[-1]["revision"] == revision.number


def test_a_power_cut_after_a_killed_lesson_and_the_same_lesson_again_is_survived(taught: Path) -> None:
    allowed = outcomes(taught, lesson)
    draw = random.Random(1)
    for count in range(1, len(steps_of(taught, lesson)) + 1):
        store = fresh_copy(taught, count)
        disk = Disk(store.path)
        with disk.followed():
            with suppress(Cut), counted(killed_at(count)):
                lesson(store)
            with suppress(Cut), counted(Calls(lambda *_: None)):
                again = lesson(store)
        path = taught.with_name(f"left {count}")
        disk.cuts[-1](draw, path)
        left = Store.open(path)
        assert left.damage == []
        assert left.current() == again
        assert is_whole(left)
        assert left.check() == []
    assert again.body in allowed


def test_init_killed_before_any_call_leaves_no_store_or_a_whole_one(folder: Path) -> None:
    calls = Calls(lambda number, name: None)
    with counted(calls):
        make_store(folder / "count")
    for count in range(1, len(calls.names) + 1):
        path = folder / f"kitchen {count}"
        with pytest.raises(Cut), counted(killed_at(count)):
            make_store(path)
        try:
            store = Store.open(path)
        except StoreMissingError:
            store = make_store(path)
        assert store.check() == []
        assert not list(folder.glob(".*.tmp"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_init_that_fails_leaves_nothing(folder: Path, code: int) -> None:
    calls = Calls(lambda number, name: None)
    with counted(calls):
        make_store(folder / "count")
    shutil.rmtree(folder / "count")
    (folder / "empty").mkdir()
    for path in (folder / "kitchen", folder / "empty"):
        for count in range(1, len(calls.names) + 1):
            fails = failing_at(count, code, lasting=False)
            error = None
            with counted(fails):
                try:
                    make_store(path)
                except (EdgeclError, OSError) as caught:  # the first call makes the extractor, not the store
                    error = caught
            assert error or code == errno.ENOSPC
            if error is None:  # a call that needs no room
                shutil.rmtree(path)
            assert not path.exists() or not list(path.iterdir())
            assert not list(folder.glob(".*.tmp"))


def test_a_new_store_is_on_the_disk_before_it_gets_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(folder)
    settled = []
    move = creation._move

    def checked_move(building: Path, path: Path) -> None:
        settled.append(disk.is_settled())
        move(building, path)

    monkeypatch.setattr(creation, "_move", checked_move)
    with disk.followed():
        make_store(folder / "kitchen")
    assert settled == [True]


@pytest.mark.native("starts many processes")
def test_killed_at_random_times_every_lesson_that_returned_is_there(folder: Path) -> None:
    store = make_store(folder / "kitchen", keep_revisions=3, disk_bytes=200_000)
    draw = random.Random(2)
    for _ in range(25):
        ready, tell = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # numpy's threads do not matter here
            child = os.fork()
        if child == 0:
            with suppress(BaseException):
                for mark in itertools.count():
                    os.write(tell, bytes([teach(store, {"a": mark, "b": mark}).number % 256]))
            os._exit(1)
        time.sleep(draw.uniform(0.002, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(tell)
        with os.fdopen(ready, "rb") as told:
            returned = told.read()
        opened = Store.open(store.path)
        assert opened.damage == []
        assert opened.check() == []
        assert is_whole(opened)
        if returned:
            assert (opened.current().number - returned[-1]) % 256 in (0, 1)
        teach(opened, {"next": 1})
        assert opened.check() == []
