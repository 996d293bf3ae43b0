"""A sound file, played as a stream of pieces."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.live.inputs.chunks import Halt, Piece, rate_converter
from edgecl.notes import Logger
from edgecl.sources.folders import require_file
from edgecl.sources.samples import UnusableError
from edgecl.sources.sound import (
    CANCELLED,
    HIGHEST_RATE_HZ,
    LOWEST_RATE_HZ,
    compression,
    extra,
    is_wav,
    wav_blocks,
    wav_seconds,
)

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract


logger = Logger(__name__)
PLAYED_S = 0.1  # of a file at a time, before its rate is converted


def sound_file(
    path: Path, contract: Contract, *, halt: Halt, realtime: bool = False, channel: int | None = None
) -> Iterator[Piece]:
    """A WAV or FLAC file, played from its beginning as fast as it is taken, or at its own speed.

    Of several channels the chosen one is heard, from 0, or their mean; where that leaves nothing, a warning says so.

    Raises
    ------
    DataError
        The file cannot be read or decoded, has no such channel, or the extra [audio] is needed.
    """
    try:
        rate_hz, blocks = _blocks(path)
        if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
            raise UnusableError(f"unknown rate: {rate_hz} Hz is not a rate for speech")
        convert = rate_converter(rate_hz, contract)
        played_s, started, is_first = 0.0, time.monotonic(), True
        loudest = left = 0.0  # power of the loudest channel of each block, and of their mean
        for block in blocks:
            if halt.is_asked:
                return
            played_s += len(block) / rate_hz
            if realtime:
                time.sleep(max(started + played_s - time.monotonic(), 0))
            sound = np.nan_to_num(block.clip(-1, 1))  # of a float file: any number
            if channel is not None and channel >= sound.shape[1]:
                raise DataError(f"{path} has {sound.shape[1]} channels: {channel + 1} is none", parameter="channel")
            mono = sound.mean(axis=1, dtype=np.float32) if channel is None else sound[:, channel].copy()
            if channel is None and sound.shape[1] > 1:
                loudest += float(np.square(sound).sum(axis=0).max(initial=0))
                left += float(np.square(mono).sum())
            signal = convert(mono)
            yield from _cut(Piece(signal, 0.0 if is_first else None), contract.hop_samples)
            is_first = False
        if loudest > 0 and left < CANCELLED * loudest:
            logger.warning("%s holds channels that cancel each other when mixed: choose one of them", path)
    except UnusableError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error


def sound_seconds(path: Path) -> float:
    """Return the length of a WAV or FLAC file by its header; raises as `sound_file`."""
    try:
        require_file(path)
        with path.open("rb") as file:
            begins = file.read(12)
        if is_wav(begins[:4]):
            with path.open("rb") as file:
                return wav_seconds(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        if not begins:
            raise UnusableError("empty file: it has no bytes")
        with _compressed(path, compression(begins)) as sound:
            return float(sound.frames / sound.samplerate)
    except UnusableError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error


def _cut(piece: Piece, length: int) -> Iterator[Piece]:
    for start in range(0, max(len(piece.signal), 1), length):
        yield Piece(piece.signal[start : start + length], piece.begins_s if start == 0 else None)


def _blocks(path: Path) -> tuple[int, Iterator[NDArray[np.float32]]]:
    """The rate, and the sound (n, channels) of about PLAYED_S at a time; never the whole file in memory."""
    require_file(path)
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise UnusableError("empty file: it has no bytes")
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if is_wav(content[:4]):
        return wav_blocks(content, block_s=PLAYED_S)
    return _compressed_blocks(path, compression(content[:12]))


def _compressed_blocks(path: Path, name: str) -> tuple[int, Iterator[NDArray[np.float32]]]:
    soundfile = extra("soundfile", f"reading {name}")
    file = _compressed(path, name)

    def blocks() -> Iterator[NDArray[np.float32]]:
        with file:
            try:
                yield from file.blocks(round(PLAYED_S * file.samplerate), dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                raise UnusableError(f"not audio: damaged {name} ({error})") from error

    return file.samplerate, blocks()


def _compressed(path: Path, name: str) -> Any:
    """Open a file of soundfile."""
    soundfile = extra("soundfile", f"reading {name}")
    try:
        return soundfile.SoundFile(path)
    except soundfile.SoundFileError as error:
        raise UnusableError(f"not audio: damaged {name} ({error})") from error
