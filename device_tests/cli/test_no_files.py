"""Pipes, folders, devices and files of the system in place of files: refused by every reader, and named."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgecl.learner import Learner

from ..support.commands import command_line, edgecl

pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
TIME_S = 60


@pytest.fixture
def table(tmp_path: Path) -> Path:
    from edgecl_export import export_identity

    export_identity(tmp_path / "identity.onnx", ["a", "b"])
    learner = Learner.create(tmp_path / "table", extractor=tmp_path / "identity.onnx")
    rows = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32) + np.repeat([[0], [3]], 20, axis=0)
    learner.learn(rows.astype(np.float32), ["a"] * 20 + ["b"] * 20)
    return learner.path


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


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command_line(*arguments), capture_output=True, text=True, timeout=TIME_S, check=False)


@pytest.mark.native("starts processes")
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
@pytest.mark.parametrize(
    "name", ["extractor.onnx", "current", "journal.jsonl", "lock", "store.json", "revisions/000002.json", "objects/0"]
)
def test_no_part_of_a_store_that_is_no_file_is_waited_for(table: Path, name: str, kind: str) -> None:
    path = min((table / "objects").iterdir()) if name == "objects/0" else table / name
    replaced(path, kind)
    for words in (("doctor", table), ("status", table), ("doctor", table, "--repair"), ("doctor", table)):
        done = run(*words)
        assert done.returncode in (0, 1, 2, 4, 5), done.stderr
        assert "Traceback" not in done.stderr
        if words == ("doctor", table) and path.name != "lock" and done.returncode == 0:
            assert path.is_file() or not path.exists()  # only once it was repaired
            assert not path.is_symlink()


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
@pytest.mark.parametrize("suffix", [".csv", ".npz", ".jsonl", ".wav"])
def test_data_that_is_no_file_is_refused(table: Path, tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"data{suffix}"
    replaced(path, kind)
    for words in (("learn", table, path), ("predict", table, path), ("follow", table, path)):
        done = run(*words)
        assert done.returncode == 4, done.stderr
        assert path.name in done.stderr


def test_files_of_the_system_are_refused(table: Path, tmp_path: Path) -> None:
    for name in ("kmsg", "self/mem", "self/maps"):
        link = tmp_path / "data.csv"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("/proc") / name)
        done = edgecl("learn", table, link)
        assert done.code == 4
        assert "no file" in done.err or "can't be read" in done.err or "does not exist" in done.err


def test_a_pipe_is_no_extractor(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mine.onnx")
    done = edgecl("init", tmp_path / "new", "--extractor", tmp_path / "mine.onnx")
    assert done.code == 5
    assert "no regular file" in done.err
