"""A sound file as a stream."""

from __future__ import annotations

import time
from pathlib import Path

from ...support.commands import RATE, edgecl, write_wav
from ...support.listening import said


def test_a_file_is_played_at_its_own_speed_where_that_is_asked_for(kitchen: Path, tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "heard.wav", said("yes", pause_s=0.3))
    started = time.monotonic()
    assert len(edgecl("listen", kitchen, sound, "--json", "--realtime").lines) == 1
    assert time.monotonic() - started >= len(said("yes", pause_s=0.3)) / RATE
