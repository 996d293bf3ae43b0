"""Whether movement comes in the contract's units: the gravity of a recording against what it should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.metrics import median
from edgecl.sources.csv_axes import found_by_axis, other_unit
from edgecl.sources.samples import LARGEST_IN, Sample, Skip
from edgecl.units import GRAVITY, sensor_unit

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract

JUDGED = 32  # samples that are judged together
FEWEST_JUDGED = 8  # of the last ones of a file
# A mean so near to the gravity of another unit, and so much of all there is, is that unit: without gravity the mean of
# movement is small against the movement, and at rest it is far below 1 g in any unit.
LOWEST, HIGHEST, COHERENT = 0.4, 1.5, 0.6
NEAR = 0.2  # of 1000, for mg
BEYOND = 5.0  # times gravity that no movement of a person has on the average over a window


def in_units(
    items: Iterator[Sample | Skip], path: Path | str, contract: Contract, scale: Mapping[str, float]
) -> Iterator[Sample | Skip]:
    """Pass the samples of one file, scaled as settled; refuse it where gravity shows another unit, some at a time.

    Raises
    ------
    DataError
        The acceleration is in g, m/s2 or counts where the contract states another unit, or `scale` names no channel.
    """
    factors = factors_of(contract, scale)
    if factors is not None:
        for one in items:
            yield replace(one, signal=one.signal * factors, is_scaled=True) if isinstance(one, Sample) else one
        return
    is_first = True
    while held := list(islice(items, JUDGED)):
        judged = [one for one in held if isinstance(one, Sample) and not one.is_scaled]
        if is_first:
            check_gravity([one.signal for one in judged], str(path), contract)
        elif len(judged) >= FEWEST_JUDGED:
            _check_later(judged, contract)
        is_first = False
        yield from held


def _check_later(samples: list[Sample], contract: Contract) -> None:
    """Refuse samples further on in a file whose first ones are in the contract's unit."""
    try:
        check_gravity([one.signal for one in samples], f"{samples[0].source} and those after it", contract)
    except DataError as error:
        raise DataError(
            f"{error}. Those before are in the unit that is wanted: cut the file in two where it changes",
            parameter=error.parameter,
        ) from error


def check_gravity(signals: list[NDArray[np.float32]], name: str, contract: Contract) -> None:
    """Refuse signals (n, channels) whose gravity is not the one of the contract's unit.

    Raises
    ------
    DataError
        As `in_units`.
    """
    axes = acceleration(contract)
    if axes is None or not signals:
        return
    wanted = sensor_unit(contract.units[axes[0]])
    expected = GRAVITY[wanted]
    signals = [_without_spikes(one, axes, limit=LARGEST_IN[wanted]) for one in signals]
    felt = np.array([np.linalg.norm(one[:, axes].mean(axis=0, dtype=np.float64)) for one in signals])
    usual = median(felt)
    strength = median([np.sqrt(np.square(one[:, axes], dtype=np.float64).sum(axis=1).mean()) for one in signals])
    unit = _other_unit(usual, expected, is_coherent=usual > COHERENT * float(strength))
    if unit:
        raise DataError(
            f"{name}: gravity is {usual:.4g} on the average, where {expected:.3g} {contract.units[axes[0]]} is "
            f"wanted: it looks like {unit}. Convert it, or give the factors of channels, such as "
            f"{channel_stem(contract.channels[axes[0]])}={_factor(unit, usual, expected):.6g}; "
            "a factor of 1 takes the values as they are",
            parameter="scale",
        )


def require_stated_units(path: Path, names: Sequence[str], contract: Contract, scale: Mapping[str, float]) -> None:
    """Refuse columns whose names state another unit than the contract, unless their factors are settled.

    Parameters
    ----------
    names
        Of the columns, in the order of the contract's channels.

    Raises
    ------
    DataError
        As above; or `scale` names no channel.
    """
    factors_of(contract, scale)
    settled = tuple(name.lower() for name in scale)
    wrong: dict[str, tuple[str, str, str, float]] = {}  # stem of channels to a column of them, its units and the factor
    for name, channel, unit in zip(names, contract.channels, contract.units, strict=True):
        other = None if name.lower() == channel.lower() else other_unit(name, unit)
        if other is not None and not (settled and channel.lower().startswith(settled)):
            wrong.setdefault(channel_stem(channel), (name, other[0], unit, other[1]))
    if wrong:
        name, stated, unit, _ = next(iter(wrong.values()))
        factors = ",".join(f"{stem}={one[3]:.6g}" for stem, one in wrong.items())
        raise DataError(
            f"{path}: its column {name!r} states {stated}, the extractor takes {unit}: convert it, or give the factors "
            f"of channels: {factors}; a factor of 1 takes the values as they are",
            parameter="scale",
        )


def _without_spikes(signal: NDArray[np.float32], axes: list[int], *, limit: float) -> NDArray[np.float32]:
    """Return the rows (n, channels) that a sensor can give: all of them where few can be, as in another unit."""
    usual = np.abs(signal[:, axes]).max(axis=1) <= limit
    return signal[usual] if 2 * usual.sum() > len(signal) else signal


def channel_stem(channel: str) -> str:
    """Return the name of a channel without its axis: acc of acc_x."""
    return channel[:-1].rstrip("_ ") or channel


def _other_unit(usual: float, expected: float, *, is_coherent: bool) -> str:
    """Return the unit that gravity shows, nothing where it fits the contract or tells nothing."""
    if usual > BEYOND * expected and usual > BEYOND * GRAVITY["m/s2"]:
        return "mg" if abs(usual / GRAVITY["mg"] - 1) < NEAR else "raw counts of the sensor"
    for unit, gravity in GRAVITY.items():
        if gravity != expected and is_coherent and LOWEST * gravity < usual < HIGHEST * gravity:
            return unit
    return ""


def _factor(unit: str, usual: float, expected: float) -> float:
    """Return the factor that leads to the contract's unit; counts of a sensor are a power of two per g."""
    return expected / GRAVITY.get(unit, float(2.0 ** round(np.log2(usual))))


def acceleration(contract: Contract) -> list[int] | None:
    """Return the channels x, y, z of the acceleration, of the first of several sensors.

    None where the contract states no unit with gravity for them.
    """
    known = [index for index, unit in enumerate(contract.units) if sensor_unit(unit) in GRAVITY]
    if len(known) < 3 or len({contract.units[index] for index in known}) > 1:
        return None
    names = [contract.channels[index].lower() for index in known]
    found = found_by_axis(names, ["x", "y", "z"]) or found_by_axis(names, ["acc_x", "acc_y", "acc_z"])
    return [known[index] for index in found] if found else _first_sensor(names, known)


def _first_sensor(names: list[str], known: list[int]) -> list[int] | None:
    """Return the channels x, y, z whose names have the same beginning, as u1_acc_x has."""
    for name in names:
        wanted = [f"{name[:-1]}{axis}" for axis in "xyz"]
        if all(one in names for one in wanted):
            return [known[names.index(one)] for one in wanted]
    return None


def factors_of(contract: Contract, scale: Mapping[str, float]) -> NDArray[np.float32] | None:
    """Return the factor of each channel, or None where nothing is settled; raises DataError for a name that is none."""
    if not scale:
        return None
    factors = np.ones(len(contract.channels), np.float32)
    for name, factor in scale.items():
        chosen = [index for index, channel in enumerate(contract.channels) if channel.lower().startswith(name.lower())]
        if not chosen:
            named = ", ".join(contract.channels)
            raise DataError(f"no channel begins with {name}: there are {named}", parameter="scale")
        factors[chosen] = factor
    return factors
