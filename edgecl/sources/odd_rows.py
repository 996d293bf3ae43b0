"""Rows of movement that no sensor gave: zeros in place of lost ones, and values written again until the next came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.notes import Logger
from edgecl.sources.gravity import WITH
from edgecl.sources.samples import Sample, Skip
from edgecl.sources.scales import acceleration
from edgecl.units import GRAVITY, sensor_unit

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract

logger = Logger(__name__)
MOST_LOST = 0.5  # of a window's rows: what is zero for longer is at rest, without gravity
SAME = 1e-6  # of the largest value: what two rows that are one differ by after resampling
FEWEST_RUNS = 6  # of equal rows in a window, between its first and its last one
LONGEST_RUN = 2.0  # times the median, where rows are repeated evenly; at rest runs are of all lengths
MOST_CHANGES = 0.7  # of the rows, where each comes again and resampling makes one between two of them
FEWEST_WINDOWS, SHARE = 4, 0.4  # of a label, of those that change: coarse steps make a fifth at most


def noted(items: Iterator[Sample | Skip], contract: Contract) -> Iterator[Sample | Skip]:
    """Pass windows of movement; at their end a warning counts those with lost rows, and those with repeated ones."""
    count, lost, changing = 0, list[str](), Counter[str | None]()
    repeats: dict[str | None, list[tuple[float, str]]] = {}  # by label, as loggers may be
    for item in items:
        if isinstance(item, Sample) and item.signal.ndim == 2:
            count += 1
            if has_lost_rows(item.signal, contract):
                lost.append(item.source)
            times = repeats_of(item.signal)
            changing[item.label] += times > 0
            if times > 1:
                repeats.setdefault(item.label, []).append((times, item.source))
        yield item
    if lost:
        logger.warning(
            "in %d of %d windows rows are zero, without gravity amid gravity, such as %s: leave out rows that were "
            "lost: zeros are learnt like any others",
            len(lost), count, lost[0],
        )  # fmt: skip
    if held := [one for label, few in repeats.items() if is_many(len(few), changing[label]) for one in few]:
        times = float(np.median([one[0] for one in held]))
        logger.warning(
            "in %d of %d windows each row is there %.3g times, such as %s: the sensor gave %.3g Hz, and %.4g Hz are "
            "wanted: record faster",
            len(held), count, times, held[0][1], contract.sample_rate_hz / times, contract.sample_rate_hz,
        )  # fmt: skip


def is_many(count: int, changing: int) -> bool:
    """Test whether so many windows of a label that repeat their rows are more than coarse steps make."""
    return count >= max(FEWEST_WINDOWS, SHARE * changing)


def has_lost_rows(signal: NDArray[np.float32], contract: Contract) -> bool:
    """Test whether rows (n, channels) are zero, where the acceleration of the others has gravity in it."""
    is_zero = ~signal.any(axis=1)
    if not 0 < is_zero.sum() < MOST_LOST * len(signal) or (axes := acceleration(contract)) is None:
        return False
    force = signal[~is_zero][:, axes].mean(axis=0, dtype=np.float64)
    return bool(np.linalg.norm(force) > WITH * GRAVITY[sensor_unit(contract.units[axes[0]])])


def repeats_of(signal: NDArray[np.float32]) -> float:
    """Return how often each row (n, channels) is there: 1 where rows change unevenly, 0 where hardly any does.

    >>> repeats_of(np.repeat(np.arange(20.0), 5)[:, None])
    5.0
    """
    apart = np.abs(np.diff(signal, axis=0)).max(axis=1, initial=0)
    changes = np.flatnonzero(apart > SAME * np.abs(signal).max(initial=0))
    if len(changes) <= FEWEST_RUNS:
        return 0.0
    runs = np.diff(changes[np.diff(changes, prepend=-2) > 1])  # without those right after another
    if len(runs) < FEWEST_RUNS or len(changes) > MOST_CHANGES * len(signal):
        return 1.0
    usual = float(np.median(runs))
    return usual if runs.max() <= LONGEST_RUN * usual else 1.0
