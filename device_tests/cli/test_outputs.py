"""Files that a user names for output, and names that are no text: nothing is put in the place of what is no file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from edgecl.cli import warn
from edgecl.cli.app import COMMANDS, main
from edgecl.learner import Learner
from edgecl.sources.samples import ListedSkips, Skip

from ..support.commands import edgecl
from ..support.stores import taught_table
from .test_environment import all_options

pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
ODD = os.fsdecode(b'st\xff\n\xe2\x80\xaeq"')
ROWS = "a,b,label\n" + "".join(f"{i % 2 * 3 + i / 100},{i / 50},{'ab'[i % 2]}\n" for i in range(60))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text(ROWS)
    return taught_table(tmp_path)


def test_a_store_and_data_whose_names_are_no_text_are_used_as_any(table: Path, tmp_path: Path) -> None:
    store, rows = table.rename(tmp_path / ODD), (tmp_path / "rows.csv").rename(tmp_path / f"{ODD}.csv")
    extractor = (tmp_path / "identity.onnx").rename(tmp_path / f"{ODD}.onnx")
    page, curve = tmp_path / f"{ODD}.html", tmp_path / f"{ODD}.curve.csv"
    share, backup = tmp_path / f"{ODD}.share", tmp_path / f"{ODD}.backup"
    for words in (
        ("learn", store, rows, "--force"),
        ("follow", store, rows, "--curve", curve, "--dry-run"),
        ("predict", store, rows),
        ("eval", store, rows, "--report", page),
        ("report", store, "-o", page, "--test", rows),
        ("compare", rows, "--extractor", extractor, "--report", page, "--seeds", 1, "--strategies", "auto"),
        ("keep", store, "a", "--always"),
        ("share", store, "-o", share, "--at-least", 1),
        ("backup", store, "-o", backup),
        ("restore", backup, tmp_path / f"{ODD}.again"),
        ("status", store),
        ("history", store),
        ("forget", store, "b"),
        ("doctor", store),
    ):
        done = edgecl(*words)
        assert done.code == 0, (words[0], done.err)
    page.read_text("utf-8")


def test_a_folder_whose_name_cannot_be_in_toml_is_no_flower_app(tmp_path: Path) -> None:
    done = edgecl("federate", "app", "-o", tmp_path / ODD)
    assert done.code == 2
    assert "rename the folder" in done.err
    assert not (tmp_path / ODD).exists()


def test_a_link_to_itself_is_refused(table: Path, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for words in (
        ("init", loop, "--extractor", tmp_path / "identity.onnx"),
        ("backup", table, "-o", loop),
        ("share", table, "-o", loop, "--at-least", 1),
        ("report", table, "-o", loop),
        ("export", "identity", "--columns", "a,b", "-o", loop),
        ("status", loop),
    ):
        done = edgecl(*words)
        assert done.code in (1, 2, 4, 5), words
        assert done.err.startswith(("Error: ", "Usage: ")), done.err
    assert loop.is_symlink()


def a_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def a_link_to_a_device(path: Path) -> Path:
    path.symlink_to("/dev/full")
    return path


@pytest.mark.parametrize("make", [a_pipe, a_link_to_a_device])
def test_what_is_no_file_is_replaced_by_no_output(table: Path, tmp_path: Path, make: Callable[[Path], Path]) -> None:
    out = make(tmp_path / "out")
    before = out.lstat()
    reader = os.open(out, os.O_RDONLY | os.O_NONBLOCK) if stat.S_ISFIFO(before.st_mode) else -1
    for words in (
        ("share", table, "-o", out, "--at-least", 1),
        ("report", table, "-o", out),
        ("eval", table, tmp_path / "rows.csv", "--report", out),
        ("follow", table, tmp_path / "rows.csv", "--dry-run", "--curve", out),
        ("backup", table, "-o", out, "--overwrite"),
        ("export", "identity", "--columns", "a,b", "-o", out),
        ("export", "model", table, "-o", out),
        ("export", "image", "-o", out),
    ):
        done = edgecl(*words)
        is_written = reader >= 0 and words[0] not in ("backup", "export")
        assert done.code == 0 if is_written else done.code in (1, 2), (words, done.err)
        assert out.lstat().st_ino == before.st_ino, words
        if is_written:
            assert len(os.read(reader, 1 << 16)) > 100
    assert not list(tmp_path.glob("*.tmp"))


def test_an_output_in_a_folder_that_is_missing_is_refused_before_the_work(table: Path, tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.csv", tmp_path / "missing" / "out"
    before = Learner.open(table).status()["revision"]
    folder = edgecl("report", table, "-o", "")
    assert (folder.code, "is a folder" in folder.err) == (2, True)
    for words in (
        ("follow", table, rows, "--curve", out),
        ("follow", table, rows, "--plot", out),
        ("eval", table, rows, "--report", out),
        ("compare", rows, "--extractor", tmp_path / "identity.onnx", "--report", out),
        ("report", table, "-o", out),
        ("bench", "--out", out),
        ("share", table, "-o", out, "--at-least", 1),
        ("backup", table, "-o", out),
        ("export", "identity", "--columns", "a,b", "-o", out),
    ):
        done = edgecl(*words)
        assert done.code == 2, words
        assert "its folder does not exist" in done.err
    assert Learner.open(table).status()["revision"] == before


def test_a_store_is_restored_over_a_link_to_it_and_over_no_working_folder(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, link = tmp_path / "x.backup", tmp_path / "link"
    assert edgecl("backup", table, "-o", backup).code == 0
    link.symlink_to(table)
    assert edgecl("forget", table, "b").code == 0
    assert edgecl("restore", backup, link, "--overwrite").code == 0
    assert link.is_symlink()
    assert list(Learner.open(table).classes) == ["a", "b"]
    monkeypatch.chdir(table)
    for path in (".", "", ".."):
        done = edgecl("restore", backup, path, "--overwrite")
        assert done.code == 2, path
        assert "working folder" in done.err or "is not empty" in done.err


def test_no_message_is_as_long_as_the_cell_that_it_is_about(table: Path, tmp_path: Path) -> None:
    cell = "9" * 300_000
    odd = {
        "number.csv": f"a,b,label\n{cell},1,a\n" + ROWS.partition("\n")[2],
        "text.csv": f"a,b,label\nx{cell},1,a\n" + ROWS.partition("\n")[2],
        "header.csv": f"{cell},b,label\n1,2,a\n",
        "lines.jsonl": f'{{"signal": [{cell}, 1], "label": "a"}}\n{{"signal": "{cell}"}}\n{{"{cell}": 1}}\n',
    }
    for name, content in odd.items():
        path = tmp_path / name
        path.write_text(content)
        for words in (("learn", table, path, "--dry-run"), ("predict", table, path), ("follow", table, path)):
            for done in (edgecl(*words), edgecl(*words, "--json")):
                assert done.code in ((0, 3) if name in ("number.csv", "text.csv") else (4,)), (words, done.err[-300:])
                assert len(done.err) < 10_000, words
                assert max(map(len, done.out.splitlines()), default=0) < 20_000, words


def test_skips_that_are_counted_alone_are_in_the_warning(capsys: pytest.CaptureFixture[str]) -> None:
    skips = ListedSkips(limit=10)
    skips.extend(Skip(f"row {row}", "not finite: NaN") for row in range(25))
    warn.skips(skips.whole("the stream"))
    err = capsys.readouterr().err
    assert "skipped 25: not finite" in err
    assert "and 22 more, of which --json lists some" in err


def test_what_is_written_is_called_out_in_every_command_and_output_too(table: Path, tmp_path: Path) -> None:
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)  # type: ignore[attr-defined]
        spelled = [one.opts for one in all_options(command) if {"-o", "--out", "--output"} & set(one.opts)]
        assert all(one == ["-o", "--out"] for one in spelled if name != "export"), name
    for spelling in ("--out", "--output", "-o"):
        out = tmp_path / f"written{spelling}"
        for words in (
            ("share", table, spelling, f"{out}.share", "--at-least", 1),
            ("backup", table, spelling, f"{out}.backup"),
            ("report", table, spelling, f"{out}.html"),
            (
                "export",
                "identity",
                "--columns",
                "a,b",
                f"{spelling}={out}.onnx" if "--" in spelling else f"-o{out}.onnx",
            ),
        ):
            done = edgecl(*words)
            assert done.code == 0, (words, done.err)
    assert len(list(tmp_path.glob("written*"))) == 12


def test_a_hyphen_is_no_file_to_write(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(one.name for one in tmp_path.iterdir())
    for command in (("backup", table), ("share", table), ("report", table)):
        done = edgecl(*command, "-o", "-")
        assert (done.code, "'-' is stdout elsewhere, and no file here" in done.err) == (2, True), done
    assert sorted(one.name for one in tmp_path.iterdir()) == before
    assert edgecl("backup", table, "-o", "./-").code == 0
    assert (tmp_path / "-").is_file()
