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
from edgecl.sources.samples import UnusableError

SHORTEST_S = 0.1
LONGEST_S = 30.0
# Bytes of a file, and samples of a FLAC file: 17 minutes at 16 kHz, 3 from a stereo recorder.
# Decoding takes four times as much.
LARGEST = 1 << 25
LOWEST_RATE_HZ = 4_000
HIGHEST_RATE_HZ = 768_000
# -60 dBFS: the noise of a microphone that is off is below it.
SILENCE = 1e-3
CLIPPED_SHARE = 0.01
_RUN = 3
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_CODECS = {2: "ADPCM", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x31: "GSM 6.10", 0x55: "MP3"}
# A writer that cannot seek back leaves a size of 2 or 4 GiB, or zero.
_UNKNOWN_SIZE = 0x7FFFF000
# Below this share of the announced sound: the file was cut off and may hold half a word.
_WHOLE_ENOUGH = 0.9


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


def _chunks(content: bytes | mmap.mmap) -> tuple[_Format, memoryview]:
    """Return the format and the sound; other chunks (lists, cue points, padding) are skipped."""
    if len(content) < 12 or content[8:12] != b"WAVE":
        raise UnusableError("truncated header: the file ends inside the RIFF header, or is another kind of RIFF file")
    layout: _Format | None = None
    start = 12
    while start + 8 <= len(content):
        name = content[start : start + 4]
        size = int.from_bytes(content[start + 4 : start + 8], "little")
        body = memoryview(content)[start + 8 : start + 8 + size]
        if name == b"fmt ":
            layout = _parse_format(body)
        if name == b"data":
            if layout is None:
                raise UnusableError("truncated header: the sound comes before its format")
            return layout, _whole(content, start + 8, size, layout)
        start += 8 + size + size % 2  # chunks begin at even offsets
    raise UnusableError("truncated header: the file ends before its sound begins")


def _whole(content: bytes | mmap.mmap, start: int, size: int, layout: _Format) -> memoryview:
    """Return the sound from `start`, if most of what the header announces is there."""
    left = len(content) - start
    finished = int.from_bytes(content[4:8], "little") == len(content) - 8
    if size >= _UNKNOWN_SIZE or (size == 0 and not finished):
        size = left
    if left < _WHOLE_ENOUGH * size:
        per_second = layout.rate_hz * layout.bytes_per_frame
        raise UnusableError(f"truncated: holds {left / per_second:.2f} s of {size / per_second:.2f} s")
    return memoryview(content)[start : start + size]


def _parse_format(body: memoryview) -> _Format:
    if len(body) < 16:
        raise UnusableError(f"truncated header: the format has {len(body)} bytes, wanted 16")
    codec, channels, rate_hz, _, bytes_per_frame, bits = struct.unpack_from("<HHIIHH", body)
    if codec == _EXTENSIBLE and len(body) >= 26:
        codec = int.from_bytes(body[24:26], "little")  # the sub-format's GUID begins with the codec
    if codec not in (_PCM, _FLOAT):
        raise UnusableError(f"unknown codec: {_CODECS.get(codec, hex(codec))}, wanted PCM or float")
    if bits not in ((32, 64) if codec == _FLOAT else (8, 16, 24, 32)):
        raise UnusableError(f"unknown codec: samples of {bits} bits")
    if channels == 0 or bytes_per_frame != channels * bits // 8:
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
    if layout.bits == 24:
        wide = np.zeros((len(frames) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(frames, "u1").reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
    return np.frombuffer(frames, f"<i{layout.bits // 8}").astype(np.float32) / np.float32(2 ** (layout.bits - 1))


def encode_wav(signal: NDArray[np.float32], *, rate_hz: float) -> bytes:
    """Return a 16-bit WAV file of one channel; a signal (n,) or (n, 1) is clipped to [-1, 1]."""
    import wave

    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(round(rate_hz))
        sound.writeframes((signal.reshape(-1).clip(-1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def decode(content: bytes) -> Sound:
    """Decode a WAV or FLAC file, recognised by its first bytes, not by its name.

    Raises
    ------
    UnusableError
        The file is empty, damaged or neither, or its rate is absurd.
    DataError
        FLAC, and soundfile is not installed.
    """
    if not content:
        raise UnusableError("empty file: it has no bytes")
    reader = {b"RIFF": read_wav, b"fLaC": _read_flac}.get(content[:4])
    if reader is not None:
        sound = reader(content)
        _check_rate(sound.rate_hz)
        return sound
    raise UnusableError(f"not audio: begins with {ascii(content[:4])[1:]}, wanted a WAV or FLAC file")


def clip(sound: Sound, *, rate_hz: float) -> NDArray[np.float32]:
    """Return one channel at `rate_hz`, if the sound is worth learning from.

    Channels are averaged; another rate is resampled by soxr.

    Returns
    -------
    NDArray[np.float32]
        (n, 1) in [-1, 1].

    Raises
    ------
    UnusableError
        The rate is absurd, or the sound is too short, silent, clipped or not finite.
    DataError
        It needs resampling, and soxr is not installed.
    """
    _check_rate(sound.rate_hz)
    check_sound(sound.samples, rate_hz=sound.rate_hz, bits=sound.bits)
    mono = sound.samples.mean(axis=1, dtype=np.float32)
    if sound.rate_hz != rate_hz:
        soxr = extra("soxr", f"the sound has {sound.rate_hz} Hz, the extractor takes {rate_hz:g}: resampling")
        mono = soxr.resample(mono, sound.rate_hz, rate_hz)
    return np.ascontiguousarray(np.clip(mono, -1, 1), dtype=np.float32)[:, None]


def check_sound(samples: NDArray[np.float32], *, rate_hz: float, bits: int) -> None:
    """Refuse sound (n, channels) that teaches nothing or teaches wrong things.

    Raises
    ------
    UnusableError
        Less than 0.1 s between the first and the last moment above -60 dBFS; never above it; more than 1 %
        of a channel in runs of three or more samples at full scale; NaN, infinity or floats outside [-2, 2].
    """
    length_s = len(samples) / rate_hz
    if length_s < SHORTEST_S:
        raise UnusableError(f"too short: {length_s:.3f} s of sound, wanted at least {SHORTEST_S} s")
    level = np.abs(samples).max(axis=1)
    peak = float(level.max())
    if not np.isfinite(peak):
        raise UnusableError("not finite: the samples hold NaN or infinity")
    if peak < SILENCE:
        decibels = f"peak {20 * np.log10(peak):.1f} dBFS" if peak else "all samples are zero"
        raise UnusableError(f"silent: {decibels}, wanted above -60 dBFS")
    loud = np.flatnonzero(level >= SILENCE)
    loud_s = float(loud[-1] - loud[0] + 1) / rate_hz
    if loud_s < SHORTEST_S:
        raise UnusableError(f"too short: {loud_s:.3f} s of sound above -60 dBFS, wanted at least {SHORTEST_S} s")
    if peak > 2:
        raise UnusableError(f"bad scale: samples reach {peak:.3g}, wanted -1 to 1")
    share = clipped_share(samples, bits=bits)
    if share > CLIPPED_SHARE:
        raise UnusableError(
            f"clipped: {100 * share:.1f} % of samples at full scale, allowed are {100 * CLIPPED_SHARE:g} %"
        )


def clipped_share(samples: NDArray[np.float32], *, bits: int) -> float:
    """Return the share of the worst channel's samples (n, channels) that are in runs of full scale.

    Runs, because a loud clip touches full scale at single peaks and is sound all the same.
    """
    full = np.abs(samples) >= 1 - 2.0 ** (2 - min(bits, 16))
    run = full[:-2] & full[1:-1] & full[2:]
    inside = np.zeros_like(full)
    for shift in range(_RUN):
        inside[shift : len(run) + shift] |= run
    return float(inside.mean(axis=0).max())


def extra(module: str, need: str) -> Any:
    """Import a module of the extra [audio]; raise DataError with how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(f"{need} needs {module}: pip install edgecl[audio]") from error


def _check_rate(rate_hz: int) -> None:
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise UnusableError(f"unknown rate: {rate_hz} Hz is not a rate for speech")


def _read_flac(content: bytes) -> Sound:
    soundfile = extra("soundfile", "reading FLAC")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            announced = file.frames
            if announced * file.channels > LARGEST:
                raise UnusableError(f"too long: {announced / file.samplerate:.0f} s of sound")
            samples = file.read(dtype="float32", always_2d=True)
            bits = 8 if file.subtype.endswith("8") else 16
            rate_hz = file.samplerate
    except soundfile.SoundFileError as error:
        raise UnusableError(f"not audio: damaged FLAC ({error})") from error
    if len(samples) < announced:
        raise UnusableError(f"truncated: holds {len(samples) / rate_hz:.2f} s of {announced / rate_hz:.2f} s")
    return Sound(samples, rate_hz, bits)
