"""The socket by which a lesson is asked for while a store is listened to."""

from __future__ import annotations

import json
import socket
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from edgecl.cli.options import EDGECL
from edgecl.errors import SettingError
from edgecl.service.control import Control
from edgecl.service.systemd import Notifier

from ..support.commands import clips, edgecl, voice_extractor, write_clips


def asked(path: Path, line: str) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(180)
        one.connect(str(path))
        one.sendall(line.encode() + b"\n")
        with one.makefile() as file:
            answer = json.loads(file.readline())
    assert isinstance(answer, dict)
    return answer


@pytest.mark.native("waits for a process in real time")
def test_a_lesson_that_is_asked_for_is_taught_by_a_process_of_its_own(tmp_path: Path) -> None:
    store, path = tmp_path / "kitchen", tmp_path / "control"
    assert edgecl("init", store, "--extractor", voice_extractor()).code == 0
    lesson = write_clips(tmp_path / "clips", clips("teach", ["yes", "no"], most=6))
    with Control(path, store, command=EDGECL):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        report = asked(path, json.dumps({"learn": str(lesson)}))
        named = asked(path, json.dumps({"learn": str(lesson / "yes"), "label": "yes"}))
        missing = asked(path, json.dumps({"learn": str(tmp_path / "missing")}))
    assert (report["exit_code"], report["new_classes"]) == (0, ["no", "yes"])
    assert named["samples"] == 6
    assert (missing["exit_code"], "does not exist" in missing["error"]) == (4, True)
    assert not path.exists()


@pytest.mark.parametrize(
    "line",
    ["", "nonsense", "[]", '{"learn": "relative"}', '{"learn": 1}', '{"learn": "/x", "force": true}', "[" * 9000],
)
def test_what_is_no_request_is_answered_with_what_is(tmp_path: Path, line: str) -> None:
    with Control(tmp_path / "control", tmp_path, command=EDGECL):
        assert "wanted a line" in asked(tmp_path / "control", line)["error"]


def test_another_user_is_refused(tmp_path: Path) -> None:
    with (
        Control(tmp_path / "control", tmp_path, command=EDGECL),
        mock.patch("edgecl.service.control._CREDENTIALS") as credentials,
    ):
        credentials.size = 12
        credentials.unpack.return_value = (1, 12345, 1)
        assert "does not own" in asked(tmp_path / "control", '{"learn": "/x"}')["error"]


def test_a_socket_that_a_killed_listener_left_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.bind(str(path))
    with Control(path, tmp_path, command=EDGECL):
        assert "error" in asked(path, "")


def test_a_path_that_is_taken_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with Control(path, tmp_path, command=EDGECL):
        with pytest.raises(SettingError, match="another listener"), Control(path, tmp_path, command=EDGECL):
            pass
        assert "error" in asked(path, "")
    path.write_text("")
    with pytest.raises(SettingError, match="no socket"), Control(path, tmp_path, command=EDGECL):
        pass
    with (
        pytest.raises(SettingError, match="cannot be made"),
        Control(tmp_path / "no" / "folder", tmp_path, command=EDGECL),
    ):
        pass


@pytest.mark.native("waits for a process in real time")
def test_what_a_lesson_asks_is_answered_by_the_socket(tmp_path: Path) -> None:
    store, path = tmp_path / "kitchen", tmp_path / "control"
    assert edgecl("init", store, "--extractor", voice_extractor()).code == 0
    words = ["yes", "no", "up", "down", "stop"]
    assert edgecl("learn", store, write_clips(tmp_path / "clips", clips("teach", words, most=14))).code == 0
    again = write_clips(tmp_path / "again", clips("teach", ["yes"])[14:19])
    with Control(path, store, command=EDGECL):
        report = asked(path, json.dumps({"learn": str(again / "yes"), "label": "yeah"}))
        answer = asked(path, json.dumps({"answer": "yeah", "same_as": "yes"}))
        nothing = asked(path, json.dumps({"answer": "yeah", "distinct": True}))
    assert (report["exit_code"], report["verdict"], report["asks"][0]["like"]) == (3, "asks", "yes")
    assert (answer["exit_code"], answer["samples"]) == (0, 5)
    assert (nothing["exit_code"], "waits for an answer" in nothing["error"]) == (2, True)


@pytest.mark.parametrize(
    "line",
    ['{"learn":"/a\\u0000b"}', '{"learn":"/a\\ud800"}', '{"learn":"/a","label":"\\ud800"}', '{"answer":"a\\u0000"}'],
)
def test_nothing_that_a_client_sends_ends_the_thread(tmp_path: Path, line: str) -> None:
    with Control(tmp_path / "control", tmp_path, command=EDGECL) as control:
        assert "error" in asked(tmp_path / "control", line)
        assert "wanted a line" in asked(tmp_path / "control", '{"learn":"relative"}')["error"]
        with mock.patch.object(Control, "_line_of", side_effect=RuntimeError("a mistake of ours")):
            assert "could not be answered" in asked(tmp_path / "control", "{}")["error"]
        assert control.is_alive()
    assert not control.is_alive()


def test_a_client_that_drips_bytes_keeps_others_waiting_for_one_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecl.service.control.PATIENCE_S", 0.6)
    path, is_over = tmp_path / "control", threading.Event()
    with Control(path, tmp_path, command=EDGECL), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as slow:
        slow.connect(str(path))

        def drip() -> None:
            with suppress(OSError):
                while not is_over.wait(0.1):
                    slow.send(b" ")

        dripping = threading.Thread(target=drip)
        dripping.start()
        started = time.monotonic()
        assert "wanted a line" in asked(path, '{"learn":"relative"}')["error"]
        assert time.monotonic() - started < 15
        is_over.set()
        dripping.join()


def test_a_client_that_sends_nothing_does_not_delay_the_end(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        with Control(path, tmp_path, command=EDGECL):
            silent.connect(str(path))
            time.sleep(0.3)
            started = time.monotonic()
        assert time.monotonic() - started < 15


def test_a_path_that_is_another_listeners_by_now_is_not_deleted(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with Control(path, tmp_path, command=EDGECL):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


def test_the_watchdog_is_fed_only_while_requests_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2")
    notifier, sent = Notifier(), list[str]()
    monkeypatch.setattr(notifier, "send", sent.append)
    is_alive = [True]
    notifier.watch(lambda: is_alive[0])
    notifier.alive()
    assert sent == ["WATCHDOG=1"]
    is_alive[0] = False
    time.sleep(0.01)
    notifier.alive()
    assert sent == ["WATCHDOG=1"]
