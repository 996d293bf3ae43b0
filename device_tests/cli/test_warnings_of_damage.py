"""What is warned of damage that could be worked around: what is damaged; another revision only where one was used."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgecl.learner import Learner

from ..support.commands import edgecl

pytestmark = pytest.mark.native("makes a store")
pytest.importorskip("onnx", reason="the exporter needs the extra [export]")

USED = "the newest intact one, stands in"


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Revisions 1 to 3."""
    from edgecl_export import export_identity

    folder = tmp_path_factory.mktemp("damaged")
    export_identity(folder / "identity.onnx", ["x", "y"])
    learner = Learner.create(folder / "table", extractor=folder / "identity.onnx")
    draw = np.random.default_rng(0)
    for place, label in enumerate("ab"):
        learner.learn(draw.normal(4 * place, 1, (30, 2)).astype(np.float32), [label] * 30)
    assert learner.revision == 3
    return folder / "table"


@pytest.fixture
def table(taught: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(taught, tmp_path / "table"))


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def learnt(table: Path, tmp_path: Path) -> str:
    rows = np.random.default_rng(1).normal([-9, 9], 1, (30, 2))
    lines = [f"{x:.4f},{y:.4f},c" for x, y in rows]
    (tmp_path / "rows.csv").write_text("\n".join(["x,y,label", *lines]) + "\n")
    done = edgecl("learn", table, tmp_path / "rows.csv", "--distinct")
    assert done.code == 0
    return done.err


def test_a_damaged_live_revision_is_named_and_so_is_the_one_that_was_used(table: Path, tmp_path: Path) -> None:
    damage(table / "revisions" / "000003.json")
    said = edgecl("status", table).err
    assert "000003.json" in said
    assert f"revision 2, {USED}" in said
    assert f"revision 2, {USED}" in learnt(table, tmp_path)
    assert "Warning" not in edgecl("status", table).err


def test_a_damaged_part_of_the_live_revision_is_named_and_so_is_the_one_that_was_used(table: Path) -> None:
    learner = Learner.open(table)
    damage(table / "objects" / f"{learner.store.current().objects['head']}.npz")
    said = edgecl("status", table).err
    assert "does not match its digest" in said
    assert f"revision 2, {USED}" in said


def test_a_damaged_line_of_the_journal_is_all_that_is_named(table: Path, tmp_path: Path) -> None:
    damage(table / "journal.jsonl")
    for said in (edgecl("history", table).err, learnt(table, tmp_path)):
        assert "journal.jsonl" in said
        assert "edgecl doctor" in said
        assert USED not in said


def test_a_damaged_older_revision_is_all_that_is_named(table: Path, tmp_path: Path) -> None:
    damage(table / "revisions" / "000002.json")
    said = learnt(table, tmp_path)
    assert "000002.json" in said
    assert USED not in said


def test_a_reserve_that_cannot_be_kept_is_all_that_is_named(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (table / "reserve").unlink()
    monkeypatch.setattr(os, "posix_fallocate", full)
    said = learnt(table, tmp_path)
    assert "on a full disk `forget` may fail" in said
    assert USED not in said
