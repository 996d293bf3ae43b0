"""Clipped sound: peaks that are cut flat, at full scale or, where the level was turned down afterwards, below it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecl.sources.samples import UnusableError

CLIPPED_SHARE = 0.01
FLAT_SHARE = 0.02  # below full scale: of 5,679 good clips none has 0.7 %
FEW_STEPS = 64  # of the file's bits: a weaker signal has flat peaks whatever made it
ONE_SIDED = 0.25  # of the range: an extreme that is nearer to the median is no peak
_RUN = 3


def check_clipping(samples: NDArray[np.float32], *, bits: int) -> None:
    """Refuse clipped sound (n, channels).

    Raises
    ------
    UnusableError
        More than 1 % of a channel is in runs of three or more samples at full scale, or more than 2 % in such runs at
        the channel's own highest and lowest value.
    """
    share = clipped_share(samples, bits=bits)
    if share > CLIPPED_SHARE:
        raise UnusableError(
            f"clipped: {100 * share:.1f} % of samples at full scale, allowed are {100 * CLIPPED_SHARE:g} %"
        )
    share, level = max((_flat(channel, bits=bits) for channel in samples.T), default=(0.0, 0.0))
    if share > FLAT_SHARE:
        raise UnusableError(
            f"clipped: {100 * share:.1f} % of samples at one level, {20 * np.log10(level):.0f} dBFS, allowed are "
            f"{100 * FLAT_SHARE:g} %: was the level turned down after it was too loud?"
        )


def clipped_share(samples: NDArray[np.float32], *, bits: int) -> float:
    """Return the share of the worst channel's samples (n, channels) that are in runs of full scale.

    Runs, because a loud clip touches full scale at single peaks and is sound all the same.
    """
    return float(_in_runs(np.abs(samples) >= 1 - 2.0 ** (2 - min(bits, 16))).mean(axis=0).max())


def _flat(channel: NDArray[np.float32], *, bits: int) -> tuple[float, float]:
    """The share of a channel (n,) in runs at its extremes, and the larger of these."""
    step = 2.0 ** (1 - min(bits, 16))
    low, middle, high = float(channel.min()), float(np.median(channel)), float(channel.max())
    if high - low < 2 * FEW_STEPS * step:
        return 0.0, 1.0
    at_peaks = np.zeros((len(channel), 2), bool)
    if high - middle > ONE_SIDED * (high - low):
        at_peaks[:, 0] = channel > high - step / 2
    if middle - low > ONE_SIDED * (high - low):
        at_peaks[:, 1] = channel < low + step / 2
    return float(_in_runs(at_peaks).mean(axis=0).sum()), max(high, -low)


def _in_runs(full: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of (n, channels) are in runs of three or more."""
    run = full[:-2] & full[1:-1] & full[2:]
    inside = np.zeros_like(full)
    for shift in range(_RUN):
        inside[shift : len(run) + shift] |= run
    return inside
