"""`edgecl listen`: input that does not come, what an event carries, and why there was none."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ...support.commands import clips, command_line, edgecl, process, voice_extractor, write_clips
from ...support.listening import said

pytestmark = pytest.mark.native("embeds clips")


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    voice_extractor()
    folder = tmp_path_factory.mktemp("listen")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice").code == 0
    words = write_clips(folder / "clips", clips("teach", ["yes", "no", "left"], most=8))
    assert edgecl("learn", folder / "kitchen", words).code == 0
    return folder / "kitchen"


@pytest.fixture(scope="module")
def evening() -> bytes:
    """Raw PCM: a word, a pause of hiss, a word."""
    hiss = np.random.default_rng(0).standard_normal(32000) * 20
    words = said("yes", "left", pause_s=1.5) * 32767
    return np.concatenate([hiss, words, hiss]).astype("<i2").tobytes()


def test_a_pipe_of_which_nothing_comes_is_an_error(kitchen: Path) -> None:
    done = process("listen", kitchen, stdin=subprocess.DEVNULL)
    assert done.code == 4
    assert "stdin is empty" in done.err


@pytest.mark.parametrize("command", ["listen", "record --label yes --out OUT", "predict -", "learn -"])
def test_a_closed_stdin_is_an_error(kitchen: Path, tmp_path: Path, command: str) -> None:
    verb, *more = [str(tmp_path) if one == "OUT" else one for one in command.split()]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command_line(verb, kitchen, *more)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert "stdin" in done.stderr


def test_a_closed_stdout_is_no_traceback(kitchen: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command_line("status", kitchen)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("rate", ["1e20", "1", "5", "999"])
def test_a_rate_that_is_none_of_sound_is_refused(kitchen: Path, rate: str) -> None:
    done = process("listen", kitchen, "--rate", rate, input="\0" * 4000, timeout=60)
    assert done.code == 2
    assert "--rate" in done.err


def test_a_threshold_is_a_share(kitchen: Path) -> None:
    assert edgecl("listen", kitchen, "--threshold", "50").code == 2


def listened(kitchen: Path, evening: bytes, *options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command_line("listen", kitchen, "--json", *options), input=evening, capture_output=True, check=True
    )


def test_an_event_carries_wall_time_revision_and_id(kitchen: Path, evening: bytes) -> None:
    import json

    before = datetime.now(UTC)
    events = [json.loads(line) for line in listened(kitchen, evening).stdout.splitlines()]
    assert events
    assert all(before.timestamp() - 1 <= datetime.fromisoformat(one["wall"]).timestamp() for one in events)
    assert {one["revision"] for one in events} == {2}
    assert len({one["id"] for one in events}) == len(events)


def test_scores_say_why_there_was_no_event(kitchen: Path, evening: bytes) -> None:
    import json

    lines = [json.loads(line) for line in listened(kitchen, evening, "--scores", "hop").stdout.splitlines()]
    looks = [one for one in lines if "reason" in one]
    events = [one for one in lines if "span" in one]
    assert len(looks) > 10 * len(events) > 0
    assert {"below its threshold", ""} <= {one["reason"] for one in looks}
    assert all(one["score"] < one["threshold"] for one in looks if one["reason"] == "below its threshold")
    changes = listened(kitchen, evening, "--scores", "change").stdout.splitlines()
    assert len(events) < len(changes) < len(lines)
    assert min(one["level_db"] for one in looks) < -50 < max(one["level_db"] for one in looks)


def test_scores_name_silence(kitchen: Path) -> None:
    done = subprocess.run(
        command_line("listen", kitchen, "--scores"), input=bytes(96000), capture_output=True, check=True
    )
    assert b"digital silence" in done.stdout


def test_movement_with_times_of_a_clock_is_shown_with_date_and_time(tmp_path: Path) -> None:
    t = np.arange(3000) / 50
    pace = np.where(t < 30, 1, 3)
    axes = [3 * np.sin(6 * t * pace), 2 * np.cos(6 * t * pace), 9.8 + np.sin(3 * t * pace), np.sin(t), np.cos(t), 0 * t]
    signal = np.stack(axes, 1) + np.random.default_rng(0).normal(size=(3000, 6)) / 10
    for name, begin in (("clock", 1_777_629_600), ("start", 0)):
        lines = [
            ",".join(f"{value:.3f}" for value in (begin + second, *row)) + f",{'walk' if second < 30 else 'run'}"
            for second, row in zip(t, signal, strict=True)
        ]
        header = "time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z,label"
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *lines]))
    store = tmp_path / "wrist"
    assert edgecl("init", store, "--extractor", "imu").code == 0
    assert edgecl("learn", store, tmp_path / "start.csv", "--force").code == 0
    clock = edgecl("listen", store, tmp_path / "clock.csv").out.splitlines()
    start = edgecl("listen", store, tmp_path / "start.csv").out.splitlines()
    assert len(clock) == len(start) == 2
    assert clock[0].startswith("2026-05-01 10:00:0")
    assert " to 2026-05-01 10:00:" in clock[0]
    assert start[0].startswith("     ")
    assert start[0].endswith(" s)")
