"""Recordings of movement as windows to calibrate an extractor by: rate and channels are those of the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.extractors.contract import Contract
from edgecl.sources.csv_axes import found_by_axis
from edgecl.sources.csv_columns import table_head
from edgecl.sources.csv_times import TIME_UNITS, guess_unit, is_number, time_name, time_or_none
from edgecl.sources.headers import plain_names
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample

WINDOW_S = 2.0
_USUAL_HZ = 100.0  # of movement, within a factor of ten: the unit of the times follows from it
_ROUND = 0.03  # of a rate that is taken as the whole number next to it
_NO_CHANNEL = ("label", "subject", "speaker")
_NEAR, _GRAVITY = 0.12, (("m/s2", 9.80665), ("g", 1.0))


def read_recording(
    path: Path, rate_hz: float | None, channels: Sequence[str] | None
) -> tuple[NDArray[np.float32], float, tuple[str, ...]]:
    """Return windows (n, time, channels) of a .csv or .jsonl of rows with times, their rate and channels.

    Raises
    ------
    DataError
        The file cannot be read, has no times, or is shorter than a window.
    """
    head = table_head(path)
    names = plain_names(head.names)
    rate = rate_hz or _rate(path, names, head.rows, head.delimiter)
    found = [name for name in names if name and time_name(name) is None and name not in _NO_CHANNEL]
    named = tuple(channels or found)
    length = round(WINDOW_S * rate)
    contract = Contract(
        modality="imu",
        sample_rate_hz=rate,
        channels=named,
        units=("unit",) * len(named),
        window_samples=length,
        hop_samples=max(length // 2, 1),
        pool_frames=1,
        dimension=1,
        mean=np.zeros(1, np.float32),
        normalisation="none",
        shrinkage_floor=0.0,
        source="",
        licence="",
    )
    items = read_samples(path, contract, labelled=False)
    windows = [one.signal[:length] for one in items if isinstance(one, Sample) and len(one.signal) >= length]
    if not windows:
        raise DataError(f"{path} holds no {WINDOW_S:g} s of movement without a gap")
    return np.stack(windows), rate, named


def felt_units(values: NDArray[np.float32], channels: Sequence[str]) -> tuple[str, ...]:
    """Return the unit of each channel: of the acceleration the one that gravity shows, of others just "unit"."""
    units = ["unit"] * len(channels)
    names = [name.lower() for name in channels]
    axes = found_by_axis(names, ["acc_x", "acc_y", "acc_z"])
    if axes is None and len(channels) == 3:
        axes = found_by_axis(names, ["x", "y", "z"])
    if axes is None or values.ndim != 3 or not np.isfinite(values).all():
        return tuple(units)
    felt = float(np.median(np.linalg.norm(values[:, :, axes].mean(axis=1, dtype=np.float64), axis=1)))
    unit = next((unit for unit, gravity in _GRAVITY if abs(felt / gravity - 1) < _NEAR), "unit")
    for axis in axes:
        units[axis] = unit
    return tuple(units)


def _rate(path: Path, names: list[str], rows: list[list[str]], delimiter: str) -> float:
    """Return the rate of the first rows, a whole number where it nearly is one."""
    ranked = sorted((found[0], index) for index, name in enumerate(names) if (found := time_name(name)))
    if not ranked:
        raise DataError(f"{path} has no column timestamp, only {', '.join(names)}")
    column = ranked[0][1]
    texts = [row[column] for row in rows if len(row) == len(names)]
    iso = 2 * sum(is_number(text, delimiter) for text in texts) < len(texts)
    times = [time for text in texts if (time := time_or_none(text, delimiter, iso=iso)) is not None]
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not steps.size:
        raise DataError(f"{path}: its times do not grow: give the rate")
    step, stated = float(np.median(steps)), time_name(names[column])
    unit = (stated[1] if stated else "") or guess_unit(times[0], step, _USUAL_HZ)
    rate = 1 / (step * (1.0 if iso else TIME_UNITS[unit]))
    return float(round(rate)) if abs(round(rate) / rate - 1) < _ROUND else rate
