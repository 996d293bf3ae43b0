"""A sound file as a stream."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np

from ...support.commands import RATE, edgecl, write_wav
from ...support.listening import said


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
