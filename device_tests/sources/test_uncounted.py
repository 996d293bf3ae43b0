"""Sound that the header of a WAV file does not count."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecl.sources.sound import read_wav

from ..support.recordings import reason_of, tone, wav


@pytest.mark.parametrize(
    "after", [b"data" + (6400).to_bytes(4, "little") + b"ab" * 3200, wav(tone(0.3)), b"\x01\x02" * 3200]
)
def test_sound_that_the_header_does_not_count_is_not_cut_off_in_silence(tmp_path: Path, after: bytes) -> None:
    assert "bad header: it announces 0.50 s of sound, and as much as" in reason_of(wav(tone(0.5)) + after, tmp_path)


@pytest.mark.parametrize(
    "after",
    [
        b"ID3\4" + bytes([7, 0]) * 4000,
        b"LIST" + (9000).to_bytes(4, "little") + b"ab" * 4000,
        b"LIST" + (4).to_bytes(4, "little") + b"INFO",
        b"TAG" + bytes(125),
        bytes(9000),
        b"id3 \0\x20\0\0" + bytes(8192),
    ],
)
def test_other_chunks_and_tags_after_the_sound_are_passed_over(after: bytes) -> None:
    assert len(read_wav(wav(tone(0.5)) + after).samples) == 8000
