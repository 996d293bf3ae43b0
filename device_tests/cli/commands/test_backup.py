"""`edgecl backup`, `restore` and signatures, as a user meets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecl.learner import Learner

from ...support.commands import clips, edgecl, tree, voice_extractor
from ...support.keys import key_pair

pytestmark = pytest.mark.native("teaches stores")

KEEPS = {"store.json", "extractor.onnx", "current", "journal.jsonl"}


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    voice_extractor()
    learner = Learner.create(tmp_path / "kitchen", extractor="voice")
    learner.learn(clips("teach", ("yes", "no"), most=6))
    return learner.path


def test_a_store_goes_through_one_file_and_answers_as_before(kitchen: Path, tmp_path: Path) -> None:
    file, again = tmp_path / "kitchen.backup", tmp_path / "again"
    done = edgecl("backup", kitchen, "-o", file)
    assert done.code == 0
    assert "of revision 2" in done.out
    done = edgecl("restore", file, again)
    assert done.code == 0
    assert "revision 2 is live" in done.out
    assert {name: one for name, one in tree(again).items() if name in KEEPS} == {
        name: one for name, one in tree(kitchen).items() if name in KEEPS
    }
    assert edgecl("backup", kitchen, "-o", file).code == 2
    done = edgecl("restore", file, again)
    assert done.code == 2
    assert "is a store already" in done.err
    assert "(--overwrite)" in done.err
    done = edgecl("restore", kitchen, file)
    assert (done.code, "is a folder and no backup: the file of the backup goes first" in done.err) == (5, True)
    assert edgecl("restore", file, again, "--overwrite").code == 0


def test_a_file_without_its_option_is_answered_with_the_line_that_was_meant(
    kitchen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").touch()
    for given, meant in (
        (["kitchen", "k.backup"], "kitchen -o k.backup"),
        (["k.backup", "kitchen"], "kitchen -o k.backup"),
        (["kitchen", "a b"], "kitchen -o 'a b'"),
        (["kitchen"], "kitchen -o FILE"),
        (["kitchen", "--overwrite"], "STORE -o FILE"),
    ):
        done = edgecl("backup", *given)
        assert done.code == 2
        assert f"Missing option '-o' / '--out'. The file to write goes after it: `edgecl backup {meant}`" in done.err
    assert "`edgecl export voice -o FILE`" in edgecl("export", "voice").err


def test_a_backup_that_is_not_signed_by_the_key_is_refused(kitchen: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="signing needs the extra [sign]")
    (private, public), (_, other) = key_pair(tmp_path, "mine"), key_pair(tmp_path, "other")
    plain, signed = tmp_path / "plain.backup", tmp_path / "signed.backup"
    assert edgecl("backup", kitchen, "-o", plain).code == 0
    made = edgecl("backup", kitchen, "-o", signed, "--sign", private, "--json").value
    for file, key, reason in ((plain, public, "has no signature"), (signed, other, "names the key")):
        done = edgecl("restore", file, tmp_path / "again", "--require-signature", key)
        assert done.code == 5
        assert reason in done.err
        assert not (tmp_path / "again").exists()
    assert "not verified" in edgecl("restore", signed, tmp_path / "unverified").out
    told = edgecl("restore", signed, tmp_path / "again", "--require-signature", public, "--json").value
    assert (told["key"], told["verified"], told["sha256"]) == (made["key"], True, made["sha256"])
    assert edgecl("backup", kitchen, "-o", tmp_path / "x", "--sign", public).code == 2


def test_an_extractor_that_is_not_signed_by_the_key_is_refused_before_a_runtime_sees_it(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="signing needs the extra [sign]")
    pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
    private, public = key_pair(tmp_path, "mine")
    file, store = tmp_path / "mine.onnx", tmp_path / "store"
    assert edgecl("export", "identity", "--columns", "a,b", "-o", file).code == 0
    done = edgecl("init", store, "--extractor", file, "--require-signature", public)
    assert done.code == 5
    assert "has no signature" in done.err
    done = edgecl("export", "identity", "--columns", "a,b", "-o", file, "--sign", private)
    assert "mine.onnx.sig is its signature" in done.out
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    done = edgecl("init", store, "--extractor", file, "--require-signature", public)
    assert done.code == 5
    assert "not what was signed" in done.err
    assert not store.exists()
    file.write_bytes(content)
    assert edgecl("init", store, "--extractor", file, "--require-signature", public).code == 0
    assert (store / "extractor.onnx").read_bytes() == content
