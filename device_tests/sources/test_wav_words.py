"""Sound of 16 bits whose header says another order of bytes, or other channels, than it has."""

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


def read(samples: bytes, channels: int = 1) -> np.ndarray:
    layout = struct.pack("<IHHIIHH", 16, 1, channels, 16000, 32000 * channels, 2 * channels, 16)
    sizes = struct.pack("<I", 36 + len(samples)), struct.pack("<I", len(samples))
    return read_wav(b"RIFF" + sizes[0] + b"WAVEfmt " + layout + b"data" + sizes[1] + samples).samples


def test_bytes_in_reversed_order_and_bytes_that_begin_one_later_are_refused() -> None:
    sound = words()
    read(sound.tobytes())
    with pytest.raises(UnusableError, match="wrong bytes: noise as it is, and sound if the bytes are swapped"):
        read(sound.astype(">i2").tobytes())
    with pytest.raises(UnusableError, match=r"wrong bytes: .* begin one later"):
        read(b"\0" + sound.tobytes()[:-1])


def test_two_channels_that_the_header_calls_one_are_refused() -> None:
    sound = words()
    for other in (np.zeros_like(sound), words("lights off")[: len(sound)]):
        both = np.stack([sound, other], axis=1)
        read(both.tobytes(), channels=2)
        with pytest.raises(UnusableError, match="wrong channels: the header states one"):
            read(both.tobytes())


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
