"""Arrays to windows: shape, rate, finiteness, resampling by interpolation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.sources.interpolation import resample
from edgecl.sources.samples import UnusableError, check_size
from edgecl.sources.sound import Sound, clip

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract


# Below half of the wanted rate, interpolation would invent most of the samples.
LOWEST_SHARE_OF_RATE = 0.5
# What a rate in hertz is called beside windows, in the order in which one is taken
RATE_NAMES = (
    "rate_hz",
    "sampling_rate",
    "sample_rate",
    "sampling_rate_hz",
    "sample_rate_hz",
    "sampling_frequency",
    "fs",
)


def as_signal(text: str) -> NDArray[np.float32]:
    """Return the bytes of a text's UTF-8 as a signal (n, 1)."""
    return np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.float32)[:, None]


def checked_rate(rate_hz: float | None, contract: Contract, *, n_samples: int) -> float:
    """Return the rate of a window, if the extractor's rate can be reached from it.

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
    """Return one window as the extractor takes it.

    Parameters
    ----------
    raw
        (time, channels), or (time,) where the contract has one channel, or (channels,) where it has no time; of
        pictures as `edgecl.sources.pictures.picture_of_array`.
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
    if contract.is_picture:
        from edgecl.sources.pictures import picture_of_array

        return picture_of_array(raw, contract)
    signal = as_float(shaped(raw, contract), contract)
    if contract.is_sound:
        return clip(Sound(signal, round(rate_hz), 16), rate_hz=contract.sample_rate_hz)
    check_size(signal)
    if not signal.any() and contract.sample_rate_hz:
        raise UnusableError("silent: all samples are zero")
    if rate_hz != contract.sample_rate_hz and len(signal) > 1:
        signal = resample(signal, rate_hz=rate_hz, wanted_hz=contract.sample_rate_hz)
    check_length(len(signal), contract)
    return signal


def shaped(raw: NDArray[Any], contract: Contract) -> NDArray[Any]:
    """Return the array as (time, channels).

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
        turned = raw.shape[0] == channels and raw.shape[1] > channels
        to_do = "; its axes seem to be (channels, time): transpose it" if turned else ""
        raise UnusableError(f"wrong channel count: {raw.shape[1]}, the extractor takes {channels} ({names}){to_do}")
    if len(raw) == 0:
        raise UnusableError("too short: 0 samples")
    return raw


def latent(one: Any, contract: Contract) -> NDArray[np.float32]:
    """Return a latent (D,); raises UnusableError where it has another shape or is not finite."""
    given = np.asarray(one)
    if given.shape != (contract.dimension,):
        raise UnusableError(f"wrong shape: {given.shape}, a latent has ({contract.dimension},)")
    if given.dtype.kind not in "fiu":
        raise UnusableError(f"not numbers: a latent of type {given.dtype}")
    with np.errstate(over="ignore"):  # becomes infinity, which is refused
        single = given.astype(np.float32)
    check_size(single)
    return single


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


def as_float(raw: NDArray[Any], contract: Contract) -> NDArray[np.float32]:
    """Float32; 16-bit sound is scaled to [-1, 1)."""
    if raw.dtype.kind not in "fiub":
        raise UnusableError(f"not numbers: samples of type {raw.dtype}")
    with np.errstate(over="ignore"):  # becomes infinity, which is refused
        signal = np.ascontiguousarray(raw, dtype=np.float32)
    if raw.dtype == np.int16 and contract.is_sound:
        return signal / np.float32(32768)
    return signal
