"""A lesson that a listener's resident process teaches: the same answers as without, and no numpy in the caller."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..support.commands import clips, command_line, edgecl, process, voice_extractor, write_clips

pytestmark = pytest.mark.native("waits for processes in real time")
LOADED = """
import atexit, sys
from edgecl.cli.__main__ import run
atexit.register(lambda: print(sorted({"numpy", "onnxruntime"} & set(sys.modules)), file=sys.stderr))
run()
"""


@dataclass
class Kitchen:
    """A listener with a store and a socket, and clips of three words."""

    store: Path
    socket: Path
    clips: Path
    listener: subprocess.Popen[bytes]


@pytest.fixture
def kitchen(tmp_path: Path) -> Iterator[Kitchen]:
    store, control = tmp_path / "kitchen", tmp_path / "control"
    assert edgecl("init", store, "--extractor", voice_extractor()).code == 0
    lesson = write_clips(tmp_path / "clips", clips("teach", ["yes", "no"], most=6))
    assert edgecl("learn", store, lesson, "--no-via").code == 0
    write_clips(tmp_path / "more", clips("teach", ["up"], most=6))
    with subprocess.Popen(
        command_line("listen", store, "--control", control), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as listener:
        until = time.monotonic() + 60
        while not (store / "listener.json").exists():
            assert listener.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        yield Kitchen(store, control, tmp_path, listener)
        listener.terminate()
        listener.communicate(timeout=60)
    assert not (store / "listener.json").exists()
    assert not control.exists()


def test_a_lesson_by_a_listener_answers_as_one_without(kitchen: Kitchen) -> None:
    store, more = kitchen.store, kitchen.clips / "more"
    alone = process("learn", store, more, "--json", "--dry-run", "--no-via")
    given = process("learn", "kitchen", "more", "--json", "--dry-run", "--via", "control", cwd=kitchen.clips)
    assert (given.code, given.err) == (alone.code, alone.err) == (0, "")
    assert given.value.keys() == alone.value.keys()
    assert [given.value[one] for one in ("accepted", "classes", "new_classes")] == [
        alone.value[one] for one in ("accepted", "classes", "new_classes")
    ]
    missing = process("learn", store, "/missing", "--json", "--via", kitchen.socket)
    assert (missing.code, missing.value["exit_code"]) == (4, 4)
    wrong = process("learn", store, more, "--via", kitchen.socket, "--strategy", "none")
    assert (wrong.code, "--strategy" in wrong.err) == (2, True)


def test_a_listener_on_the_store_is_found_and_numpy_stays_out(kitchen: Kitchen) -> None:
    command = [sys.executable, "-c", LOADED, "learn", str(kitchen.store), str(kitchen.clips / "more"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["new_classes"] == ["up"]
    assert done.stderr.splitlines()[-1] == "[]"
    assert edgecl("status", kitchen.store, "--json").value["revision"] == 3


def test_a_lesson_asked_for_at_the_socket_is_not_handed_back_to_it(kitchen: Kitchen) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(60)
        one.connect(str(kitchen.socket))
        one.sendall(json.dumps({"learn": str(kitchen.clips / "more")}).encode() + b"\n")
        with one.makefile() as answers:
            assert json.loads(answers.readline())["new_classes"] == ["up"]


def test_another_store_and_a_dead_socket_are_refused_where_they_were_named(kitchen: Kitchen) -> None:
    other = kitchen.clips / "other"
    assert edgecl("init", other, "--extractor", voice_extractor()).code == 0
    more = kitchen.clips / "more"
    refused = process("learn", other, more, "--via", kitchen.socket)
    assert (refused.code, str(kitchen.store) in refused.err, "--via" in refused.err) == (2, True, True)
    assert process("learn", other, more, "--via", kitchen.clips / "none").code == 2
    (other / "listener.json").write_text(json.dumps({"control": str(kitchen.socket)}))  # as in a copy of a store
    assert process("learn", other, more, "--json").value["new_classes"] == ["up"]


def test_the_process_that_waits_ends_with_a_killed_listener(kitchen: Kitchen) -> None:
    children = Path(f"/proc/{kitchen.listener.pid}/task/{kitchen.listener.pid}/children").read_text().split()
    assert len(children) == 1
    kitchen.listener.kill()
    kitchen.listener.wait(timeout=60)
    until = time.monotonic() + 30
    while Path(f"/proc/{children[0]}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{children[0]}").exists()
    assert process("learn", kitchen.store, kitchen.clips / "more", "--json").code == 0  # alone again
    (kitchen.store / "listener.json").unlink()
    kitchen.socket.unlink()
