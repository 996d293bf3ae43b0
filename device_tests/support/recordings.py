"""Contracts, signals and files that tests of sources read."""

from __future__ import annotations

import contextlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.extractors.contract import Contract
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample, Skip

RATE = 16_000


def contract_of(
    modality: str, rate_hz: float, channels: tuple[str, ...], window: int, hop: int, pool_frames: int = 1
) -> Contract:
    return Contract(
        modality=modality,
        sample_rate_hz=rate_hz,
        channels=channels,
        units=("unit",) * len(channels),
        window_samples=window,
        hop_samples=hop,
        pool_frames=pool_frames,
        dimension=1,
        mean=np.zeros(1, np.float32),
        normalisation="l2",
        shrinkage_floor=0.1,
        source="a test",
        licence="Apache-2.0",
    )


VOICE = contract_of("voice", 16_000.0, ("pcm",), 12_400, 1280, 9)
WRIST = contract_of("imu", 50.0, ("ax", "ay", "az"), 20, 10)


def tone(seconds: float = 0.5, *, hertz: float = 440, rate: int = RATE, level: float = 0.5) -> NDArray[np.float64]:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def wav(
    signal: NDArray[Any],
    *,
    rate: int = RATE,
    bits: int = 16,
    codec: int = 1,
    before: bytes = b"",
    data_size: int | None = None,
    extensible: bool = False,
) -> bytes:
    """A WAV file of `signal` (n,) or (n, channels)."""
    channels = 1 if signal.ndim == 1 else signal.shape[1]
    if codec == 3:
        data = signal.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        data = (signal * 127 + 128).astype("u1").tobytes()
    elif bits == 24:
        data = (signal * (2**31 - 1)).astype("<i4").reshape(-1, 1).view("u1").reshape(-1, 4)[:, 1:].tobytes()
    else:
        data = (signal * (2 ** (bits - 1) - 1)).astype(f"<i{bits // 8}").tobytes()
    frame = channels * bits // 8
    layout = struct.pack("<HHIIHH", 0xFFFE if extensible else codec, channels, rate, rate * frame, frame, bits)
    if extensible:
        guid = codec.to_bytes(2, "little") + bytes.fromhex("000000001000800000aa00389b71")
        layout += struct.pack("<HHI", 22, bits, 0) + guid
    size = len(data) if data_size is None else data_size
    body = b"WAVEfmt " + len(layout).to_bytes(4, "little") + layout + before
    body += b"data" + size.to_bytes(4, "little") + data
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def samples_of(path: Path, contract: Any = VOICE, **options: Any) -> list[Sample]:
    return [item for item in read_samples(path, contract, **options) if isinstance(item, Sample)]


def skips_of(path: Path, contract: Any = VOICE, **options: Any) -> list[Skip]:
    """All skips, also where nothing else is there."""
    items = read_samples(path, contract, **options)
    skips: list[Skip] = []
    with contextlib.suppress(DataError):
        skips.extend(item for item in items if isinstance(item, Skip))
    return skips


def reason_of(content: bytes, tmp_path: Path) -> str:
    """Why a clip with this content is skipped."""
    (skip,) = skips_of(put(tmp_path / "clip.wav", content), label="go")
    return skip.reason


def movement(n: int, *, seed: int = 0, channels: int = 3) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, channels))


def csv_of(times: Any, values: NDArray[Any], extra: dict[str, list[Any]] | None = None) -> str:
    """A CSV with the columns of WRIST."""
    extra = extra or {}
    rows = [",".join(("timestamp", "ax", "ay", "az", *extra))]
    for i, time in enumerate(times):
        cells = [
            str(time),
            *(repr(float(value)) for value in values[i]),
            *(str(extra[name][i]) for name in extra),
        ]
        rows.append(",".join(cells))
    return "\n".join(rows) + "\n"


def npz(path: Path, **arrays: Any) -> Path:
    with path.open("wb") as file:
        np.savez(file, **arrays)
    return path


def windows(count: int = 4, *, time: int = 20, channels: int = 3) -> NDArray[np.float32]:
    return movement(count * time, channels=channels).reshape(count, time, channels).astype(np.float32)


def lines_of(*entries: Any) -> str:
    return "".join((entry if isinstance(entry, str) else json.dumps(entry)) + "\n" for entry in entries)
