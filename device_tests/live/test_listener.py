"""`edgecl listen`: a stream to events, on clips that are put one after another."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from ..support.commands import edgecl, voice_extractor, write_wav
from ..support.listening import listening, pcm, piped, said

pytestmark = pytest.mark.native("follows streams in real time")


def test_words_in_a_recording_are_heard_once_each_where_they_are(kitchen: Path, tmp_path: Path) -> None:
    done = edgecl("listen", kitchen, write_wav(tmp_path / "heard.wav", said("yes", "left", "stop", "right")), "--json")
    assert done.code == 0
    assert [one["label"] for one in done.lines] == ["yes", "left", "stop", "right"]
    for one in done.lines:
        assert set(one) == {"time", "label", "confidence", "novelty", "span", "wall", "revision", "id"}
        assert one["span"][0] < one["time"] <= one["span"][1]
    assert [one["time"] for one in done.lines] == sorted(one["time"] for one in done.lines)
    assert "4 events" in done.err


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (("x.wav", "--microphone"), "not both"),
        (("x.wav", "--rate", 16_000), "raw PCM on stdin"),
        (("--realtime",), "plays a FILE"),
        (("x.wav", "--novelty", 0.4), "add --inbox"),
        (("x.wav", "--patience", 0), "range"),
    ],
)
def test_options_that_contradict_are_refused(kitchen: Path, options: tuple[object, ...], advice: str) -> None:
    done = edgecl("listen", kitchen, *options)
    assert done.code == 2
    assert advice in done.err


def test_a_threshold_that_nothing_reaches_hears_nothing(kitchen: Path, tmp_path: Path) -> None:
    done = edgecl("listen", kitchen, write_wav(tmp_path / "heard.wav", said("yes")), "--json", "--threshold", 1)
    assert (done.code, done.lines) == (0, [])


def test_a_word_at_the_very_edge_of_a_recording_is_heard(kitchen: Path, tmp_path: Path) -> None:
    done = edgecl("listen", kitchen, write_wav(tmp_path / "heard.wav", said("yes", pause_s=0.02)), "--json")
    assert [one["label"] for one in done.lines] == ["yes"]
    assert done.lines[0]["span"][0] >= 0


def test_a_store_that_knows_nothing_hears_nothing_and_says_so(tmp_path: Path) -> None:
    voice_extractor()
    assert edgecl("init", tmp_path / "empty", "--extractor", "voice").code == 0
    done = edgecl("listen", tmp_path / "empty", write_wav(tmp_path / "heard.wav", said("yes")), "--json")
    assert (done.code, done.lines) == (0, [])
    assert "has learnt nothing yet: `edgecl learn" in done.err


@pytest.mark.native("waits for a process in real time")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_its_summary(kitchen: Path, number: int) -> None:
    with listening(kitchen) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(pcm(said("yes")))
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["label"] == "yes"
        child.send_signal(number)
        _, err = child.communicate(timeout=20)
        assert child.returncode == 0
    assert "1 event" in err.decode()


@pytest.mark.native("waits for a process in real time")
def test_a_reader_who_leaves_ends_it_cleanly(kitchen: Path) -> None:
    with listening(kitchen) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdin.write(pcm(said("yes")))
        child.stdin.flush()
        child.stdout.readline()
        child.stdout.close()
        with suppress(BrokenPipeError):
            child.stdin.write(pcm(said("stop", "left")))
            child.stdin.close()
        err = child.stderr.read().decode()
        assert child.wait(timeout=20) == 0
    assert "Traceback" not in err
    assert "heard" in err


@pytest.mark.native("waits for a process in real time")
def test_systemd_is_told_that_it_is_ready_alive_and_stopping(kitchen: Path, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(20)
        piped(kitchen, pcm(said("yes")), env={**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"})
        told = [manager.recv(64).decode() for _ in range(2)]
        while told[-1] != "STOPPING=1":
            told.append(manager.recv(64).decode())
    assert told[0] == "READY=1"
    assert set(told[1:-1]) == {"WATCHDOG=1"}
