"""Pipes, folders, devices and files of the system in place of files: refused by every reader, and named."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from edgecl.errors import StoreDamagedError
from edgecl.learner import Learner

from ..support.commands import command_line, edgecl
from ..support.keys import key_pair
from ..support.stores import taught_table

pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
TIME_S = 60


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return taught_table(tmp_path)


def replaced(path: Path, kind: str) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")


@contextmanager
def ended_in_time() -> Iterator[None]:
    """Fail where something is waited for that never comes, such as the writer of a pipe."""

    def ended(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"it took longer than {TIME_S} s")

    before = signal.signal(signal.SIGALRM, ended)
    signal.alarm(TIME_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


PARTS = ["extractor.onnx", "current", "journal.jsonl", "lock", "store.json", "revisions/000002.json", "objects/0"]
PARTS += ["reserve"]
COPIED_BACK = {"extractor.onnx", "store.json"}


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
@pytest.mark.parametrize("name", PARTS)
def test_no_part_of_a_store_that_is_no_file_is_waited_for(table: Path, name: str, kind: str) -> None:
    path = min((table / "objects").iterdir()) if name == "objects/0" else table / name
    replaced(path, kind)
    with ended_in_time():
        if name == "store.json" or (name, kind) == ("current", "device"):
            with pytest.raises(StoreDamagedError, match=path.name):
                Learner.open(table)
            return
        learner = Learner.open(table)
        assert any(path.name in one or f"`{path.name}`" in one for one in learner.check())
        learner.repair()
        left = Learner.open(table).check()
    assert all("extractor.onnx" in one for one in left)
    assert bool(left) == (name in COPIED_BACK)
    assert name in COPIED_BACK or path.is_file() or not path.exists()


@pytest.mark.native("starts processes")
@pytest.mark.parametrize("name", ["extractor.onnx", "current"])
def test_doctor_ends_on_a_pipe(table: Path, name: str) -> None:
    replaced(table / name, "pipe")
    for words in (("doctor", table), ("doctor", table, "--repair")):
        done = subprocess.run(command_line(*words), capture_output=True, text=True, timeout=TIME_S, check=False)
        assert "Traceback" not in done.stderr
        assert name in done.stdout


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
@pytest.mark.parametrize("suffix", [".csv", ".npz", ".jsonl", ".wav"])
def test_data_that_is_no_file_is_refused(table: Path, tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"data{suffix}"
    replaced(path, kind)
    for words in (("learn", table, path), ("predict", table, path), ("follow", table, path)):
        with ended_in_time():
            done = edgecl(*words)
        assert done.code == 4, done.err
        assert path.name in done.err


def test_files_of_the_system_are_refused(table: Path, tmp_path: Path) -> None:
    for name in ("kmsg", "self/mem", "self/maps"):
        link = tmp_path / "data.csv"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("/proc") / name)
        done = edgecl("learn", table, link)
        assert done.code == 4
        assert "no file" in done.err or "can't be read" in done.err or "does not exist" in done.err


def test_files_of_the_system_are_not_followed(table: Path, tmp_path: Path) -> None:
    movement = tmp_path / "movement"
    assert edgecl("init", movement, "--extractor", "imu").code == 0
    rows = tmp_path / "rows.csv"
    rows.write_text("id,x,y\n1,2,3\n")
    by_id = ("follow", table, rows, "--id-column", "id", "--labels", "/proc/kmsg")
    for words in (("listen", movement, "/proc/kmsg"), by_id):
        with ended_in_time():
            done = edgecl(*words)
        assert done.code == 4
        assert "/proc/kmsg" in done.err
        assert "made by the system" in done.err


def test_a_pipe_is_no_extractor(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mine.onnx")
    done = edgecl("init", tmp_path / "new", "--extractor", tmp_path / "mine.onnx")
    assert done.code == 5
    assert "no regular file" in done.err


def test_a_file_of_the_system_without_an_end_is_no_extractor_and_no_store(tmp_path: Path) -> None:
    for words in (
        ("init", tmp_path / "new", "--extractor", "/proc/kmsg"),
        ("record", "/proc/kmsg", "--label", "x", "-o", tmp_path / "clips"),
    ):
        with ended_in_time():
            done = edgecl(*words)
        assert done.code in (4, 5), done.err
        assert "/proc/kmsg" in done.err


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_no_key_and_no_signature(table: Path, tmp_path: Path, kind: str) -> None:
    pytest.importorskip("cryptography", reason="signing needs the extra [sign]")
    key, out = tmp_path / "key", tmp_path / "x.backup"
    replaced(key, kind)
    replaced(tmp_path / "identity.onnx.sig", kind)
    private, public = key_pair(tmp_path, "good")
    table_backup = tmp_path / "table.backup"
    assert edgecl("backup", table, "-o", table_backup, "--sign", private).code == 0
    with ended_in_time():
        signed = edgecl("backup", table, "-o", out, "--sign", key)
        assert (signed.code, out.exists()) == (2, False)
        assert f"{key} is no private Ed25519 key" in signed.err
        restored = edgecl("restore", table_backup, tmp_path / "again", "--require-signature", key)
        assert restored.code == 2
        assert f"{key} is no public Ed25519 key" in restored.err
        extractor = tmp_path / "identity.onnx"
        made = edgecl("init", tmp_path / "new", "--extractor", extractor, "--require-signature", public)
        assert "it has no signature" in made.err
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_lesson_waits_for_no_pipe_in_the_place_of_a_listener(table: Path, tmp_path: Path, kind: str) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b,label\n" + "".join(f"{i / 100},{i / 200},c\n" for i in range(-20, 20)))
    replaced(table / "listener.json", kind)
    with ended_in_time():
        assert edgecl("learn", table, rows, "--dry-run").code in (0, 3)
        assert "listener.json" in edgecl("doctor", table).out


def test_files_of_the_system_are_no_shares_plans_or_backups(table: Path, tmp_path: Path) -> None:
    for words in (
        ("merge", table, "/proc/kmsg"),
        ("merge", table, "--irreversible", "/proc/kmsg", "--plan", tmp_path / "plan"),
        ("restore", "/proc/kmsg", tmp_path / "new"),
    ):
        with ended_in_time():
            done = edgecl(*words)
        assert done.code in (4, 5), done.err
        assert "/proc/kmsg" in done.err
