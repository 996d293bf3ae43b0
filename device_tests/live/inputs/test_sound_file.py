"""A sound file as a stream."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np
import pytest

from ...support.commands import RATE, edgecl, write_wav
from ...support.listening import said

pytestmark = pytest.mark.native("hears whole files")


def test_a_file_is_played_at_its_own_speed_where_that_is_asked_for(kitchen: Path, tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "heard.wav", said("yes", pause_s=0.3))
    started = time.monotonic()
    assert len(edgecl("listen", kitchen, sound, "--json", "--realtime").lines) == 1
    assert time.monotonic() - started >= len(said("yes", pause_s=0.3)) / RATE


def test_a_float_file_with_nan_is_heard_to_its_end(kitchen: Path, tmp_path: Path) -> None:
    sound = said("yes", pause_s=0.5).astype("<f4").reshape(-1)
    sound[100:103] = np.nan, np.inf, -3e38
    data = sound.tobytes()
    header = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 3, 1, RATE, 4 * RATE, 4, 32)
    path = tmp_path / "heard.wav"
    path.write_bytes(header + struct.pack("<4sI", b"data", len(data)) + data)
    done = edgecl("listen", kitchen, path, "--json")
    assert done.code == 0
    assert [one["label"] for one in done.lines] == ["yes"]


@pytest.mark.parametrize("name", ["heard.wav", "heard.flac"])
def test_channels_that_cancel_each_other_are_named_and_one_can_be_chosen(
    kitchen: Path, tmp_path: Path, name: str
) -> None:
    soundfile = pytest.importorskip("soundfile")
    sound = said("yes", pause_s=0.5).reshape(-1)
    soundfile.write(tmp_path / name, np.stack([sound, -sound], axis=1), RATE)
    done = edgecl("listen", kitchen, tmp_path / name, "--json")
    assert done.lines == []
    assert f"{name} holds channels that cancel each other when mixed: choose one of them" in done.err
    chosen = edgecl("listen", kitchen, tmp_path / name, "--json", "--channel", "right")
    assert [one["label"] for one in chosen.lines] == ["yes"]
    assert "cancel" not in chosen.err
    none = edgecl("listen", kitchen, tmp_path / name, "--channel", "3")
    assert none.code == 4
    assert "has 2 channels: 3 is none (--channel left)" in none.err


def test_a_file_with_one_silent_channel_is_heard_without_a_word(kitchen: Path, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    sound = said("yes", pause_s=0.5).reshape(-1)
    soundfile.write(tmp_path / "heard.wav", np.stack([sound, 0 * sound], axis=1), RATE)
    done = edgecl("listen", kitchen, tmp_path / "heard.wav", "--json")
    assert [one["label"] for one in done.lines] == ["yes"]
    assert "cancel" not in done.err
