"""A network that many people taught to tell words apart, as a second opinion: the extra `verify`.

It is the int8 ResNet-50 in the wheel of `efficientword-net`, trained there with an ArcFace loss: the log mel energies
of 1.5 s of sound in, a vector out whose direction says which word it is. The file is opened where the package is
installed; its Python code, and what that imports, is not loaded.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import ContractError
from edgecl.extractors.onnx import onnx_session
from edgecl.extractors.opening import extractor_bytes

RATE_HZ, DIMENSION = 16_000, 2048
FRAME, STEP, TRANSFORM, BANDS = 400, 160, 512, 64
LONGEST_MS = 160.0  # of a window: two hops, which a spotter waits anyway
LEAST = float(np.finfo(np.float64).eps)  # energy of a band


class Verifier:
    """The network, run by ONNX Runtime in one thread; raises ContractError where the file cannot be loaded."""

    def __init__(self, file: Path) -> None:
        self._session = onnx_session(extractor_bytes(file), file)
        self._name = self._session.get_inputs()[0].name

    def __call__(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vector (2048,) of length 1 of a signal (24000,) at 16 kHz."""
        vector: NDArray[np.float32] = self._session.run(None, {self._name: log_mel(signal)[None, None]})[0][0]
        if not np.isfinite(vector).all():
            raise ContractError("the second stage answers NaN or infinity")
        return vector / max(float(np.linalg.norm(vector)), 1e-9)

    def window_ms(self, samples: int, *, times: int = 3) -> float:
        """Measure how long a window of so many samples takes: the shortest of some."""
        noise = np.random.default_rng(0).standard_normal(samples, np.float32) / np.float32(10)
        spent = []
        for _ in range(times):
            started = time.perf_counter()
            self(noise)
            spent.append(1e3 * (time.perf_counter() - started))
        return min(spent)


def log_mel(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the log energies (149, 64) of a signal (24000,): 25 ms every 10 ms, no window, no pre-emphasis."""
    count = 1 + -(-(len(signal) - FRAME) // STEP)
    padded = np.zeros((count - 1) * STEP + FRAME)
    padded[: len(signal)] = signal
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::STEP]
    power = np.square(np.abs(np.fft.rfft(frames, TRANSFORM))) / TRANSFORM
    return np.log(np.maximum(power @ _bands().T, LEAST)).astype(np.float32)


@cache
def _bands() -> NDArray[np.float64]:
    """Return triangles (64, 257) on the mel scale from 0 Hz to 8 kHz, with corners at whole bins of the transform."""
    mel = np.linspace(0, 2595 * np.log10(1 + RATE_HZ / 2 / 700), BANDS + 2)
    corners = np.floor((TRANSFORM + 1) * 700 * (10 ** (mel / 2595) - 1) / RATE_HZ)
    bins = np.arange(TRANSFORM // 2 + 1)
    bands = np.zeros((BANDS, len(bins)))
    for band, (low, peak, high) in zip(bands, zip(corners, corners[1:], corners[2:], strict=False), strict=True):
        rising, falling = (low <= bins) & (bins < peak), (peak <= bins) & (bins < high)
        band[rising] = ((bins - low) / max(peak - low, 1))[rising]
        band[falling] = ((high - bins) / max(high - peak, 1))[falling]
    return bands
