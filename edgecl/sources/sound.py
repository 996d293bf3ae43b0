"""Sound files to clips: decode, judge whether there is speech to learn from, mix down, resample."""

from __future__ import annotations

import importlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.sources.samples import UnusableError
from edgecl.sources.wav import Sound, read_wav

SHORTEST_S = 0.1
LONGEST_S = 30.0
# Bytes of a file, and samples of a FLAC file: 17 minutes at 16 kHz, 3 from a stereo recorder.
# Decoding takes four times as much.
LARGEST = 1 << 25
LOWEST_RATE_HZ = 4_000
HIGHEST_RATE_HZ = 768_000
# -60 dBFS: below it lies the noise of a microphone that is off.
SILENCE = 1e-3
CLIPPED_SHARE = 0.01
_RUN = 3


def decode(content: bytes) -> Sound:
    """Decode a WAV or FLAC file, told apart by its first bytes, not by its name.

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
    """One channel at `rate_hz`, if the sound is worth learning from.

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
    """Share of the worst channel's samples (n, channels) that lie in runs of full scale.

    Runs, because a loud clip touches full scale at single peaks and is sound all the same.
    """
    full = np.abs(samples) >= 1 - 2.0 ** (2 - min(bits, 16))
    run = full[:-2] & full[1:-1] & full[2:]
    inside = np.zeros_like(full)
    for shift in range(_RUN):
        inside[shift : len(run) + shift] |= run
    return float(inside.mean(axis=0).max())


def extra(module: str, need: str) -> Any:
    """Import a module of the extra [audio], or say how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(f"{need} needs {module}: pip install edgecl[audio]") from error


def _check_rate(rate_hz: int) -> None:
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise UnusableError(f"unknown rate: {rate_hz} Hz is said, which is no rate for speech")


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
