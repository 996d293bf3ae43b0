"""Raw PCM on stdin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecl.live.inputs.pcm import Layout, hint_of

from ...support.commands import RATE, edgecl, noise, write_wav
from ...support.listening import pcm, piped, said

pytestmark = pytest.mark.native("teaches and follows streams in real time")


def signal_of(event: dict[str, object]) -> dict[str, object]:
    """An event without what differs from run to run."""
    return {name: value for name, value in event.items() if name not in ("wall", "id")}


def test_raw_pcm_on_stdin_is_heard_like_the_file(kitchen: Path, tmp_path: Path) -> None:
    sound = said("yes", "left", "stop")
    from_file = edgecl("listen", kitchen, write_wav(tmp_path / "heard.wav", sound), "--json").lines
    done = piped(kitchen, pcm(sound) + b"\x01")
    assert (done.code, list(map(signal_of, done.lines))) == (0, list(map(signal_of, from_file)))
    assert "1 byte of a torn sample" in done.err


def test_another_rate_is_heard_where_it_is_stated(kitchen: Path) -> None:
    soxr = pytest.importorskip("soxr")
    done = piped(kitchen, pcm(soxr.resample(said("yes", "left"), RATE, 44_100)), "--rate", 44_100)
    assert [one["label"] for one in done.lines] == ["yes", "left"]


def test_a_wav_file_on_stdin_is_refused_with_advice(kitchen: Path, tmp_path: Path) -> None:
    done = piped(kitchen, write_wav(tmp_path / "heard.wav", said("yes")).read_bytes())
    assert done.code == 4
    assert "arecord -t raw" in done.err


def test_an_empty_input_is_an_error(kitchen: Path) -> None:
    done = piped(kitchen, b"")
    assert done.code == 4
    assert "stdin is empty: did the program that should write to it fail?" in done.err


@pytest.mark.parametrize("name", ["S24_3LE", "S24_LE", "S32_LE", "FLOAT_LE"])
def test_other_formats_are_heard_where_they_are_stated(kitchen: Path, name: str) -> None:
    sound = said("yes", "left").astype(np.float64)
    words = (sound.clip(-1, 1) * (2**31 - 1)).astype("<i4")
    content = {
        "S24_3LE": words.view("u1").reshape(-1, 4)[:, 1:].tobytes(),
        "S24_LE": (words >> 8).astype("<i4").tobytes(),
        "S32_LE": words.tobytes(),
        "FLOAT_LE": sound.astype("<f4").tobytes(),
    }[name]
    assert [one["label"] for one in piped(kitchen, content, "--format", name).lines] == ["yes", "left"]


def test_stereo_is_heard_where_it_is_stated_and_hinted_at_where_not(kitchen: Path) -> None:
    sound = said("yes", "left")
    stereo = pcm(np.stack([sound, 0.9 * sound], axis=1))
    assert [one["label"] for one in piped(kitchen, stereo, "--channels", 2).lines] == ["yes", "left"]
    assert "--format S16_LE --channels 2" in piped(kitchen, stereo).err


def test_channels_that_cancel_each_other_are_hinted_at(kitchen: Path) -> None:
    sound = said("yes", "left")
    inverted = pcm(np.stack([sound, -sound], axis=1))
    assert "--channel left" in piped(kitchen, inverted, "--channels", 2).err
    done = piped(kitchen, inverted, "--channels", 2, "--channel", "left")
    assert [one["label"] for one in done.lines] == ["yes", "left"]


def test_wide_samples_are_hinted_at(kitchen: Path) -> None:
    words = (said("yes").astype(np.float64).clip(-1, 1) * (2**31 - 1)).astype("<i4")
    assert "--format S32_LE --channels 1" in piped(kitchen, words.tobytes()).err


def test_sound_of_one_channel_gives_no_hint(kitchen: Path) -> None:
    assert "sounds like" not in piped(kitchen, pcm(said("yes", "left", "stop"))).err
    assert "sounds like" not in piped(kitchen, pcm(0.1 * noise(3))).err


@pytest.mark.parametrize(
    ("name", "channels"),
    [("S24_3LE", 1), ("S24_LE", 1), ("S24_LE", 2), ("S32_LE", 1), ("S32_LE", 2), ("FLOAT_LE", 1), ("FLOAT_LE", 2)],
)
@pytest.mark.parametrize("level", [0.002, 0.1])
def test_every_format_is_hinted_at_in_a_quiet_room_and_in_sound(name: str, channels: int, level: float) -> None:
    room = np.random.default_rng(0).normal(size=3 * RATE) * 0.002
    sound = room if level < 0.01 else room + level * np.convolve(room, np.ones(40), "same") / 0.01
    words = (np.repeat(sound, channels).clip(-1, 1) * (2**31 - 1)).astype("<i4")
    content = {
        "S24_3LE": words.view("u1").reshape(-1, 4)[:, 1:].tobytes(),
        "S24_LE": (words >> 8).astype("<i4").tobytes(),
        "S32_LE": words.tobytes(),
        "FLOAT_LE": np.repeat(sound, channels).astype("<f4").tobytes(),
    }[name]
    assert f"(--format {name} --channels {channels})" in hint_of(content, Layout())


def test_a_quiet_room_in_the_format_that_is_read_gives_no_hint() -> None:
    room = np.random.default_rng(0).normal(size=3 * RATE) * 0.002
    assert hint_of((room * 2**15).astype("<i2").tobytes(), Layout()) == ""
    assert hint_of(((room + 1) * 127).astype("u1").tobytes(), Layout()) == ""
