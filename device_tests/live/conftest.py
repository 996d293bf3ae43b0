"""A store that is listened with."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.commands import clips, edgecl, noise, voice_extractor, write_clips, write_wav
from ..support.listening import WORDS


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that knows four words."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("live")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice").code == 0
    lesson = write_clips(folder / "clips", clips("teach", WORDS, most=8))
    for number in range(8):
        write_wav(lesson / "_background_noise_" / f"{number}.wav", noise(seed=number) * 0.1 ** (number % 3))
    assert edgecl("learn", folder / "kitchen", lesson).code == 0
    return folder / "kitchen"
