"""Signals as the files of an inbox, which a lesson takes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract


def as_csv(signal: NDArray[np.float32], contract: Contract) -> bytes:
    """Return movement (n, channels) as rows with a time in seconds, as `learn` reads them."""
    lines = [",".join(["timestamp", *contract.channels])]
    for at, row in enumerate(signal):
        lines.append(",".join([f"{at / contract.sample_rate_hz:.6f}", *(f"{one:.7g}" for one in row)]))
    return ("\n".join(lines) + "\n").encode()


def encoded(signal: NDArray[np.float32], contract: Contract, encode: Callable[..., bytes]) -> tuple[bytes, str]:
    """Return a file that a lesson takes, and its suffix; what a lesson left out has the bits that it had there."""
    if contract.is_sound:
        return encode(signal, rate_hz=contract.sample_rate_hz), ".wav"
    if contract.is_picture:
        from edgecl.sources.pictures import as_picture
        from edgecl.sources.png import encode_png

        return encode_png(as_picture(signal, contract)), ".png"
    if contract.modality == "text":
        text = signal[:, 0].astype(np.uint8).tobytes().decode("utf-8", "replace")
        return json.dumps({"text": text}).encode() + b"\n", ".jsonl"
    file = io.BytesIO()
    rate = np.float64(contract.sample_rate_hz)
    np.savez(file, X=signal[None].astype(np.float32), rate_hz=rate, channels=np.array(contract.channels))
    return file.getvalue(), ".npz"


def decoded_picture(content: bytes) -> NDArray[np.float32]:
    """Return the signal of a PNG file; raises UnusableError where it is none."""
    from edgecl.sources.pictures import picture_signal
    from edgecl.sources.png import decode_png

    return picture_signal(decode_png(content))
