"""Whether acceleration has gravity in it: phones offer it with and without, and the two do not mix.

Over a window the mean of the force that a sensor feels is 1 g, but for a change of speed: of acceleration with gravity
no window's mean norm is far below 1 g, however the device turns. Without gravity the mean vector is a change of speed
over the length of the window, which stays small. What is neither, as quick movement without gravity, shows nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from edgecl.errors import DataError
from edgecl.sources.samples import Sample, Skip
from edgecl.sources.scales import acceleration, channel_stem
from edgecl.units import GRAVITY, sensor_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgecl.extractors.contract import Contract

TOGETHER = 8  # samples of one label that are judged together
FEW = 4  # at the end: labels with fewer are judged as one
MOST = 0.75  # of samples that are judged together: more than that show the same
WITH = 0.5  # of 1 g: the mean vector of a window is above it with gravity
WITHOUT = 0.6  # of 1 g: the mean norm of a window is below it without


class Gravity:
    """Compares the acceleration of samples with what was taught, and with the samples before.

    Parameters
    ----------
    taught
        Whether what was taught has gravity in it; None while that is not known.
    """

    def __init__(self, contract: Contract, taught: bool | None) -> None:
        self._axes = acceleration(contract)
        self._contract, self._taught = contract, taught
        self._seen: dict[str | None, Counter[bool | None]] = {}  # by label: what its latest samples show
        self.is_in = taught
        """Whether there is gravity, of what was taught and what came; None while that is not known."""

    def same(self, items: Iterator[Sample | Skip]) -> Iterator[Sample | Skip]:
        """Pass samples, unless they have gravity where others have none; a sample that was scaled is not judged.

        Raises
        ------
        DataError
            As above: the first samples are judged before they are passed, others a few at a time, and at the end.
        """
        first = list(islice(items, TOGETHER))
        for item in first:
            self._judge(item)
        if len(first) < TOGETHER:  # there are no more
            self._judge_rest(first)
        yield from first
        for item in items:
            self._judge(item)
            yield item
            first = [item]  # the latest
        self._judge_rest(first)

    def check(self, signal: NDArray[np.float32], source: str) -> None:
        """Compare one signal (n, channels); raises as `same`."""
        self._compare(Counter([self._shown(signal)]), source)

    def _judge(self, item: Sample | Skip) -> None:
        if self._axes is None or isinstance(item, Skip) or item.is_scaled or item.signal.ndim != 2:
            return
        seen = self._seen.setdefault(item.label, Counter())
        seen[self._shown(item.signal)] += 1
        if seen.total() == TOGETHER:
            self._compare(self._seen.pop(item.label), item.source)

    def _judge_rest(self, latest: Sequence[Sample | Skip]) -> None:
        """Compare what is not yet judged, which ends with one of the `latest`."""
        many = [one for one in self._seen.values() if one.total() >= FEW]
        few = sum((one for one in self._seen.values() if one.total() < FEW), Counter[bool | None]())
        self._seen = {}
        for one in (*many, few):
            self._compare(one, latest[-1].source if latest else "")

    def _compare(self, seen: Counter[bool | None], source: str) -> None:
        found = next((one for one in (True, False) if seen[one] > MOST * seen.total()), None)
        if found is None or found == self.is_in:
            return
        if self.is_in is not None:
            axis = self._contract.channels[self._axes[0]] if self._axes else ""
            raise DataError(
                f"{source}: the acceleration has {_words(found)}, and "
                f"{'what was taught' if self._taught is not None else 'that of the samples before'} has "
                f"{_words(self.is_in)}: record all of it with gravity, or all without (phones offer both), "
                "and in one unit; "
                f"or give the factors of channels, such as {channel_stem(axis)}=1, which takes the values as they are",
                parameter="scale",
            )
        self.is_in = found

    def _shown(self, signal: NDArray[np.float32]) -> bool | None:
        """Return whether a signal (n, channels) has gravity in it; None where it shows nothing."""
        if self._axes is None:
            return None
        force = signal[:, self._axes].astype(np.float64) / GRAVITY[sensor_unit(self._contract.units[self._axes[0]])]
        if np.linalg.norm(force.mean(axis=0)) > WITH:
            return True
        return False if 0 < np.linalg.norm(force, axis=1).mean() < WITHOUT else None  # zeros are of no sensor


def _words(is_in: bool) -> str:
    return "gravity in it" if is_in else "no gravity in it"
