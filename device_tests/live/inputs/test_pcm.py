"""Raw PCM on stdin."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...support.commands import RATE, edgecl, write_wav
from ...support.listening import pcm, piped, said


def test_raw_pcm_on_stdin_is_heard_like_the_file(kitchen: Path, tmp_path: Path) -> None:
    sound = said("yes", "left", "stop")
    from_file = edgecl("listen", kitchen, write_wav(tmp_path / "heard.wav", sound), "--json").lines
    done = piped(kitchen, pcm(sound) + b"\x01")
    assert (done.code, done.lines) == (0, from_file)
    assert "1 byte of a torn sample" in done.err


def test_another_rate_is_heard_where_it_is_stated(kitchen: Path) -> None:
    soxr = pytest.importorskip("soxr")
    done = piped(kitchen, pcm(soxr.resample(said("yes", "left"), RATE, 44_100)), "--rate", 44_100)
    assert [one["label"] for one in done.lines] == ["yes", "left"]


def test_a_wav_file_on_stdin_is_refused_with_advice(kitchen: Path, tmp_path: Path) -> None:
    done = piped(kitchen, write_wav(tmp_path / "heard.wav", said("yes")).read_bytes())
    assert done.code == 4
    assert "arecord -t raw" in done.err


def test_an_empty_input_ends_cleanly(kitchen: Path) -> None:
    done = piped(kitchen, b"")
    assert (done.code, done.out) == (0, "")
    assert "heard 0.0 s, 0 events" in done.err
    assert "revision 2" in done.err
