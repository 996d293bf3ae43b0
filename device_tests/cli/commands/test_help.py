"""`edgecl help`: the documents that ship with edgecl."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import edgecl as package
from device_tests.support.commands import command_line, edgecl
from edgecl.cli.commands import help as command

DOCUMENTS = Path(package.__file__).parent / "docs"


def test_help_lists_every_document_with_its_heading():
    done = edgecl("help")
    assert done.code == 0
    names = [path.stem for path in DOCUMENTS.glob("*.md")]
    assert len(names) >= 8
    for name in names:
        heading = (DOCUMENTS / f"{name}.md").read_text().splitlines()[0].removeprefix("# ")
        assert any(line.split(maxsplit=1) == [name, heading] for line in done.out.splitlines())


def test_a_topic_is_printed_as_it_is_written():
    for topic in command.topics():
        done = edgecl("help", topic)
        assert (done.code, done.err) == (0, "")
        assert done.out == (DOCUMENTS / f"{topic}.md").read_text()


def test_an_unknown_topic_lists_the_topics():
    done = edgecl("help", "pyhton")
    assert (done.code, done.out) == (2, "")
    assert "no topic 'pyhton'" in done.err
    assert all(topic in done.err for topic in command.topics())


def test_the_name_of_a_command_leads_to_its_own_help():
    assert "`edgecl learn --help`" in edgecl("help", "learn").err
    assert "--help`" not in edgecl("help", "pyhton").err


def test_a_topic_is_not_a_path():
    assert edgecl("help", "../cli/app").code == 2


def test_programs_get_json():
    assert edgecl("help", "--json").value["topics"]["data"] == "Data formats"
    assert edgecl("help", "data", "--json").value["text"] == (DOCUMENTS / "data.md").read_text()
    failed = edgecl("help", "pyhton", "--json")
    assert (failed.code, failed.value["exit_code"]) == (2, 2)


def test_a_terminal_gets_the_pager(tmp_path):
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho PAGED; cat\n")
    pager.chmod(0o755)
    terminal, end = pty.openpty()
    environ = {**os.environ, "PAGER": str(pager), "TERM": "xterm"}
    done = subprocess.Popen(command_line("help", "store"), stdin=end, stdout=end, stderr=end, env=environ)
    os.close(end)
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    assert done.wait(timeout=60) == 0
    assert shown.startswith(b"PAGED")
    assert (DOCUMENTS / "store.md").read_text().splitlines()[0].encode() in shown
