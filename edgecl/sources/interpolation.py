"""Linear interpolation, and averaging where the rate falls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Above this ratio samples are averaged, so that what the lower rate cannot hold does not fold back into it.
_AVERAGED_ABOVE = 1.5


def interpolate(
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    grid: NDArray[np.float64],
    *,
    step_s: float,
    new_step_s: float,
) -> NDArray[np.float32]:
    """Interpolate a signal linearly at the times of `grid`.

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


def resample(signal: NDArray[np.float32], *, rate_hz: float, wanted_hz: float) -> NDArray[np.float32]:
    count = max(round(len(signal) * wanted_hz / rate_hz), 1)
    times = np.arange(len(signal)) / rate_hz
    grid = np.minimum(np.arange(count) / wanted_hz, times[-1])
    return interpolate(times, signal.astype(np.float64), grid, step_s=1 / rate_hz, new_step_s=1 / wanted_hz)
