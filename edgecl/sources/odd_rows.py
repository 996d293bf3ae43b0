"""Movement that no sensor gives: zeros for lost rows, rows written again, axes stuck or twice, a wrong range."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.metrics import median
from edgecl.notes import Logger
from edgecl.sources.gravity import WITH
from edgecl.sources.samples import LARGEST_IN, Sample, Skip
from edgecl.sources.scales import acceleration, channel_stem
from edgecl.units import GRAVITY, sensor_unit

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract

logger = Logger(__name__)
MOST_LOST = 0.5  # of a window's rows: what is zero for longer is at rest, without gravity
FROM = 0.4  # of 1 g: the median norm of the rows next to lost ones is above; movement comes to zero by less
SAME = 1e-6  # of the largest value: what two rows that are one differ by after resampling
FEWEST_RUNS = 6  # of equal rows in a window, between its first and its last one
LONGEST_RUN = 2.0  # times the median, where rows are repeated evenly; at rest runs are of all lengths
MOST_CHANGES = 0.7  # of the rows, where each comes again and resampling makes one between two of them
FEWEST_WINDOWS, SHARE = 4, 0.4  # of a label, of those that change: coarse steps make a fifth at most
FEWEST_JUDGED = 8  # windows in which an axis is stuck, or gravity is seen
CALM = 0.1  # of the mean acceleration: a window that varies less than that shows gravity alone
# Gravity, in parts of what it should be, where the range of the sensor is another; below the first it is an offset
LEAST, LOW, HIGH = 0.2, 0.7, 1.4


def noted(items: Iterator[Sample | Skip], contract: Contract) -> Iterator[Sample | Skip]:
    """Pass windows of movement; at their end warnings say what in them no sensor gives."""
    seen = OddRows(contract)
    for item in items:
        if isinstance(item, Sample) and item.signal.ndim == 2:
            seen.add(item)
        yield item
    for note in seen.notes():
        logger.warning("%s", note)


class OddRows:
    """Counts windows by what no sensor gives."""

    def __init__(self, contract: Contract) -> None:
        self._contract, self._axes = contract, acceleration(contract)
        self._count, self._lost, self._changing = 0, list[str](), Counter[str | None]()
        self._repeats: dict[str | None, list[tuple[float, str]]] = {}  # by label, as loggers may be
        self._motion = np.array([sensor_unit(unit) in LARGEST_IN for unit in contract.units], np.bool_)
        self._stuck = self._motion.copy()  # channels that have not changed within a window; a temperature may not
        self._twice = np.triu(np.outer(self._motion, self._motion), 1)  # pairs that have been equal
        self._gravity: dict[str | None, list[float]] = {}  # of calm windows, by label
        self._moving = 0

    def add(self, one: Sample) -> None:
        """Count a window (n, channels)."""
        self._count += 1
        if has_lost_rows(one.signal, self._contract):
            self._lost.append(one.source)
        times = repeats_of(one.signal)
        self._changing[one.label] += times > 0
        if times > 1:
            self._repeats.setdefault(one.label, []).append((times, one.source))
        if self._stuck.any():
            self._stuck &= (one.signal == one.signal[:1]).all(axis=0)
        if self._twice.any():
            self._twice &= (one.signal[:, :, None] == one.signal[:, None, :]).all(axis=0)
        felt = gravity_of(one.signal[:, self._axes].astype(np.float64)) if self._axes else None
        self._moving += felt is None
        if felt is not None and not one.is_scaled:
            self._gravity.setdefault(one.label, []).append(felt)

    def notes(self) -> Iterator[str]:
        """Yield a sentence on each kind."""
        if self._lost:
            yield (
                f"in {len(self._lost)} of {self._count} windows rows are zero, without gravity amid gravity, such as "
                f"{self._lost[0]}: leave out rows that were lost: zeros are learnt like any others"
            )
        many = [few for label, few in self._repeats.items() if is_many(len(few), self._changing[label])]
        if held := [one for few in many for one in few]:
            times, rate = float(median([one[0] for one in held])), self._contract.sample_rate_hz
            yield (
                f"in {len(held)} of {self._count} windows each row is there {times:.3g} times, such as {held[0][1]}: "
                f"the sensor gave {rate / times:.3g} Hz, and {rate:.4g} Hz are wanted: record faster"
            )
        if self._moving >= FEWEST_JUDGED and (self._motion & ~self._stuck).any():  # at rest rates may be zero
            yield from self._notes_on_channels()
        if self._axes:
            yield from self._notes_on_gravity(self._axes[0])

    def _notes_on_channels(self) -> Iterator[str]:
        names = self._contract.channels
        stuck = [name for name, is_stuck in zip(names, self._stuck, strict=True) if is_stuck]
        if stuck:
            yield f"{', '.join(stuck)}: no change in any of {self._count} windows, where others change: is it recorded?"
        pairs = [(one, other) for one, other in np.argwhere(self._twice) if not self._stuck[one]]
        if pairs:
            one, other = pairs[0]
            yield f"{names[one]} and {names[other]} are the same in all of {self._count} windows: is one written twice?"

    def _notes_on_gravity(self, axis: int) -> Iterator[str]:
        stem, unit = channel_stem(self._contract.channels[axis]), self._contract.units[axis]
        wanted = GRAVITY[sensor_unit(unit)]
        for label, several in self._gravity.items():
            felt = float(median(several))
            if len(several) >= FEWEST_JUDGED and (LEAST < felt / wanted < LOW or felt / wanted > HIGH):
                yield (
                    f"at rest gravity is {felt:.3g}{f' in {label!r}' if label else ''}, where {wanted:.3g} {unit} is "
                    "wanted: is the range of the sensor another than the one that is counted by? The factor is "
                    f"{stem}={wanted / felt:.3g}"
                )
                return


def gravity_of(force: NDArray[np.float64]) -> float | None:
    """Return the mean of an acceleration (n, 3) that hardly varies; None of another."""
    mean = force.mean(axis=0)
    felt = float(np.linalg.norm(mean))
    return felt if np.sqrt(np.square(force - mean).sum(axis=1).mean()) < CALM * felt else None


def is_many(count: int, changing: int) -> bool:
    """Test whether so many windows of a label that repeat their rows are more than coarse steps make."""
    return count >= max(FEWEST_WINDOWS, SHARE * changing)


def has_lost_rows(signal: NDArray[np.float32], contract: Contract) -> bool:
    """Test whether rows (n, channels) are zero at once, where the acceleration of the others has gravity in it."""
    is_zero = ~signal.any(axis=1)
    if not 0 < is_zero.sum() < MOST_LOST * len(signal) or (axes := acceleration(contract)) is None:
        return False
    force, gravity = signal[:, axes].astype(np.float64), GRAVITY[sensor_unit(contract.units[axes[0]])]
    if np.linalg.norm(force[~is_zero].mean(axis=0)) <= WITH * gravity:
        return False
    is_next = np.convolve(is_zero, np.ones(3), "same").astype(bool) & ~is_zero
    return bool(np.median(np.linalg.norm(force[is_next], axis=1)) > FROM * gravity)


def repeats_of(signal: NDArray[np.float32]) -> float:
    """Return how often each row (n, channels) is there: 1 where rows change unevenly, 0 where hardly any does.

    Rows that all change by as much are steps of what turns or grows steadily, and no repeated ones.

    >>> repeats_of(np.repeat(np.arange(20.0) ** 2, 5)[:, None])
    5.0
    """
    apart, same = np.abs(np.diff(signal, axis=0)).max(axis=1, initial=0), SAME * np.abs(signal).max(initial=0)
    changes = np.flatnonzero(apart > same)
    if len(changes) <= FEWEST_RUNS:
        return 0.0
    runs = np.diff(changes[np.diff(changes, prepend=-2) > 1])  # without those right after another
    if len(runs) < FEWEST_RUNS or len(changes) > MOST_CHANGES * len(signal) or np.ptp(apart[changes]) <= same:
        return 1.0
    usual = float(np.median(runs))
    return usual if runs.max() <= LONGEST_RUN * usual else 1.0
