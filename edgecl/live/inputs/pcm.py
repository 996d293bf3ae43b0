"""Sound and movement as they come: raw PCM or rows from a pipe, a file played, a microphone.

Every source gives `Piece`s of a hop or so, and ends where its input does or a `Halt` is set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.live.inputs.chunks import Arrival, Halt, Piece, rate_converter, read_arrived
from edgecl.notes import Logger
from edgecl.sources.activity import roughness
from edgecl.sources.sound import CANCELLED, compression, is_wav

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract

logger = Logger(__name__)
# Bytes of a sample, by the words of arecord.
FORMATS = {"S16_LE": 2, "S24_3LE": 3, "S24_LE": 4, "S32_LE": 4, "FLOAT_LE": 4}
NOTHING_CAME = "stdin is empty: did the program that should write to it fail?"
PROBED_S = 3.0  # of sound, that the format is judged by


@dataclass(frozen=True)
class Layout:
    """How raw PCM is laid out.

    Examples
    --------
    >>> Layout(format="S32_LE", channels=2).frame_bytes
    8
    """

    format: str = "S16_LE"
    """In the words of arecord: a key of FORMATS."""
    channels: int = 1
    channel: int | None = None
    """The one that is taken, from 0; by default the mean of all."""

    @property
    def frame_bytes(self) -> int:
        return FORMATS[self.format] * self.channels

    def decode(self, content: bytes | memoryview) -> NDArray[np.float32]:
        """Return samples (n, channels) in [-1, 1) of whole frames."""
        if self.format == "FLOAT_LE":
            flat = np.nan_to_num(np.frombuffer(content, "<f4")).clip(-1, 1)
        elif self.format == "S16_LE":
            flat = np.frombuffer(content, "<i2").astype(np.float32) / np.float32(2**15)
        elif self.format == "S32_LE":
            flat = np.frombuffer(content, "<i4").astype(np.float32) / np.float32(2**31)
        else:
            flat = _of_24_bits(content, FORMATS[self.format])
        samples: NDArray[np.float32] = flat.astype(np.float32).reshape(-1, self.channels)
        return samples

    def mono(self, content: bytes | memoryview) -> NDArray[np.float32]:
        """Return one channel (n,): the chosen one or the mean."""
        samples = self.decode(content)
        if self.channel is not None:
            return samples[:, self.channel].copy()
        mean: NDArray[np.float32] = samples.mean(axis=1, dtype=np.float32)
        return mean


def _of_24_bits(content: bytes | memoryview, size: int) -> NDArray[np.float32]:
    wide = np.zeros((len(content) // size, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(content, "u1").reshape(-1, size)[:, :3]
    return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)


def raw_pcm(
    descriptor: int,
    contract: Contract,
    *,
    rate_hz: float,
    halt: Halt,
    arrival: Arrival,
    layout: Layout | None = None,
) -> Iterator[Piece]:
    """Raw PCM from a pipe or file, a hop at a time; S16_LE of one channel unless `layout` is another.

    Raises
    ------
    DataError
        It is no raw PCM but a sound file; another rate needs the extra [audio]; or the chosen channel is none.
    """
    layout = layout or Layout()
    if layout.channel is not None and layout.channel >= layout.channels:
        raise DataError(f"channel {layout.channel + 1} of {layout.channels} is none", parameter="pcm_channels")
    convert, probe = rate_converter(rate_hz, contract), _Probe(layout, rate_hz)
    frames = round(contract.hop_samples * rate_hz / contract.sample_rate_hz)
    buffer = bytearray(layout.frame_bytes * frames)
    is_first = True
    while length := _filled(descriptor, buffer, halt, arrival):
        if is_first:
            _require_raw(bytes(buffer[:12]))
        arrival.torn_bytes = length % layout.frame_bytes
        whole = memoryview(buffer)[: length - arrival.torn_bytes]
        probe.push(whole)
        yield Piece(convert(layout.mono(whole)), 0.0 if is_first else None)
        is_first = False
    if is_first and not halt.is_asked:
        raise DataError(NOTHING_CAME)
    probe.judge()


class _Probe:
    """Looks at the first seconds of a pipe, and names what it sounds like where that is something else."""

    def __init__(self, layout: Layout, rate_hz: float) -> None:
        self._layout = layout
        self._wanted = round(PROBED_S * rate_hz) * layout.frame_bytes
        self._held = bytearray()

    def push(self, content: memoryview) -> None:
        if self._wanted:
            self._held += content
            if len(self._held) >= self._wanted:
                self.judge()

    def judge(self) -> None:
        """Log what the sound looks like, once."""
        held, self._wanted = bytes(self._held), 0
        self._held = bytearray()
        hint = hint_of(held, self._layout)
        if hint:
            logger.warning("the pipe %s", hint)


def hint_of(content: bytes, layout: Layout) -> str:
    """Return what raw PCM looks like where its layout seems to be another one; nothing where it fits."""
    content = content[: len(content) // (8 * layout.frame_bytes) * 8 * layout.frame_bytes]
    if len(content) < 8000:
        return ""
    sound = layout.decode(content)
    if layout.channels > 1:
        each = np.square(sound, dtype=np.float64).mean(axis=0).max()
        mixed = np.square(sound.mean(axis=1), dtype=np.float64).mean()
        if layout.channel is None and each > 1e-7 and mixed < CANCELLED * each:
            return "holds channels that cancel each other when mixed: choose one (--channel left)"
        return ""
    if layout.format != "S16_LE":
        return ""
    name = _format_of(content)
    layout = Layout(name)
    whole = content[: len(content) // (2 * layout.frame_bytes) * 2 * layout.frame_bytes]
    pairs = layout.decode(whole).astype(np.float64).reshape(-1, 2) * 2**15
    words = pairs[pairs.any(axis=1)].reshape(-1)  # without digital silence
    if len(words) < 4000:
        return ""
    channels = 2 if _is_stereo(words) else 1
    if layout == Layout(channels=channels):
        return ""
    return f"sounds like {name} of {channels} channel{'s' * (channels > 1)} (--format {name} --channels {channels})"


def _format_of(content: bytes) -> str:
    """Return the format of samples that raw PCM looks like: S16_LE unless its bits are clearly another's."""
    wide = np.frombuffer(content, "<i4")
    wide = wide[wide != 0]
    if len(wide) < 2000:
        return "S16_LE"
    size = np.abs(wide.view("<f4"))
    if np.mean((size > 1e-7) & (size <= 2)) > 0.99:  # other numbers have any exponent
        return "FLOAT_LE"
    low, high = wide.astype("<i2").astype(np.float64), (wide >> 16).astype(np.float64)
    if np.abs(low).max() <= 2:
        return "S32_LE"
    is_narrow = bool((np.abs(wide.astype(np.float64)) < 2**23).all())
    extends = np.mean((high == -1) == (low < 0)) > 0.8 and np.abs(high).max() <= 2
    loud = np.abs(high) >= 4  # where the lower half has had to wrap
    if (_is_full(low[loud]) and not _is_full(high[loud])) or (is_narrow and extends):
        return "S24_LE" if is_narrow and (wide & 0xFF).any() else "S32_LE"
    lowest, middle, top = np.frombuffer(content[: len(content) // 3 * 3], "i1").reshape(-1, 3).std(axis=0)
    has_low_byte = lowest > 65 or (lowest < 1 and middle > 40)  # 74 for that of sound, 0 of what had 16 bits
    return "S24_3LE" if top < 40 and has_low_byte else "S16_LE"


def _is_full(words: NDArray[np.float64]) -> bool:
    """Test whether words are spread evenly over all that 16 bits can be, as the lower half of larger samples is."""
    apart = words[::2]  # of two channels the same may come twice
    return len(apart) > 500 and bool(17_500 < apart.std() < 20_300 and roughness(apart) > 1.5)


def _is_stereo(words: NDArray[np.float64]) -> bool:
    """Test whether the words of each half go on more smoothly than those side by side: two interleaved channels."""
    left, right = words[0::2], words[1::2]
    together = roughness(words)
    if min(left.std(), right.std()) < 0.02 * max(left.std(), right.std()):
        return bool(max(left.std(), right.std()) > 30)
    within = float(np.square(right - left).mean())
    across = float(np.square(left[1:] - right[:-1]).mean())
    if not 0.5 * across < within < 2 * across:  # of one channel every step is like the next
        return True
    return together > 2.5 * max(roughness(left), roughness(right))


def _filled(descriptor: int, buffer: bytearray, halt: Halt, arrival: Arrival) -> int:
    """Read until the buffer is full or the input ends; how many bytes there are."""
    length, view = 0, memoryview(buffer)
    while length < len(buffer) and (count := read_arrived(descriptor, view[length:], halt, arrival)):
        length += count
    return length


def _require_raw(begins: bytes) -> None:
    if is_wav(begins):
        kind = "WAV"
    elif begins[:4] in (b"fLaC", b"OggS") or begins[:3] == b"ID3":
        kind = compression(begins)
    else:
        return
    raise DataError(
        f"stdin begins like a {kind} file, wanted raw PCM: give the file's name, or record with `arecord -t raw`"
    )
