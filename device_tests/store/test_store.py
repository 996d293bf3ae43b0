"""The store in fair weather: revisions, sharing, limits, many at once."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecl.errors import (
    DataError,
    EdgeclError,
    ModelError,
    SettingError,
    StoreDamagedError,
    StoreLockedError,
    StoreMissingError,
)
from edgecl.store import journal as journal_file
from edgecl.store.store import Store

from ..support.commands import tree
from ..support.stores import TIME, Calls, commit, counted, failing_at, folder_in_memory, is_whole, make_store, teach


@pytest.fixture
def store(folder: Path) -> Store:
    return make_store(folder / "kitchen")


def object_files(store: Store) -> set[str]:
    return {path.stem for path in (store.path / "objects").iterdir()}


# creating and opening


def test_a_new_store_has_revision_1_and_nothing_wrong(store: Store) -> None:
    revision = store.current()
    assert (revision.number, revision.parent, revision.kind, revision.time) == (1, None, "init", TIME)
    assert revision.objects == {}
    assert revision.body == {"marks": {}}
    assert store.revisions() == [1]
    assert store.check() == []
    assert [entry["kind"] for entry in store.journal()] == ["init"]


def test_the_extractor_is_copied_and_verified(store: Store, folder: Path) -> None:
    assert store.extractor_path.read_bytes() == (folder / "extractor.onnx").read_bytes()
    assert store.verify_extractor() == store.extractor_path.read_bytes()
    store.extractor_path.write_bytes(b"another")
    with pytest.raises(StoreDamagedError, match=r"extractor\.onnx does not match its digest"):
        store.verify_extractor()


def test_a_tflite_extractor_keeps_its_ending(folder: Path) -> None:
    (folder / "mine.tflite").write_bytes(b"a graph")
    store = Store.create(folder / "k", extractor=folder / "mine.tflite", settings={}, revision_body={})
    assert Store.open(store.path).extractor_path.name == "extractor.tflite"


def test_settings_come_back(store: Store) -> None:
    assert Store.open(store.path).settings == {"disk_bytes": 1 << 24, "keep_revisions": 10}


def test_a_relative_path_stays_right_when_the_working_folder_changes(
    store: Store, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.chdir(folder)
    opened = Store.open("kitchen")
    monkeypatch.chdir("/")
    assert opened.current().number == 1


def test_an_empty_folder_becomes_a_store(folder: Path) -> None:
    (folder / "kitchen").mkdir()
    assert make_store(folder / "kitchen").check() == []


def test_a_place_that_is_taken_is_refused_and_left_alone(folder: Path) -> None:
    (folder / "file").write_text("mine")
    (folder / "full").mkdir()
    (folder / "full" / "note").write_text("mine")
    make_store(folder / "store")
    for name, reason in (("file", "is a file"), ("full", "is not empty"), ("store", "is a store already")):
        with pytest.raises(SettingError, match=reason):
            make_store(folder / name)
    assert (folder / "full" / "note").read_text() == "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["extractor.onnx", "file", "full", "store"]


def test_places_that_cannot_be_made_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "here").mkdir()
    extractor = folder / "extractor.onnx"
    extractor.write_bytes(b"a graph")
    monkeypatch.chdir(folder / "here")
    for path, reason in (("../no/kitchen", "make it first"), (".", "working folder")):
        with pytest.raises(SettingError, match=reason):
            Store.create(path, extractor=extractor, settings={}, revision_body={})
    with pytest.raises(SettingError, match="is not a file"):
        Store.create("kitchen", extractor=folder, settings={}, revision_body={})


def test_a_disk_limit_too_small_for_an_empty_store_is_refused(folder: Path) -> None:
    with pytest.raises(SettingError, match=r"would need \d+ bytes, its disk_bytes allow 100"):
        make_store(folder / "kitchen", disk_bytes=100)
    assert [path.name for path in folder.iterdir()] == ["extractor.onnx"]


def test_what_a_killed_init_left_is_cleared_by_the_next(folder: Path) -> None:
    (folder / ".kitchen.tmp" / "objects").mkdir(parents=True)
    make_store(folder / "kitchen")
    assert sorted(path.name for path in folder.iterdir()) == ["extractor.onnx", "kitchen"]


def test_what_is_no_store_is_said_to_be_none(folder: Path) -> None:
    (folder / "file").write_text("")
    (folder / "empty").mkdir()
    for name, reason in (("nothing", "does not exist"), ("file", "is a file"), ("empty", "has no store.json")):
        with pytest.raises(StoreMissingError, match=reason):
            Store.open(folder / name)


def test_a_newer_format_is_named(store: Store) -> None:
    text = (store.path / "store.json").read_text()
    (store.path / "store.json").write_text(text.replace('"format":3', '"format":7'))
    with pytest.raises(ModelError, match="has format 7, this edgecl reads format 6"):
        Store.open(store.path)


def test_a_store_without_permission_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*arguments: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(ModelError, match="cannot be read: Permission denied"):
        Store.open(store.path)


def test_too_many_open_files_are_not_taken_for_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*arguments: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", exhausted)
    with pytest.raises(EdgeclError, match="Too many open files") as caught:
        store.current()
    assert not isinstance(caught.value, ModelError)


# objects


def test_arrays_come_back(store: Store) -> None:
    arrays = {"rows": np.arange(6, dtype=np.int8).reshape(2, 3), "scale": np.float32([0.5])}
    with store.writer() as writer:
        digest = writer.put(arrays)
        writer.commit(kind="lesson", objects={"exemplars/yes": digest}, body={}, time=TIME)
    read = Store.open(store.path).read(digest)
    assert {name: array.tolist() for name, array in read.items()} == {"rows": [[0, 1, 2], [3, 4, 5]], "scale": [0.5]}


def test_large_objects_are_pages_of_their_file_that_can_be_written_to(store: Store) -> None:
    with store.writer() as writer:
        digest = writer.put({"scatter": np.ones(1 << 16, np.float32)})
        writer.commit(kind="lesson", objects={"statistics/yes": digest}, body={}, time=TIME)
    read = store.read(digest)["scatter"]
    read[0] = 7
    assert store.read(digest)["scatter"][0] == 1
    assert store.check() == []


def test_the_same_arrays_are_one_object_with_one_digest_in_every_store(folder: Path) -> None:
    digests = []
    for name in ("a", "b"):
        with make_store(folder / name).writer() as writer:
            digests += [writer.put({"x": np.arange(3.0), "y": np.zeros(2, np.int8)}) for _ in range(2)]
            digests.append(writer.put({"y": np.zeros(2, np.int8), "x": np.arange(3.0)}))
    assert len(set(digests)) == 1


def test_an_object_can_be_read_before_it_is_committed(store: Store) -> None:
    with store.writer() as writer:
        digest = writer.put({"x": np.arange(3.0)})
        assert writer.read(digest)["x"].tolist() == [0, 1, 2]
        with pytest.raises(StoreDamagedError, match="missing"):
            store.read(digest)


def test_what_is_not_committed_is_dropped(store: Store) -> None:
    before = sorted(store.path.rglob("*"))
    with store.writer() as writer:
        writer.put({"x": np.arange(3.0)})
    assert [path for path in sorted(store.path.rglob("*")) if path.name != "lock"] == before


def test_nan_is_refused(store: Store) -> None:
    with store.writer() as writer, pytest.raises(DataError, match="'x' contains NaN"):
        writer.put({"x": np.array([np.nan])})


def test_a_digest_that_is_none_is_refused(store: Store) -> None:
    for digest in ("../../etc/passwd", "", "a" * 63, "A" * 64):
        with pytest.raises(StoreDamagedError, match="is not the digest"):
            store.read(digest)


# revisions


def test_a_lesson_makes_a_revision_on_top_of_the_live_one(store: Store) -> None:
    revision = teach(store, {"head": 3})
    assert (revision.number, revision.parent, revision.kind) == (2, 1, "lesson")
    opened = Store.open(store.path)
    assert opened.current() == revision
    assert opened.revision(2) == revision
    assert opened.revisions() == [1, 2]
    assert is_whole(opened)


def test_labels_are_any_text(store: Store) -> None:
    labels = ["statistics/ja", "statistics/\u5f00\u706f", 'statistics/a/b\n\0"\\', "statistics/\udcff", "statistics/"]
    teach(store, {label: index for index, label in enumerate(labels)})
    assert list(Store.open(store.path).current().objects) == labels
    assert is_whole(store)
    assert store.check() == []


def test_the_body_is_plain_json_and_comes_back_as_such(store: Store) -> None:
    with store.writer() as writer:
        revision = writer.commit(kind="lesson", objects={}, body={"a": (1, 2.5), "b": None}, time=TIME)
    assert revision.body == {"a": [1, 2.5], "b": None}
    assert store.current() == revision


@pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": np.float32(1)}, {"x": {1, 2}}])
def test_a_body_that_is_not_plain_json_is_a_mistake_of_the_caller(store: Store, body: dict[str, Any]) -> None:
    with store.writer() as writer, pytest.raises((ValueError, TypeError)):
        writer.commit(kind="lesson", objects={}, body=body, time=TIME)
    assert store.current().number == 1


def test_a_commit_of_an_object_that_is_not_there_is_refused(store: Store) -> None:
    with store.writer() as writer, pytest.raises(StoreDamagedError, match="'head' cannot be committed"):
        writer.commit(kind="lesson", objects={"head": "0" * 64}, body={}, time=TIME)
    assert store.current().number == 1


def test_a_lesson_computed_from_an_older_revision_is_refused(store: Store) -> None:
    before = store.current()
    teach(store, {"head": 1})
    with store.writer() as writer, pytest.raises(StoreLockedError, match="run the lesson again"):
        writer.commit(kind="lesson", objects={}, body={}, time=TIME, parent=before.number)
    assert store.current().number == 2


def test_rollback_is_a_new_revision_with_the_old_objects(store: Store) -> None:
    old = teach(store, {"head": 1, "ewc": 1})
    teach(store, {"head": 2})
    with store.writer() as writer:
        revision = writer.rollback(2, time=TIME)
    assert (revision.number, revision.parent, revision.kind) == (4, 3, "rollback")
    assert revision.objects == old.objects
    assert revision.body == {**old.body, "rolled_back_to": 2}
    assert is_whole(store)


def test_rollback_to_what_is_not_kept_names_what_is(store: Store) -> None:
    teach(store, {"head": 1})
    with store.writer() as writer, pytest.raises(SettingError, match="revision 7 is not kept: there are 1, 2"):
        writer.rollback(7, time=TIME)
    with pytest.raises(SettingError, match="revision 0 is not kept"):
        store.revision(0)


def test_load_gives_the_roles_asked_for(store: Store) -> None:
    teach(store, {"head": 1, "statistics/yes": 2, "statistics/no": 3, "ewc": 4})
    revision, objects = store.load("head", "statistics")
    assert revision.number == 2
    assert sorted(objects) == ["head", "statistics/no", "statistics/yes"]


# sharing and collection


def test_a_lesson_shares_what_it_did_not_change(store: Store) -> None:
    teach(store, {"statistics/yes": 1, "statistics/no": 2})
    before = object_files(store)
    teach(store, {"statistics/no": 3})
    assert len(object_files(store) - before) == 1


def test_the_last_revisions_are_kept_with_all_they_need(folder: Path) -> None:
    store = make_store(folder / "kitchen", keep_revisions=3)
    for mark in range(8):
        teach(store, {"head": mark, "fixed": -1})
    assert store.revisions() == [7, 8, 9]
    assert store.check() == []
    for number in store.revisions():
        for digest in store.revision(number).objects.values():
            store.read(digest)
    assert len(object_files(store)) <= 3 + 1 + 1  # heads, one more until the next commit, and the shared one


def test_the_journal_outlives_the_revisions(folder: Path) -> None:
    store = make_store(folder / "kitchen", keep_revisions=2)
    for mark in range(5):
        teach(store, {"head": mark})
    assert [entry["revision"] for entry in store.journal()] == [1, 2, 3, 4, 5, 6]
    assert store.journal()[-1]["body"] == {"marks": {"head": 4}}


lesson = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3), min_size=1, max_size=3)
steps = st.lists(st.one_of(lesson, st.integers(0, 9), st.none()), max_size=12)


@settings(max_examples=30, deadline=None)
@given(steps=steps)
def test_any_history_keeps_each_revision_whole_and_each_object_once(steps: list[Any]) -> None:
    with folder_in_memory() as folder:
        check_history(make_store(folder / "kitchen", keep_revisions=4), steps)


def check_history(store: Store, steps: list[Any]) -> None:
    expected: dict[int, dict[str, int]] = {1: {}}
    for step in steps:
        live = store.current().number
        with store.writer() as writer:
            if step is None:
                writer.note({"kind": "rejected"})
            elif isinstance(step, dict):
                number = commit(writer, store.current(), step).number
                expected[number] = {**expected[live], **step}
            else:
                target = store.revisions()[step % len(store.revisions())]
                expected[writer.rollback(target, time=TIME).number] = expected[target]
        assert is_whole(store)
        assert store.current().body["marks"] == expected[store.current().number]
    assert store.check() == []
    assert store.revisions() == sorted(expected)[-4:]
    used = {digest for number in store.revisions() for digest in store.revision(number).objects.values()}
    assert object_files(store) >= used
    assert len(store.journal()) == 1 + len(steps)


# the disk limit


def test_a_lesson_that_cannot_fit_is_refused_and_nothing_changes(folder: Path) -> None:
    store = make_store(folder / "kitchen", disk_bytes=20_000)
    teach(store, {"head": 1})
    before = {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()}
    with pytest.raises(SettingError, match=r"would need [\d,]+ bytes, its disk_bytes allow 20,000"):
        teach(store, {"head": 2}, size=10_000)
    assert {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()} == before
    assert teach(store, {"head": 3}).number == 3


def test_old_revisions_make_room_for_new_ones(folder: Path) -> None:
    store = make_store(folder / "kitchen", disk_bytes=60_000)
    for mark in range(12):
        teach(store, {"head": mark, f"statistics/{mark % 3}": mark}, size=1000)
        assert is_whole(store)
    assert store.check() == []
    assert 1 < len(store.revisions()) < 10


def test_a_rollback_keeps_its_target_when_room_is_made(folder: Path) -> None:
    store = make_store(folder / "kitchen", disk_bytes=21_000)
    for mark in range(3):
        teach(store, {"head": mark}, size=1000)
    for _ in range(6):
        with store.writer() as writer:
            target = store.revisions()[0]
            mark = store.revision(target).body["marks"]
            writer.rollback(target, time=TIME)
        assert store.current().body["marks"] == mark
        assert is_whole(store)
        assert store.check() == []


def test_the_disk_limit_holds_between_any_two_calls(folder: Path) -> None:
    store = make_store(folder / "kitchen", disk_bytes=40_000)
    largest = 0

    def look(_: str) -> None:
        nonlocal largest
        largest = max(largest, store.bytes_on_disk())

    draw = np.random.default_rng(1)
    refused = 0
    with counted(look):
        for mark in range(60):
            try:
                teach(store, {str(draw.integers(5)): mark}, size=int(draw.integers(1, 3000)))
            except SettingError:
                refused += 1
            with store.writer() as writer:
                writer.note({"kind": "rejected", "reasons": "x" * int(draw.integers(400))})
    assert largest <= 40_000
    assert refused < 30
    assert store.check() == []


# the journal


def test_a_rejected_lesson_is_noted_without_a_revision(store: Store) -> None:
    with store.writer() as writer:
        writer.put({"x": np.zeros(3)})
        writer.note({"kind": "rejected", "reasons": ["too few"]})
    assert store.current().number == 1
    assert store.journal()[-1] == {"line": 2, "kind": "rejected", "reasons": ["too few"]}
    assert object_files(store) == set()


def test_a_note_with_names_of_ours_is_a_mistake_of_the_caller(store: Store) -> None:
    with store.writer() as writer:
        for entry in ({"crc": 1}, {"line": 1, "kind": "x"}, {}):
            with pytest.raises(ValueError, match="a journal entry"):
                writer.note(entry)


def test_a_lesson_is_committed_although_its_journal_line_failed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    teach(store, {"head": 1})
    with monkeypatch.context() as patch:
        patch.setattr(journal_file, "extend", fails)
        revision = teach(store, {"head": 2})
    assert store.current() == revision
    assert "revision 3 is committed all the same" in store.damage[0]
    teach(store, {"head": 3})
    assert [entry["revision"] for entry in store.journal()] == [1, 2, 3, 4]


# many at once


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked process, which ends with 0 where nothing was raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's threads do not matter to what runs here
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def ended_well(child: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_second_writer_is_told(store: Store) -> None:
    with (
        store.writer(),
        pytest.raises(StoreLockedError, match="another process is writing"),
        store.writer(timeout_s=0.05),
    ):
        pass


def test_a_second_writer_waits_for_the_first(store: Store) -> None:
    def lesson() -> None:
        with store.writer():
            time.sleep(0.2)

    child = in_child(lesson)
    time.sleep(0.05)
    teach(store, {"head": 1})
    assert ended_well(child)


def test_the_lock_of_a_dead_writer_is_free(store: Store) -> None:
    ready, tell = os.pipe()

    def hang() -> None:
        with store.writer() as writer:
            writer.put({"x": np.zeros(3)})
            os.write(tell, b".")
            time.sleep(60)

    child = in_child(hang)
    os.read(ready, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready)
    os.close(tell)
    with store.writer(timeout_s=0) as writer:
        commit(writer, store.current(), {"head": 1})
    assert store.check() == []
    assert not list(store.path.rglob("*.tmp"))


def test_writers_in_several_processes_make_one_history(tmp_path: Path) -> None:
    store = make_store(tmp_path / "kitchen")  # on the disk, so that they have to wait for it

    def lessons() -> None:
        for mark in range(8):
            teach(store, {str(os.getpid()): mark})

    children = [in_child(lessons) for _ in range(3)]
    for child in children:
        assert ended_well(child)
    assert store.current().number == 1 + 24
    assert set(store.current().body["marks"].values()) == {7}
    assert [entry["parent"] for entry in store.journal()] == [None, *range(1, 25)]
    assert is_whole(store)
    assert store.check() == []


@pytest.mark.parametrize("keep_revisions", [1, 3])
def test_readers_see_one_whole_revision_while_others_come_and_go(folder: Path, keep_revisions: int) -> None:
    store = make_store(folder / "kitchen", keep_revisions=keep_revisions)
    teach(store, dict.fromkeys("abcdef", 0))

    def lessons() -> None:
        for mark in range(1, 150):
            teach(store, dict.fromkeys("abcdef", mark))

    child = in_child(lessons)
    seen = set()
    reader = Store.open(store.path)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        revision, objects = reader.load("a", "b", "c", "d", "e", "f")
        assert {arrays["filled"][0] for arrays in objects.values()} == {revision.body["marks"]["a"]}
        assert len(objects) == 6
        seen.add(revision.number)
        reader.journal()
        reader.revisions()
    assert reader.current().number == 151
    assert reader.damage == []
    assert len(seen) > 10


def test_readers_see_one_whole_revision_while_others_forget(folder: Path) -> None:
    store = make_store(folder / "kitchen")
    teach(store, dict.fromkeys("abc", 0))

    def lessons() -> None:
        for mark in range(1, 60):
            teach(store, dict.fromkeys("abcd", mark))
            with store.writer() as writer:
                live = store.current()
                left = {role: digest for role, digest in live.objects.items() if role != "d"}
                marks = {role: live.body["marks"][role] for role in left}
                writer.forget(
                    objects=left, body={"marks": marks}, time=TIME, saw=lambda told: "d" in told.get("marks", ())
                )

    child = in_child(lessons)
    kinds = set()
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        reader = Store.open(store.path)  # sees a forgetting that is under way, and leaves it to its writer
        revision, objects = reader.load(*"abcd")
        assert {role: arrays["filled"][0] for role, arrays in objects.items()} == revision.body["marks"]
        assert reader.damage == []
        kinds.add(revision.kind)
    assert kinds == {"lesson", "forget"}
    assert sorted(Store.open(store.path).current().objects) == ["a", "b", "c"]
    assert Store.open(store.path).check() == []


def test_readers_in_threads_share_a_store(store: Store) -> None:
    teach(store, dict.fromkeys("abc", 0))
    seen: list[bool] = []

    def look() -> None:
        seen.extend(is_whole(store) for _ in range(50))

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for mark in range(10):
        teach(store, dict.fromkeys("abc", mark))
    for thread in threads:
        thread.join()
    assert seen == [True] * 150


def test_nothing_stays_open(store: Store) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for mark in range(5):
        teach(store, {"head": mark}, size=1 << 16)
        store.check()
        with pytest.raises(StoreDamagedError):
            store.read("0" * 64)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_reading_takes_no_lock_and_writes_nothing(store: Store) -> None:
    teach(store, {"head": 1})
    with store.writer(), counted(failing_at(1, errno.EROFS, lasting=True)):
        opened = Store.open(store.path)
        assert is_whole(opened)
        assert opened.check() == []
        opened.journal()


def test_importing_the_store_loads_numpy_and_no_more() -> None:
    code = "import sys, numpy; before = set(sys.modules); import edgecl.store.store; print(*set(sys.modules) - before)"
    path = os.pathsep.join(entry for entry in sys.path if entry)
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    outside = {name.partition(".")[0] for name in run.stdout.split()} - set(sys.stdlib_module_names)
    assert outside <= {"edgecl", "numpy"}


def test_every_json_file_can_be_read_by_others(store: Store) -> None:
    teach(store, {"head": 1})
    assert json.loads((store.path / "store.json").read_text())["format"] == 3
    assert json.loads((store.path / "revisions" / "000002.json").read_text())["number"] == 2
    for line in (store.path / "journal.jsonl").read_text().splitlines():
        json.loads(line)
    assert (store.path / "current").read_text().split()[0] == "2"


def test_a_store_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    store = make_store(tmp_path / "kitchen")
    before = tree(store.path)
    assert store.write_fault() == ""
    assert tree(store.path) == before
    full = Calls(lambda _, name: OSError(errno.ENOSPC, "No space left on device") if name == "write" else None)
    with counted(full):
        assert re.search("cannot be written: No space left on device .free some space.", store.write_fault())
    read_only = Calls(lambda _, name: OSError(errno.EROFS, "Read-only file system") if name == "open" else None)
    with counted(read_only):
        assert "mounted read-only" in store.write_fault()
    assert tree(store.path) == before
