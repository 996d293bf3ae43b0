"""`edgecl listen` with every door open: Wyoming, MQTT and its commands, programs of the user's own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ...support.broker import SECRET, USER, Ear, Mosquitto, ear, free_port, wait_until
from ...support.commands import clips, command_line, edgecl, noise, process, voice_extractor, write_clips, write_wav

pytest.importorskip("paho.mqtt.client", reason="needs the extra [mqtt]")
pytestmark = pytest.mark.native("runs listeners in real time")
BASE = "edgecl/kitchen"


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    voice_extractor()
    folder = tmp_path_factory.mktemp("doors")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice").code == 0
    lesson = write_clips(folder / "clips", clips("teach", ["yes", "stop"], most=10))
    assert edgecl("learn", folder / "kitchen", lesson).code == 0
    return folder / "kitchen"


@pytest.fixture
def kitchen(taught: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(taught, tmp_path / "kitchen"))


@pytest.fixture
def evening(tmp_path: Path) -> Path:
    """A recording in which three words are said."""
    said = [one.signal[:, 0] for one in clips("test", ["yes"])[:3]]
    quiet = noise(1.5) * 0.002
    return write_wav(
        tmp_path / "evening.wav", np.concatenate([part for one in said for part in (quiet, one)] + [quiet])
    )


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as one:
        yield one


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Ear]:
    with ear(broker.port) as one:
        yield one


def url(port: int) -> str:
    return f"mqtt://{USER}@127.0.0.1:{port}"


def environment() -> dict[str, str]:
    return {**os.environ, "EDGECL_MQTT_PASSWORD": SECRET}


@contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A listener, which is ended by SIGTERM and has two seconds for it."""
    with subprocess.Popen(
        command_line("listen", *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as one:
        try:
            yield one
            if one.poll() is None:
                one.send_signal(signal.SIGTERM)
                started = time.monotonic()
                one.communicate(timeout=10)
                assert time.monotonic() - started < 2
                assert one.returncode == 0
        finally:
            one.kill()


def test_a_program_is_run_per_event_and_a_label_is_no_command(kitchen: Path, evening: Path, tmp_path: Path) -> None:
    note = tmp_path / "note.py"
    note.write_text(
        "import os, sys\n"
        f"file = open({str(tmp_path / 'notes')!r}, 'a')\n"
        "file.write(os.environ['EDGECL_LABEL'] + sys.stdin.read())"
    )
    done = process("listen", kitchen, evening, "--json", "--exec", f"{sys.executable} {note}")
    assert done.code == 0
    noted = (tmp_path / "notes").read_text().splitlines()
    assert [json.loads(line.removeprefix("yes")) for line in noted] == done.lines
    assert len(noted) >= 2


def test_a_program_that_fails_is_told_in_the_summary(kitchen: Path, evening: Path) -> None:
    done = process("listen", kitchen, evening, "--exec", "false")
    assert done.code == 0
    assert "--exec: 0 events dropped" in done.err
    assert "ended with exit code 1" in done.err
    missing = process("listen", kitchen, evening, "--exec", "no-such-program")
    assert (missing.code, "no such program (--exec)" in missing.err) == (2, True)
    shell = process("listen", kitchen, evening, "--exec", "cat >> notes")
    assert (shell.code, "no shell is run, and >> would be an argument" in shell.err) == (2, True)


def test_events_reach_a_broker(kitchen: Path, evening: Path, broker: Mosquitto, listener: Ear) -> None:
    command = command_line("listen", kitchen, evening, "--realtime", "--json", "--mqtt", url(broker.port))
    done = subprocess.run(command, capture_output=True, env=environment(), check=True)
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    wait_until(lambda: len(listener.on(f"{BASE}/event")) == len(printed))
    assert [one["time"] for one in listener.on(f"{BASE}/event")] == [one["time"] for one in printed]
    assert listener.on(f"{BASE}/availability") == ["online", "offline"]


def test_a_broker_that_hangs_delays_nothing_and_not_the_end(kitchen: Path, broker: Mosquitto) -> None:
    with running(kitchen, "--mqtt", url(broker.port), "--json") as one:
        wait_until(lambda: ready(one), within_s=30)
        broker._process.send_signal(signal.SIGSTOP)
        said = [part for clip in clips("test", ["yes"])[:2] for part in (noise(1.5) * 0.002, clip.signal[:, 0])]
        assert one.stdin is not None
        one.stdin.write((np.concatenate([*said, noise(1.5) * 0.002]) * 32767).astype("<i2").tobytes())
        one.stdin.flush()
        assert one.stdout is not None
        assert json.loads(one.stdout.readline())["label"] == "yes"
    broker._process.send_signal(signal.SIGCONT)


def ready(one: subprocess.Popen[bytes]) -> bool:
    """Whether a process has loaded its extractor: enough memory is in use."""
    status = Path(f"/proc/{one.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) > 60_000


def test_commands_by_mqtt_go_through_the_gate(kitchen: Path, evening: Path, broker: Mosquitto, listener: Ear) -> None:
    assert process("listen", kitchen, evening, "--inbox").code == 0
    with running(kitchen, "--wyoming", "0", "--mqtt", url(broker.port), "--mqtt-commands"):
        wait_until(lambda: listener.on(f"{BASE}/availability"), within_s=30)

        def answer(command: dict[str, Any]) -> dict[str, Any]:
            before = len(listener.on(f"{BASE}/verdict"))
            listener.say(f"{BASE}/command", json.dumps(command))
            wait_until(lambda: len(listener.on(f"{BASE}/verdict")) > before, within_s=60)
            return dict(listener.on(f"{BASE}/verdict")[-1])

        wrong = answer({"command": "wrong", "label": "stop", "id": "a1"})
        assert (wrong["command"], wrong["id"]) == ("wrong", "a1")
        assert wrong["outcome"] in ("accepted", "unproven", "rejected", "asks")
        assert answer({"command": "forget", "label": "yes"})["outcome"] == "error"
        assert answer({"command": "learn", "items": ["../1"], "label": "yes"})["exit_code"] == 2
        items = json.loads(process("inbox", kitchen, "--json").out)["items"]
        named = answer({"command": "learn", "items": [items[0]["id"]], "label": "--force"})
        assert named["outcome"] in ("accepted", "unproven", "rejected", "asks", "error")
        back = answer({"command": "rollback", "revision": 1})
        assert (back["outcome"], back.get("rolled_back_to")) == ("done", 1), back


def test_options_that_miss_another_are_refused(kitchen: Path) -> None:
    assert edgecl("listen", kitchen, "--mqtt-commands").code == 2
    assert edgecl("listen", kitchen, "--mqtt", "http://x", "--wyoming", "0").code == 2
    assert edgecl("listen", kitchen, "--wyoming", "nonsense").code == 2
    assert edgecl("listen", kitchen, "evening.wav", "--wyoming", "0").code == 2


def test_avahi_is_told_on_request(kitchen: Path) -> None:
    done = edgecl("listen", kitchen, "--wyoming", "0.0.0.0:10500", "--avahi")
    assert (done.code, "<port>10500</port>" in done.out) == (0, True)


def test_every_door_open_fits_into_little_memory(kitchen: Path, broker: Mosquitto) -> None:
    pytest.importorskip("wyoming", reason="needs the extra [wyoming]")
    with running(
        kitchen, "--wyoming", str(free_port()), "--mqtt", url(broker.port), "--mqtt-commands", "--exec", "true"
    ) as one:
        wait_until(lambda: ready(one), within_s=30)
        time.sleep(1)
        status = Path(f"/proc/{one.pid}/status").read_text()
        assert int(status.partition("VmHWM:")[2].split()[0]) / 1024 <= 115
