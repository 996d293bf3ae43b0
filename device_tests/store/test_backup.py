"""Backup and restore: the same store again, or nothing."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import shutil
import stat
import tarfile
import time
from hashlib import sha256
from pathlib import Path

import pytest

from edgecl.errors import EdgeclError, ModelError, SettingError, StoreDamagedError, StoreLockedError
from edgecl.store.backup import Backup, held_still, restore_backup
from edgecl.store.files import locked
from edgecl.store.store import Store

from ..support.commands import tree
from ..support.stores import Calls, Cut, counted, is_whole, make_store, teach

STARTED_S = 2.0


@pytest.fixture
def store(folder: Path) -> Store:
    store = make_store(folder / "kitchen")
    teach(store, {"head": 1, "statistics/yes": 2})
    teach(store, {"head": 3, "statistics/yes": 2, "statistics/no": 4})
    (store.path / "inbox").mkdir()
    (store.path / "inbox" / "000001.wav").write_bytes(b"a voice")
    return store


def restored(file: Path, path: Path, *, overwrite: bool = False) -> Backup:
    return restore_backup(file, path, require=lambda digest, members: None, overwrite=overwrite, timeout_s=0.1)


def files(path: Path) -> dict[str, str]:
    return {name: one for name, one in tree(path).items() if not name.startswith(("inbox", "lock", "reserve"))}


def test_a_store_comes_back_as_it_was_without_its_recordings(store: Store, folder: Path) -> None:
    made = store.backup(folder / "one.backup")
    known = restored(folder / "one.backup", folder / "again")
    assert files(folder / "again") == files(store.path)
    assert not (folder / "again" / "inbox").exists()
    assert (known.revision, known.digest, known.bytes) == (3, made.digest, (folder / "one.backup").stat().st_size)
    again = Store.open(folder / "again")
    assert again.check() == []
    assert teach(again, {"head": 9}).number == 4


def test_a_backup_is_for_its_owner_alone_and_the_same_each_time(store: Store, folder: Path) -> None:
    first = store.backup(folder / "one.backup")
    assert stat.S_IMODE((folder / "one.backup").stat().st_mode) == 0o600
    assert store.backup(folder / "two.backup").digest == first.digest
    with tarfile.open(folder / "one.backup") as archive:
        assert archive.getnames()[0] == "backup.json"
        assert {"store.json", "current", "journal.jsonl", "revisions/000003.json"} <= set(archive.getnames())


def test_a_backup_leaves_the_users_own_files_beside_it(store: Store, folder: Path) -> None:
    (folder / "x.backup.tmp").write_text("notes")
    store.backup(folder / "x.backup")
    assert (folder / "x.backup.tmp").read_text() == "notes"


def test_nothing_is_overwritten_without_being_told(store: Store, folder: Path) -> None:
    file = folder / "one.backup"
    store.backup(file)
    before = file.read_bytes()
    with pytest.raises(SettingError, match="is there already"):
        store.backup(file)
    with pytest.raises(SettingError, match="is a store already"):
        restored(file, store.path)
    with pytest.raises(SettingError, match="in the store that it would be a copy of"):
        store.backup(store.path / "one.backup")
    assert file.read_bytes() == before
    teach(store, {"head": 5})
    assert store.backup(file, overwrite=True).revision == 4


def test_told_to_it_replaces_a_store_but_not_under_its_writer(store: Store, folder: Path) -> None:
    file = folder / "one.backup"
    store.backup(file)
    teach(store, {"head": 5})
    with store.writer(), pytest.raises(StoreLockedError):
        restored(file, store.path, overwrite=True)
    assert Store.open(store.path).current().number == 4
    restored(file, store.path, overwrite=True)
    assert Store.open(store.path).current().number == 3
    assert Store.open(store.path).check() == []
    assert sorted(one.name for one in folder.iterdir() if ".tmp" in one.name) == []


def test_no_changed_byte_is_restored(store: Store, folder: Path) -> None:
    file = folder / "one.backup"
    store.backup(file)
    whole, draw = file.read_bytes(), random.Random(0)
    cases = [whole[:cut] for cut in (0, 100, 512, 5000, len(whole) - 1024, len(whole) - 1)] + [
        whole + b"\0",
        b"x" * 999,
    ]
    for _ in range(150):
        changed = bytearray(whole)
        changed[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        cases.append(bytes(changed))
    for case in cases:
        file.write_bytes(case)
        with pytest.raises(StoreDamagedError):
            restored(file, folder / "again")
        assert sorted(one.name for one in folder.iterdir()) == ["extractor.onnx", "kitchen", "one.backup"]


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "objects/../../evil", "inbox/000001.wav", "lock", "backup.json", "objects/a.npz"]
)
def test_names_that_are_no_stores_own_are_refused(folder: Path, name: str) -> None:
    with tarfile.open(folder / "evil.backup", "w", format=tarfile.USTAR_FORMAT) as archive:
        for one in ("backup.json", name):
            entry = tarfile.TarInfo(one)
            entry.size, entry.mode = 2, 0o600
            archive.addfile(entry, io.BytesIO(b"{}"))
    with pytest.raises(StoreDamagedError, match="no backup"):
        restored(folder / "evil.backup", folder / "again")
    assert [one.name for one in folder.iterdir()] == ["evil.backup"]


def test_what_is_no_file_or_states_more_than_there_is_is_refused_at_once(store: Store, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    started = time.monotonic()
    with pytest.raises(StoreDamagedError, match="not a regular file"):
        restored(folder / "pipe", folder / "again")
    entry = tarfile.TarInfo("backup.json")
    entry.size, entry.mode = 1 << 32, 0o600
    (folder / "long").write_bytes(entry.tobuf(tarfile.USTAR_FORMAT))
    with pytest.raises(StoreDamagedError, match="no backup"):
        restored(folder / "long", folder / "again")
    assert time.monotonic() - started < STARTED_S


@pytest.mark.parametrize("size", [20, 512, 700, 3000, 5000, -1024, -1])
def test_a_half_copied_backup_is_said_to_be_cut_short(store: Store, folder: Path, size: int) -> None:
    store.backup(folder / "one.backup")
    (folder / "cut").write_bytes((folder / "one.backup").read_bytes()[:size])
    with pytest.raises(StoreDamagedError, match=r"cut is cut short.*: copy it again"):
        restored(folder / "cut", folder / "again")


def test_a_small_file_of_something_else_is_not_said_to_be_cut_short(folder: Path) -> None:
    (folder / "note").write_bytes(b"hello")
    with pytest.raises(StoreDamagedError, match="no backup of edgecl"):
        restored(folder / "note", folder / "again")


@pytest.mark.parametrize("kind", ["gztar", "tar", "zip"])
def test_a_store_that_another_program_packed_is_said_to_be_that(store: Store, folder: Path, kind: str) -> None:
    packed = shutil.make_archive(str(folder / "packed"), kind, folder, "kitchen")
    with pytest.raises(StoreDamagedError, match="unpack it with the program that packed it"):
        restored(Path(packed), folder / "again")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_store_that_may_only_be_read_has_a_backup(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = os.open

    def refusing(path: object, flags: int, *rest: int, **more: int) -> int:
        if str(path).startswith(str(store.path)) and flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(number, os.strerror(number), str(path))
        return real(path, flags, *rest, **more)  # type: ignore[arg-type]

    first = store.backup(folder / "one.backup")
    monkeypatch.setattr(os, "open", refusing)
    assert store.backup(folder / "two.backup").digest == first.digest
    with locked(store.path, timeout_s=0), pytest.raises(StoreLockedError), held_still(store.path, timeout_s=0):
        pass


def resealed(file: Path, **facts: object) -> bytes:
    """The backup with other facts in its first member, under a digest that fits."""
    with tarfile.open(file) as archive:
        parts = [(one.name, archive.extractfile(one).read()) for one in archive]  # type: ignore[union-attr]
    first = json.dumps({**json.loads(parts[0][1]), **facts}).encode()
    out = b"".join(
        map(member, ["backup.json", *(name for name, _ in parts[1:-1])], [first, *dict(parts[1:-1]).values()])
    )
    return out + member("digest.json", json.dumps({"sha256": sha256(out).hexdigest()}).encode()) + bytes(1024)


def member(name: str, content: bytes) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    return entry.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


@pytest.mark.parametrize("facts", [{"revision": 2}, {"revision": 77}, {"revision": True}, {"store": "f" * 16}])
def test_what_it_states_is_compared_with_what_it_contains(store: Store, folder: Path, facts: dict[str, object]) -> None:
    store.backup(folder / "one.backup")
    (folder / "two.backup").write_bytes(resealed(folder / "one.backup"))
    assert restored(folder / "two.backup", folder / "again").revision == 3
    (folder / "two.backup").write_bytes(resealed(folder / "one.backup", **facts))
    with pytest.raises(StoreDamagedError, match="state"):
        restored(folder / "two.backup", folder / "another")
    assert not (folder / "another").exists()


def test_a_signature_is_looked_at_before_the_content(store: Store, folder: Path) -> None:
    store.backup(folder / "one.backup", sign=lambda digest: {"signature": digest[::-1], "key": "mine"})
    seen = []

    def refuse(digest: str, members: object) -> None:
        seen.append((digest, members))
        raise ModelError("another's")

    with pytest.raises(ModelError, match="another's"):
        restore_backup(folder / "one.backup", folder / "again", require=refuse, overwrite=False)
    ((digest, members),) = seen
    assert members == {"signature": digest[::-1], "key": "mine"}
    assert not (folder / "again").exists()


def test_a_damaged_store_has_no_backup(store: Store, folder: Path) -> None:
    path = min((store.path / "objects").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreDamagedError, match="is damaged"):
        store.backup(folder / "one.backup")
    assert not (folder / "one.backup").exists()


def test_a_disk_that_fails_anywhere_leaves_what_was_there(store: Store, folder: Path) -> None:
    file = folder / "one.backup"
    store.backup(file)
    before = files(store.path)
    for count in range(1, 200):
        calls = Calls(lambda number, _, at=count: OSError(errno.EIO, "error") if number == at else None)  # type: ignore[misc]
        try:
            with counted(calls):
                restored(file, store.path, overwrite=True)
        except EdgeclError:
            assert files(store.path) == before
        if len(calls.names) < count:
            return
    raise AssertionError("it never ended")


def test_a_cut_anywhere_leaves_a_whole_store(store: Store, folder: Path) -> None:
    file = folder / "one.backup"
    store.backup(file)
    for count in range(1, 200):
        calls = Calls(lambda number, _, at=count: Cut() if number >= at else None)  # type: ignore[misc]
        try:
            with counted(calls):
                restored(file, folder / "again")
        except Cut:
            if (folder / "again").exists():
                assert is_whole(Store.open(folder / "again"))
                shutil.rmtree(folder / "again")
        else:
            break
    assert is_whole(Store.open(folder / "again"))
