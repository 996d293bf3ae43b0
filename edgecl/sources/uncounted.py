"""Sound of a WAV file that its header does not count: loaded for the few files that go on after their sound."""

from __future__ import annotations

import mmap

from edgecl.sources.samples import UnusableError
from edgecl.sources.sound import SHORTEST_S, WAV_MARKS, next_chunk

REPAIR = "ffmpeg -ignore_length 1 -i FILE FILE.wav"
SHARE = 0.1  # of the sound, from which on what follows is worth a word


def require_no_more_sound(content: bytes | mmap.mmap, end: int, length_s: float, per_second: int) -> None:
    """Refuse a file that goes on after its sound with what is of no other chunk, as after a crash of a recorder.

    Parameters
    ----------
    content
        The whole file.
    end
        Offset of the first byte after the sound.
    length_s
        Length of the sound.
    per_second
        Its bytes.

    Raises
    ------
    UnusableError
        More than a tenth of the sound, and 0.1 s, follow.
    """
    more_s = _uncounted(content, end) / per_second
    if more_s > max(SHARE * length_s, SHORTEST_S):
        raise UnusableError(
            f"bad header: it announces {length_s:.2f} s of sound, and as much as {more_s:.2f} s follow: "
            f"repair it: {REPAIR}"
        )


def _uncounted(content: bytes | mmap.mmap, end: int) -> int:
    """Return the bytes from `end` on that are of no other chunk."""
    while (start := next_chunk(content, end)) + 8 <= len(content):
        name, end = content[start : start + 4], start + 8 + int.from_bytes(content[start + 4 : start + 8], "little")
        is_chunk = name.isascii() and name.decode("ascii").isprintable() and name not in (b"data", *WAV_MARKS)
        if not is_chunk or end > len(content):
            return len(bytes(content[start:]).rstrip(b"\0"))  # zeros are what a recorder had reserved
    return 0
