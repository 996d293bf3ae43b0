"""Sound of a WAV file that its header does not count: loaded for the few files that go on after their sound."""

from __future__ import annotations

import mmap

from edgecl.sources.samples import UnusableError
from edgecl.sources.sound import WAV_MARKS, next_chunk

REPAIR = "ffmpeg -ignore_length 1 -i FILE FILE.wav"
BLOCK = 1 << 16
TAGS = (b"ID3", b"TAG", b"APETAGEX")  # what players append, which is no chunk
# chunks that may stand last, of which a part is there
KNOWN = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"cue ", b"fact", b"smpl", b"iXML", b"_PMX", b"JUNK", b"PAD ", b"fmt ")


def require_no_more_sound(content: bytes | mmap.mmap, end: int, size: int, *, most: float, per_second: int) -> None:
    """Refuse a file that goes on after its sound with what is of no other chunk, as after a crash of a recorder.

    Parameters
    ----------
    content
        The whole file.
    end
        Offset of the first byte after the sound.
    size
        Bytes of the sound.
    most
        Bytes that may follow.
    per_second
        Bytes of a second.

    Raises
    ------
    UnusableError
        More of them follow.
    """
    more = _uncounted(content, end)
    if more > most:
        raise UnusableError(
            f"bad header: it announces {size / per_second:.2f} s of sound, and as much as {more / per_second:.2f} s "
            f"follow: repair it: {REPAIR}"
        )


def _uncounted(content: bytes | mmap.mmap, end: int) -> int:
    """Return the bytes from `end` on that are of no other chunk and no tag, without zeros, which are only reserved."""
    while (start := next_chunk(content, end)) + 8 <= len(content):
        name, end = content[start : start + 4], start + 8 + int.from_bytes(content[start + 4 : start + 8], "little")
        if name in KNOWN and end > len(content):
            return 0
        is_chunk = name.isascii() and name.decode("ascii").isprintable() and name not in (b"data", *WAV_MARKS)
        if not is_chunk or end > len(content):
            return 0 if content[start : start + 8].startswith(TAGS) else _without_zeros(content, start) - start
    return 0


def _without_zeros(content: bytes | mmap.mmap, start: int) -> int:
    """Return where the zeros at the end begin, from `start` on; the file may be longer than the memory."""
    end = len(content)
    while end > start:
        block = content[max(start, end - BLOCK) : end].rstrip(b"\0")
        if block:
            return max(start, end - BLOCK) + len(block)
        end = max(start, end - BLOCK)
    return start
