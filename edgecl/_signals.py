"""Arrays to windows: shape, rate, finiteness, resampling by interpolation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl._audio import clip
from edgecl._samples import UnusableError
from edgecl._wav import Sound

if TYPE_CHECKING:
    from edgecl.extractor import Contract

# Below half of the wanted rate, interpolation would invent most of the samples.
LOWEST_SHARE_OF_RATE = 0.5
# Above this ratio samples are averaged, so that what the lower rate cannot hold does not fold back into it.
_AVERAGED_ABOVE = 1.5


def as_signal(text: str) -> NDArray[np.float32]:
    """The bytes of a text's UTF-8 as a signal (n, 1)."""
    return np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.float32)[:, None]


def checked_rate(rate_hz: float | None, contract: Contract, *, n_samples: int) -> float:
    """The rate of a window, if the extractor's rate can be reached from it.

    A window without a rate that is exactly as long as the extractor's was cut for it.

    Raises
    ------
    UnusableError
        The rate is unknown, not positive, or below half of the contract's.
    """
    wanted = contract.sample_rate_hz
    if wanted == 0:
        return 0.0
    if rate_hz is None:
        if n_samples in (contract.window_samples, contract.clip_samples):
            return wanted
        raise UnusableError(
            f"unknown rate: no rate_hz is given, and {n_samples} samples are not "
            f"the {contract.window_samples} that the extractor takes at {wanted:g} Hz"
        )
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        raise UnusableError(f"unknown rate: rate_hz is {rate_hz:g}")
    if rate_hz < LOWEST_SHARE_OF_RATE * wanted and not contract.is_sound:
        raise UnusableError(
            f"wrong rate: {rate_hz:g} Hz, the extractor takes {wanted:g} Hz: record at that rate or above"
        )
    return rate_hz


def window(raw: NDArray[Any], contract: Contract, *, rate_hz: float) -> NDArray[np.float32]:
    """One window as the extractor takes it.

    Parameters
    ----------
    raw
        (time, channels), or (time,) where the contract has one channel, or (channels,) where it has no time.
    rate_hz
        Of `raw`, from `checked_rate`.

    Returns
    -------
    NDArray[np.float32]
        (n, channels) at the contract's rate, finite.

    Raises
    ------
    UnusableError
        Wrong shape or channel count, NaN or infinity, too short, silent; for sound also clipped.
    """
    signal = _as_float(shaped(raw, contract), contract)
    if contract.is_sound:
        return clip(Sound(signal, round(rate_hz), 16), rate_hz=contract.sample_rate_hz)
    if not np.isfinite(signal).all():
        raise UnusableError("not finite: the samples hold NaN or infinity")
    if not signal.any() and contract.sample_rate_hz:
        raise UnusableError("silent: all samples are zero")
    if rate_hz != contract.sample_rate_hz and len(signal) > 1:
        signal = _resampled(signal, rate_hz=rate_hz, wanted_hz=contract.sample_rate_hz)
    check_length(len(signal), contract)
    return signal


def shaped(raw: NDArray[Any], contract: Contract) -> NDArray[Any]:
    """The array as (time, channels).

    Raises
    ------
    UnusableError
        It has another number of axes or channels, or no samples.
    """
    channels = len(contract.channels)
    if raw.ndim == 1 and contract.sample_rate_hz == 0:
        raw = raw[None, :]
    elif raw.ndim == 1 and channels == 1:
        raw = raw[:, None]
    if raw.ndim != 2:
        raise UnusableError(f"wrong shape: {raw.shape}, wanted (time, {channels})")
    if raw.shape[1] != channels:
        names = ", ".join(contract.channels)
        raise UnusableError(f"wrong channel count: {raw.shape[1]}, the extractor takes {channels} ({names})")
    if len(raw) == 0:
        raise UnusableError("too short: 0 samples")
    return raw


def check_length(n_samples: int, contract: Contract) -> None:
    """Refuse less than one window.

    Raises
    ------
    UnusableError
        When `n_samples` is below the contract's `window_samples`.
    """
    if n_samples < contract.window_samples:
        seconds = f" ({n_samples / contract.sample_rate_hz:.2f} s)" if contract.sample_rate_hz else ""
        raise UnusableError(f"too short: {n_samples} samples{seconds}, a window has {contract.window_samples}")


def interpolate(
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    grid: NDArray[np.float64],
    *,
    step_s: float,
    new_step_s: float,
) -> NDArray[np.float32]:
    """The signal at the moments of `grid`, read off the straight lines between its samples.

    Where `grid` is coarser than 1.5 samples, each value is the mean over one step of the grid instead.

    Parameters
    ----------
    times
        (n,) s, increasing; may be uneven.
    values
        (n, channels).
    grid
        (m,) s, increasing, between the first and the last of `times` (the end values are held beyond).
    step_s, new_step_s
        Typical distance of `times`, distance of `grid`.

    Returns
    -------
    NDArray[np.float32]
        (m, channels).
    """
    if new_step_s <= _AVERAGED_ABOVE * step_s:
        columns = [np.interp(grid, times, column) for column in values.T]
        return np.stack(columns, axis=1).astype(np.float32)
    area = np.cumsum(np.diff(times)[:, None] * (values[1:] + values[:-1]) / 2, axis=0)
    area = np.concatenate((np.zeros_like(values[:1]), area))
    low = np.clip(grid - new_step_s / 2, times[0], times[-1])
    high = np.clip(grid + new_step_s / 2, times[0], times[-1])
    columns = [np.interp(high, times, column) - np.interp(low, times, column) for column in area.T]
    return (np.stack(columns, axis=1) / (high - low)[:, None]).astype(np.float32)


def _as_float(raw: NDArray[Any], contract: Contract) -> NDArray[np.float32]:
    """Float32; 16-bit sound is scaled to [-1, 1)."""
    if raw.dtype.kind not in "fiub":
        raise UnusableError(f"not numbers: samples of type {raw.dtype}")
    with np.errstate(over="ignore"):  # becomes infinity, which is refused
        signal = np.ascontiguousarray(raw, dtype=np.float32)
    if raw.dtype == np.int16 and contract.is_sound:
        return signal / np.float32(32768)
    return signal


def _resampled(signal: NDArray[np.float32], *, rate_hz: float, wanted_hz: float) -> NDArray[np.float32]:
    count = max(round(len(signal) * wanted_hz / rate_hz), 1)
    times = np.arange(len(signal)) / rate_hz
    grid = np.minimum(np.arange(count) / wanted_hz, times[-1])
    return interpolate(times, signal.astype(np.float64), grid, step_s=1 / rate_hz, new_step_s=1 / wanted_hz)
