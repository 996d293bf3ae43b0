"""Sound files: decode and check WAV and FLAC, mix down and resample; write WAV.

WAV is read by own code, because `wave` does not know float samples nor, before Python 3.12, the extensible header, and
trusts a wrong size field.
"""

from __future__ import annotations

import importlib
import io
import mmap
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.sources.folders import CONVERT, disguise
from edgecl.sources.samples import SILENCE, UnusableError

SHORTEST_S = 0.1
LONGEST_S = 30.0
# Bytes of a file, and samples of a FLAC file: 17 minutes at 16 kHz, 3 from a stereo recorder.
# Decoding takes four times as much.
LARGEST = 1 << 25
LOWEST_RATE_HZ = 4_000
HIGHEST_RATE_HZ = 768_000
# Power of the mean of channels against the loudest: 20 dB below, they are the same with opposite signs.
CANCELLED = 0.01
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_FULL_SCALE = np.float32(32768)  # of 16 bits
_CODECS = {2: "ADPCM", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x31: "GSM 6.10", 0x55: "MP3"}
# A writer that cannot seek back leaves a size of 2 or 4 GiB, or zero.
_UNKNOWN_SIZE = 0x7FFFF000
# Beginnings of chunks, to tell where one goes on after a chunk of odd size that was not padded.
_NAMES = (b"data", b"fmt ", b"LIST", b"fact", b"bext", b"cue ", b"id3 ", b"iXML", b"JUNK", b"PEAK", b"smpl")
WAV_MARKS = (b"RIFF", b"RF64", b"BW64")
_COMPRESSED = {
    b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3", b"FORM": "AIFF", b"RIFX": "RIFX", b"riff": "Wave64",
    b"NIST": "SPHERE", b".snd": "AU", b"caff": "CAF",
}  # fmt: skip
_PROBED = 1 << 20  # bytes by which the place of 24 bits in 32 is known
# Below this share of the announced sound: the file was cut off and may hold half a word.
_WHOLE_ENOUGH = 0.9


class _OtherCodecError(UnusableError):
    """A WAV file has a codec that is not read here."""


class Sound(NamedTuple):
    """Decoded sound."""

    samples: NDArray[np.float32]
    """(n, channels) in [-1, 1]; float files may exceed it."""
    rate_hz: int
    bits: int
    """Bits of one sample in the file."""


class _Format(NamedTuple):
    codec: int
    channels: int
    rate_hz: int
    bytes_per_frame: int
    bits: int
    is_low: bool = False
    """Whether 24 bits in frames of 4 bytes are in the low three, as alsa-utils writes S24_LE."""


def read_wav(content: bytes) -> Sound:
    """Decode PCM of 8, 16, 24 or 32 bits or float of 32 or 64 bits.

    Parameters
    ----------
    content
        The whole file, beginning with `RIFF`.

    Raises
    ------
    UnusableError
        The header is truncated or contradicts itself, the codec is another one, or sound is missing.
    """
    layout, sound = _chunks(content)
    frames = sound[: len(sound) - len(sound) % layout.bytes_per_frame]
    if layout.bits == 16 and layout.codec != _FLOAT:
        from edgecl.sources.activity import check_words

        check_words(frames, channels=layout.channels)
    samples = _decode(frames, layout).reshape(-1, layout.channels)
    return Sound(samples, layout.rate_hz, layout.bits)


def wav_blocks(content: bytes | mmap.mmap, *, block_s: float) -> tuple[int, Iterator[NDArray[np.float32]]]:
    """Return the rate in Hz and the sound in blocks (n, channels), decoded one by one; raises as `read_wav`."""
    layout, sound = _chunks(content)
    step = max(round(block_s * layout.rate_hz), 1) * layout.bytes_per_frame
    whole = len(sound) - len(sound) % layout.bytes_per_frame

    def blocks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, whole, step):
            yield _decode(sound[start : min(start + step, whole)], layout).reshape(-1, layout.channels)

    return layout.rate_hz, blocks()


def wav_seconds(content: bytes | mmap.mmap) -> float:
    """Return the length of the sound; raises as `read_wav`."""
    layout, sound = _chunks(content)
    return len(sound) / layout.bytes_per_frame / max(layout.rate_hz, 1)


def _chunks(content: bytes | mmap.mmap) -> tuple[_Format, memoryview]:
    """Return the format and the sound; other chunks (lists, cue points, padding) are skipped."""
    if len(content) < 12 or content[8:12] != b"WAVE":
        raise UnusableError("truncated header: the file ends inside the RIFF header, or is another kind of RIFF file")
    layout: _Format | None = None
    long_size, start = 0, 12
    while start + 8 <= len(content):
        name = content[start : start + 4]
        size = int.from_bytes(content[start + 4 : start + 8], "little")
        body = memoryview(content)[start + 8 : start + 8 + size]
        if name == b"ds64" and len(body) >= 16:  # RF64: sizes of 64 bits, of the file and of the sound
            long_size = int.from_bytes(body[8:16], "little")
        if name == b"fmt ":
            layout = _parse_format(body)
        if name == b"data":
            if layout is None:
                raise UnusableError("truncated header: the sound comes before its format")
            size = long_size if long_size and size == 0xFFFFFFFF else size
            sound = _whole(content, start + 8, size, layout)
            return _with_place(layout, sound), sound
        start = next_chunk(content, start + 8 + size)
    raise UnusableError("truncated header: the file ends before its sound begins")


def next_chunk(content: bytes | mmap.mmap, end: int) -> int:
    """Return where the chunk after one that ends at `end` begins: at an even offset, unless the pad is missing."""
    return end if content[end : end + 4] in _NAMES else end + end % 2


def _with_place(layout: _Format, sound: memoryview) -> _Format:
    """Return the format of 24 bits in 4 bytes with the place of the three that are used, from the sound."""
    if layout.bits != 24 or layout.bytes_per_frame != 4 * layout.channels:
        return layout
    head = sound[: min(len(sound), _PROBED) // 4 * 4]
    is_low = bool(np.frombuffer(head, "u1")[::4].any())
    if is_low and (np.abs(np.frombuffer(head, "<i4").astype(np.int64)) > 1 << 23).any():
        raise UnusableError("bad header: samples of 24 bits fill all four bytes of their frames")
    return layout._replace(is_low=is_low)


def _whole(content: bytes | mmap.mmap, start: int, size: int, layout: _Format) -> memoryview:
    """Return the sound from `start`, if most of what the header announces is there."""
    left = len(content) - start
    finished = int.from_bytes(content[4:8], "little") == len(content) - 8
    if size >= _UNKNOWN_SIZE or (size == 0 and not finished):
        size = left
    per_second = layout.rate_hz * layout.bytes_per_frame
    if left < _WHOLE_ENOUGH * size:
        raise UnusableError(f"truncated: holds {left / per_second:.2f} s of {size / per_second:.2f} s")
    most = max((1 - _WHOLE_ENOUGH) * size, SHORTEST_S * per_second)  # bytes that may follow
    if left - size > most:
        from edgecl.sources.uncounted import require_no_more_sound

        require_no_more_sound(content, start + size, size, most=most, per_second=per_second)
    return memoryview(content)[start : start + size]


def _parse_format(body: memoryview) -> _Format:
    if len(body) < 16:
        raise UnusableError(f"truncated header: the format has {len(body)} bytes, wanted 16")
    codec, channels, rate_hz, _, bytes_per_frame, bits = struct.unpack_from("<HHIIHH", body)
    if codec == _EXTENSIBLE and len(body) >= 26:
        codec = int.from_bytes(body[24:26], "little")  # the sub-format's GUID begins with the codec
    if codec not in (_PCM, _FLOAT):
        raise _OtherCodecError(f"unknown codec: {_CODECS.get(codec, hex(codec))}, wanted PCM or float")
    if bits not in ((32, 64) if codec == _FLOAT else (8, 16, 24, 32)):
        raise _OtherCodecError(f"unknown codec: samples of {bits} bits")
    is_wide = bits == 24 and bytes_per_frame == 4 * channels
    if channels == 0 or (bytes_per_frame != channels * bits // 8 and not is_wide):
        raise UnusableError(f"bad header: {channels} channels of {bits} bits in frames of {bytes_per_frame} bytes")
    if rate_hz == 0:
        raise UnusableError("unknown rate: the header states 0 Hz")
    return _Format(codec, channels, rate_hz, bytes_per_frame, bits)


def _decode(frames: memoryview, layout: _Format) -> NDArray[np.float32]:
    """Decode samples in [-1, 1), channels interleaved."""
    if layout.codec == _FLOAT:
        with np.errstate(over="ignore"):
            return np.frombuffer(frames, f"<f{layout.bits // 8}").astype(np.float32)
    if layout.bits == 8:
        return (np.frombuffer(frames, "u1").astype(np.float32) - np.float32(128)) / np.float32(128)
    if layout.bits == 24 and layout.bytes_per_frame == 4 * layout.channels:
        scale = 2**23 if layout.is_low else 2**31
        return np.frombuffer(frames, "<i4").astype(np.float32) / np.float32(scale)
    if layout.bits == 24:
        wide = np.zeros((len(frames) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(frames, "u1").reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
    return np.frombuffer(frames, f"<i{layout.bits // 8}").astype(np.float32) / np.float32(2 ** (layout.bits - 1))


def encode_wav(signal: NDArray[np.float32], *, rate_hz: float) -> bytes:
    """Return a 16-bit WAV file of one channel; a signal (n,) or (n, 1) is rounded, and clipped to [-1, 1)."""
    samples = np.rint(signal.reshape(-1) * _FULL_SCALE).clip(-_FULL_SCALE, _FULL_SCALE - 1).astype("<i2")
    return _wav(samples.tobytes(), _PCM, 16, rate_hz)


def encode_exactly(signal: NDArray[np.float32], *, rate_hz: float) -> bytes:
    """Return a WAV file from which `decode` reads the same bits: 16-bit where that holds them, else float."""
    scaled = signal.reshape(-1) * _FULL_SCALE
    if (scaled == np.rint(scaled)).all() and (scaled >= -_FULL_SCALE).all() and (scaled < _FULL_SCALE).all():
        return encode_wav(signal, rate_hz=rate_hz)
    return _wav(signal.reshape(-1).astype("<f4").tobytes(), _FLOAT, 32, rate_hz)


def _wav(samples: bytes, codec: int, bits: int, rate_hz: float) -> bytes:
    """Return a WAV file of one channel."""
    rate, width = round(rate_hz), bits // 8
    header = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, codec, 1, rate,
                         rate * width, width, bits)  # fmt: skip
    return header + struct.pack("<4sI", b"data", len(samples)) + samples


def decode(content: bytes) -> Sound:
    """Decode a WAV file, or what libsndfile reads (FLAC, Ogg, MP3, AIFF), recognised by its first bytes.

    Raises
    ------
    UnusableError
        The file is empty, damaged or of another kind, or its rate is absurd.
    DataError
        It is no WAV, and soundfile is not installed.
    """
    if not content:
        raise UnusableError("empty file: it has no bytes")
    begins = content[:12]
    sound = _read_any_wav(content) if is_wav(begins) else _read_compressed(content, compression(begins))
    _check_rate(sound.rate_hz)
    return sound


def _read_any_wav(content: bytes) -> Sound:
    """Decode a WAV file, by libsndfile where its codec is another than PCM and float."""
    try:
        return read_wav(content)
    except _OtherCodecError as error:
        try:
            return _read_compressed(content, "WAV")
        except DataError as lacking:
            raise UnusableError(f"{error}: {lacking}; or convert it: {CONVERT}") from error
        except UnusableError as unread:
            raise UnusableError(f"{error}: {unread}: convert it: {CONVERT}") from error


def is_wav(begins: bytes) -> bool:
    """Test whether a file that begins so is WAV, RF64 and BW64 among it."""
    return begins[:4] in WAV_MARKS


def compression(begins: bytes) -> str:
    """Return the name of the format that libsndfile reads, from a file's first twelve bytes.

    Raises
    ------
    UnusableError
        It is another one: with the line that converts it, where it is sound at all.
    """
    for mark, name in _COMPRESSED.items():
        if begins.startswith(mark):
            return name
    if len(begins) > 1 and begins[0] == 0xFF and begins[1] & 0xE6 in (0xE2, 0xE4, 0xE6):
        return "MP3"
    if begins[4:8] == b"ftyp" or begins[:2] in (b"\xff\xf1", b"\xff\xf9") or begins[:4] == b"\x1aE\xdf\xa3":
        raise UnusableError(f"other codec: M4A, AAC or WebM: convert it: {CONVERT}")
    if other := disguise(begins):
        raise UnusableError(f"not audio: {other}")
    raise UnusableError(f"not audio: begins with {ascii(begins[:4])[1:]}, wanted a WAV, FLAC, Ogg, MP3 or AIFF file")


def clip(sound: Sound, *, rate_hz: float, channel: int | None = None) -> NDArray[np.float32]:
    """Return one channel at `rate_hz`, if the sound is worth learning from.

    Channels are averaged unless one is chosen; another rate is resampled by soxr.

    Returns
    -------
    NDArray[np.float32]
        (n, 1) in [-1, 1].

    Raises
    ------
    UnusableError
        The rate is absurd, the sound is too short, silent, clipped or not finite, or its channels cancel each other.
    DataError
        It needs resampling, and soxr is not installed.
    """
    _check_rate(sound.rate_hz)
    check_sound(sound.samples, rate_hz=sound.rate_hz, bits=sound.bits)
    mono = _mixed(sound.samples, channel)
    if sound.rate_hz != rate_hz:
        soxr = extra("soxr", f"the sound has {sound.rate_hz} Hz, the extractor takes {rate_hz:g}: resampling")
        mono = soxr.resample(mono, sound.rate_hz, rate_hz)
    return np.ascontiguousarray(np.clip(mono, -1, 1), dtype=np.float32)[:, None]


def _mixed(samples: NDArray[np.float32], channel: int | None) -> NDArray[np.float32]:
    """Return one channel (n,) of several: the chosen one, or their mean if it keeps what they hold."""
    channels = samples.shape[1]
    if channel is not None:
        if channel >= channels:
            raise UnusableError(
                f"no such channel: {channel + 1} is wanted, and there are {channels}", parameter="channel"
            )
        return np.ascontiguousarray(samples[:, channel])
    mono: NDArray[np.float32] = samples.mean(axis=1, dtype=np.float32)
    if channels > 1:
        each = np.square(samples - samples.mean(axis=0), dtype=np.float64).mean(axis=0)
        if np.square(mono - mono.mean(), dtype=np.float64).mean() < CANCELLED * each.max():
            raise UnusableError(
                "phase-inverted: the channels cancel each other when mixed: choose one", parameter="channel"
            )
    return mono


def check_sound(samples: NDArray[np.float32], *, rate_hz: float, bits: int) -> None:
    """Refuse sound (n, channels) that teaches nothing or teaches wrong things.

    Raises
    ------
    UnusableError
        Less than 0.1 s between the first and the last moment above -60 dBFS; never above it; clipped, see
        `check_clipping`; NaN, infinity or floats outside [-2, 2].
    """
    length_s = len(samples) / rate_hz
    if length_s < SHORTEST_S:
        raise UnusableError(f"too short: {length_s:.3f} s of sound, wanted at least {SHORTEST_S} s")
    level = np.abs(samples).max(axis=1)
    peak = float(level.max())
    if not np.isfinite(peak):
        raise UnusableError("not finite: the samples hold NaN or infinity")
    check_level(peak)
    loud = np.flatnonzero(level >= SILENCE)
    loud_s = float(loud[-1] - loud[0] + 1) / rate_hz
    if loud_s < SHORTEST_S:
        raise UnusableError(f"too short: {loud_s:.3f} s of sound above -60 dBFS, wanted at least {SHORTEST_S} s")
    if peak > 2:
        raise UnusableError(f"bad scale: samples reach {peak:.3g}, wanted -1 to 1")
    from edgecl.sources.activity import check_clipping  # which tables do not load

    check_clipping(samples, bits=bits)


def check_level(peak: float) -> None:
    """Refuse sound whose loudest sample, of an absolute value of `peak`, is below -60 dBFS; raises UnusableError."""
    if peak < SILENCE:
        decibels = f"peak {20 * np.log10(peak):.1f} dBFS" if peak else "all samples are zero"
        raise UnusableError(f"silent: {decibels}, wanted above -60 dBFS")


def extra(module: str, need: str) -> Any:
    """Import a module of the extra [audio]; raise DataError with how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(f"{need} needs {module}: pip install edgecl[audio]") from error


def _check_rate(rate_hz: int) -> None:
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise UnusableError(f"unknown rate: {rate_hz} Hz is not a rate for speech")


def _read_compressed(content: bytes, name: str) -> Sound:
    soundfile = extra("soundfile", f"reading {name}")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            announced = file.frames
            if announced * file.channels > LARGEST:
                raise UnusableError(f"too long: {announced / file.samplerate:.0f} s of sound")
            samples = file.read(announced, dtype="float32", always_2d=True)
            bits = 8 if file.subtype.endswith("8") else 16
            rate_hz = file.samplerate
    except (soundfile.SoundFileError, ValueError) as error:  # the latter of a codec that cannot be read as a whole
        why = getattr(error, "error_string", error)  # without what was opened, which is a buffer in memory
        raise UnusableError(f"not audio: damaged {name} ({why})") from error
    if len(samples) < announced:
        raise UnusableError(f"truncated: holds {len(samples) / rate_hz:.2f} s of {announced / rate_hz:.2f} s")
    return Sound(samples, rate_hz, bits)
