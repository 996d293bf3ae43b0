"""ADWIN: adaptive windowing (Bifet and Gavaldà 2007).

Examples
--------
>>> signal = Adwin.start().update([0.0] * 500 + [1.0] * 64)
>>> signal.changes
(Change(at=511, direction=1, since=256),)
>>> signal.detector.update([1.0] * 100).has_drifted
False
"""

from __future__ import annotations

from dataclasses import dataclass

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecl.drift.detector import DriftSignal, require_setting, run_detector
from edgecl.drift.in_place import InPlace

BUCKETS = 5  # buckets of each size, as in the paper's experiments
ROWS = 26  # sizes of buckets: windows of up to 5 * 2^26 values in 2.8 KiB


@dataclass(frozen=True, eq=False)
class Adwin:
    """Adaptive windowing (Bifet and Gavaldà 2007): cuts the window where its two parts differ significantly.

    With the same settings its alarms are those of River's ADWIN: `tools/drift_table` compares them.
    """

    packed: NDArray[np.float64]
    """(1 + ROWS, 3 + 2 BUCKETS), see kernels.adwin_update."""

    @staticmethod
    def start(*, delta: float = 0.002, clock: int = 32, shortest: int = 5, grace: int = 10) -> Adwin:
        """Start a detector that has seen nothing.

        Parameters
        ----------
        delta
            Chance of a false alarm at a check, as the paper bounds it for values of [0, 1]; above 0, below 1.
        clock
            Values from check to check, 1 or more.
        shortest
            Values that a part of a cut must have, 1 or more.
        grace
            Values up to which nothing is checked, 3 or more.

        Raises
        ------
        SettingError
            When one is out of its range.
        """
        require_setting(0 < delta < 1, f"delta is {delta}, wanted above 0 and below 1")
        require_setting(clock >= 1 and shortest >= 1, f"clock {clock} and shortest {shortest}, wanted 1 or more")
        require_setting(grace >= 3, f"grace is {grace}, wanted 3 or more")
        packed = np.zeros((1 + ROWS, 3 + 2 * BUCKETS))
        packed[0, 4:8] = delta, clock, shortest, grace
        return Adwin(packed)

    @property
    def nbytes(self) -> int:
        return self.packed.nbytes

    @property
    def width(self) -> int:
        """Values in the window."""
        return int(self.packed[0, 0])

    @property
    def mean(self) -> float:
        """Mean of the window; 0 where it is empty."""
        return float(self.packed[0, 1] / max(self.packed[0, 0], 1))

    def in_place(self) -> InPlace[Adwin]:
        """Return this detector with a state of its own that is written in place."""
        return InPlace(self, kernels.adwin_update, lambda packed: max(int(packed[0, 5] - packed[0, 3]), 1))

    def update(self, values: ArrayLike) -> DriftSignal:
        packed, changes = run_detector(kernels.adwin_update, self.packed, values)
        return DriftSignal(Adwin(packed), changes)
