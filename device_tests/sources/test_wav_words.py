"""Sound of 16 bits whose bytes are in another order than its header says."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from edgecl.demo.clips import voice_clips
from edgecl.sources.samples import UnusableError
from edgecl.sources.sound import read_wav


def words(label: str = "coffee") -> np.ndarray:
    clip = next(one.signal for one in voice_clips("new") if one.label == label)
    return np.rint(clip[:, 0] * 32767).astype("<i2")


def read(samples: bytes) -> np.ndarray:
    layout = struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
    sizes = struct.pack("<I", 36 + len(samples)), struct.pack("<I", len(samples))
    return read_wav(b"RIFF" + sizes[0] + b"WAVEfmt " + layout + b"data" + sizes[1] + samples).samples


def test_bytes_in_reversed_order_and_bytes_that_begin_one_later_are_refused() -> None:
    sound = words()
    read(sound.tobytes())
    with pytest.raises(UnusableError, match="wrong bytes: noise as it is, and sound if the bytes are swapped"):
        read(sound.astype(">i2").tobytes())
    with pytest.raises(UnusableError, match=r"wrong bytes: .* begin one later"):
        read(b"\0" + sound.tobytes()[:-1])


@pytest.mark.parametrize("kind", ["noise", "steps of noise", "tone", "click", "doubled", "silence", "short"])
def test_sound_that_only_resembles_them_is_read(kind: str) -> None:
    draw, at = np.random.default_rng(0), np.arange(16000)
    noise = draw.normal(0, 300, 16000)
    sounds = {
        "noise": noise,
        "steps of noise": np.diff(noise),
        "tone": 900 * np.sin(2 * np.pi * 3000 * at / 16000),
        "click": np.where(at == 7001, 9000, draw.integers(0, 2, 16000)),
        "doubled": np.repeat(words(), 2),  # 8 kHz made 16
        "silence": 0 * noise,
        "short": words()[:1000].byteswap().view("<i2"),
    }
    assert len(read(np.rint(sounds[kind]).astype("<i2").tobytes()))


@pytest.mark.parametrize("share", [0.1, 0.2, 0.25, 0.3, 0.4, 0.4125, 0.45, 0.49])
@pytest.mark.parametrize("level", [30, 900, 30000])
def test_beeps_and_hiss_of_any_height_are_read(share: float, level: float) -> None:
    at, draw = np.arange(16000), np.random.default_rng(1)
    tone = level * np.sin(2 * np.pi * share * at)
    hiss = np.fft.rfft(draw.standard_normal(16000))
    hiss[np.abs(np.arange(len(hiss)) / 16000 - share) > 0.05] = 0
    band = np.fft.irfft(hiss, 16000)
    for sound in (
        tone,
        np.where(at // 2000 % 2, tone, 0),
        np.clip(2 * tone, -level, level),
        level / 4 * band / band.std(),
    ):
        assert len(read(np.rint(np.clip(sound, -32768, 32767)).astype("<i2").tobytes()))
