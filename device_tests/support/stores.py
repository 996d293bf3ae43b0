"""Tiny stores for tests, and the system calls by which they change, to be stopped, failed or lost."""

from __future__ import annotations

import errno
import os
import random
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from edgecl.learner import Learner
from edgecl.store.records import Revision
from edgecl.store.store import Store
from edgecl.store.writer import Writer

TIME = "2026-01-01T00:00:00+00:00"
CHANGING = ("open", "write", "ftruncate", "fsync", "replace", "unlink", "mkdir", "rmdir", "posix_fallocate")


def make_store(path: Path, *, disk_bytes: int = 1 << 24, keep_revisions: int = 10) -> Store:
    """A store with a stand-in for an extractor, that knows nothing."""
    extractor = path.parent / "extractor.onnx"
    extractor.write_bytes(b"a graph")
    settings = {"disk_bytes": disk_bytes, "keep_revisions": keep_revisions}
    return Store.create(path, extractor=extractor, settings=settings, revision_body={"marks": {}}, time=TIME)


def taught_table(folder: Path) -> Path:
    """A store of a table of two columns that knows a and b, with `identity.onnx` beside it."""
    from edgecl_export import export_identity

    export_identity(folder / "identity.onnx", ["a", "b"])
    learner = Learner.create(folder / "table", extractor=folder / "identity.onnx")
    rows = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32) + np.repeat([[0], [3]], 20, axis=0)
    learner.learn(rows.astype(np.float32), ["a"] * 20 + ["b"] * 20)
    return learner.path


def commit(writer: Writer, before: Revision, marks: Mapping[str, float], *, size: int = 4) -> Revision:
    """Commit what `before` has, and an object for each mark, filled with it; the body says what it should hold."""
    objects = dict(before.objects)
    for role, mark in marks.items():
        objects[role] = writer.put({"filled": np.full(size, mark, np.float32)})
    body = {"marks": {**before.body["marks"], **marks}}
    return writer.commit(kind="lesson", objects=objects, body=body, time=TIME)


def teach(store: Store, marks: Mapping[str, float], *, size: int = 4) -> Revision:
    """One lesson on top of the live revision."""
    with store.writer() as writer:
        return commit(writer, store.current(), marks, size=size)


def is_whole(store: Store) -> bool:
    """Whether the live revision holds what its body says, all of it."""
    revision, objects = store.load(*store.current().objects)
    held = {role: float(arrays["filled"][0]) for role, arrays in objects.items()}
    return held == revision.body["marks"]


class Cut(BaseException):
    """The process has been killed: nothing that it does from here on changes the disk."""


@dataclass
class Calls:
    """Counts the calls that change the disk, and makes some of them fail."""

    fails: Callable[[int, str], BaseException | None]
    names: list[str] = field(default_factory=list)

    def __call__(self, name: str) -> None:
        self.names.append(name)
        error = self.fails(len(self.names), name)
        if error is not None:
            raise error


@contextmanager
def counted(calls: Callable[..., None]) -> Iterator[None]:
    """Let every call of `os` that changes the disk first go to `calls`, by its name."""

    def guarded(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if name != "open" or arguments[1] & os.O_CREAT:
                calls(name)
            return real(*arguments, **options)

        return call

    with mock.patch.multiple(os, **{name: guarded(name, getattr(os, name)) for name in CHANGING}):
        yield


def killed_at(count: int) -> Calls:
    """Kill before the call with that number, from 1."""
    return Calls(lambda number, _: Cut() if number >= count else None)


def failing_at(count: int, code: int, *, lasting: bool) -> Calls:
    """Fail the call with that number, and those after it where the fault lasts."""

    def fails(number: int, name: str) -> OSError | None:
        if number < count or (number > count and not lasting):
            return None
        if code == errno.ENOSPC and name in ("unlink", "rmdir", "replace", "ftruncate"):
            return None  # these need no room
        return OSError(code, os.strerror(code))

    return Calls(fails)


@contextmanager
def without_waiting() -> Iterator[None]:
    """Skip fsync: for tests that look at what is written, not at when."""
    with mock.patch.object(os, "fsync", return_value=None):
        yield


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder for thousands of files, in memory where the machine allows it."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, which takes the right to mount one."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system can't be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


class Inode:
    """A file with what is on the disk for certain, and what the page cache holds."""

    def __init__(self, data: bytes = b"") -> None:
        self.durable = data
        self.cached = data

    def after_cut(self, draw: random.Random) -> bytes:
        """One of the contents that a cut can leave: of each changed byte the old, the new, or one never written."""
        old, new = self.durable, self.cached
        length = draw.choice([len(old), len(new), draw.randint(min(len(old), len(new)), max(len(old), len(new)))])
        same = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        torn = draw.choice([same, len(new), draw.randint(same, max(same, len(new)))])
        mixed = new[:torn] + old[torn:]
        return mixed[:length] + bytes(max(length - len(mixed), 0))


class Disk:
    """Follows the calls on one folder and says what a power cut could leave of it.

    The model: what fsync was not called for may be lost, torn or there. Names of a folder change by single
    operations; of those since its last fsync any subset may be lost.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[Path, Inode] = {}
        self._folders: set[Path] = {root}
        for path in sorted(root.rglob("*")):
            if path.is_dir():
                self._folders.add(path)
            else:
                self._names[path] = Inode(path.read_bytes())
        self._cached = dict(self._names)
        self._pending: list[tuple[Path, Callable[[dict[Path, Inode]], None]]] = []
        self.cuts: list[Callable[[random.Random, Path], None]] = []

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Follow all calls within; before each one a way to leave the disk is added to `cuts`."""
        real = {name: getattr(os, name) for name in CHANGING}
        opened: dict[int, Path] = {}

        def opens(path: Any, flags: int, *mode: int) -> int:
            descriptor: int = real["open"](path, flags, *mode)
            opened[descriptor] = Path(path)
            if flags & os.O_CREAT and Path(path) not in self._cached:
                self._change(Path(path).parent, self._setting(Path(path), Inode()))
            return descriptor

        def writes(descriptor: int, data: Any) -> int:
            length: int = real["write"](descriptor, data)
            self._refresh(opened[descriptor])
            return length

        def truncates(descriptor: int, length: int) -> None:
            real["ftruncate"](descriptor, length)
            self._refresh(opened[descriptor])

        def syncs(descriptor: int) -> None:
            self._sync(opened[descriptor], is_folder=stat.S_ISDIR(os.fstat(descriptor).st_mode))

        def replaces(source: Any, target: Any) -> None:
            real["replace"](source, target)
            if Path(target).is_dir():
                return
            self._change(Path(target).parent, self._moving(Path(source), Path(target)))

        def unlinks(path: Any, **options: Any) -> None:
            real["unlink"](path, **options)
            self._change(Path(path).parent, self._removing(Path(path)))

        made = {"open": opens, "write": writes, "ftruncate": truncates, "fsync": syncs, "replace": replaces}
        with mock.patch.multiple(os, **made, unlink=unlinks):
            yield

    def is_settled(self) -> bool:
        """Whether a cut would lose nothing now."""
        return not self._pending and all(one.durable == one.cached for one in self._cached.values())

    def _setting(self, path: Path, inode: Inode) -> Callable[[dict[Path, Inode]], None]:
        return lambda names: names.__setitem__(path, inode)

    def _removing(self, path: Path) -> Callable[[dict[Path, Inode]], None]:
        def remove(names: dict[Path, Inode]) -> None:
            names.pop(path, None)

        return remove

    def _moving(self, source: Path, target: Path) -> Callable[[dict[Path, Inode]], None]:
        inode = self._cached[source]

        def move(names: dict[Path, Inode]) -> None:
            names.pop(source, None)
            names[target] = inode

        return move

    def _change(self, folder: Path, operation: Callable[[dict[Path, Inode]], None]) -> None:
        operation(self._cached)
        self._pending.append((folder, operation))
        self._may_be_cut()

    def _refresh(self, path: Path) -> None:
        self._cached[path].cached = path.read_bytes()
        self._may_be_cut()

    def _sync(self, path: Path, *, is_folder: bool) -> None:
        if is_folder:
            for folder, operation in self._pending:
                if folder == path:
                    operation(self._names)
            self._pending = [one for one in self._pending if one[0] != path]
        else:
            self._cached[path].durable = self._cached[path].cached
        self._may_be_cut()

    def _may_be_cut(self) -> None:
        names, pending = dict(self._names), list(self._pending)
        inodes = {id(one): (one, one.durable, one.cached) for one in [*names.values(), *self._cached.values()]}

        def leave(draw: random.Random, target: Path) -> None:
            left = dict(names)
            for _, operation in [one for one in pending if draw.random() < 0.5]:
                operation(left)
            for folder in sorted(self._folders):
                (target / folder.relative_to(self._root)).mkdir(parents=True, exist_ok=True)
            for path, inode in left.items():
                _, durable, cached = inodes.get(id(inode), (inode, b"", b""))
                copy = Inode(durable)
                copy.cached = cached
                (target / path.relative_to(self._root)).write_bytes(copy.after_cut(draw))

        self.cuts.append(leave)
