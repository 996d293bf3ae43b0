"""Page-Hinkley: a cumulative-sum detector of a change in the mean (Page 1954)."""

from __future__ import annotations

from dataclasses import dataclass

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecl.drift.detector import DriftSignal, require_setting, run_detector
from edgecl.drift.in_place import InPlace


@dataclass(frozen=True, eq=False)
class PageHinkley:
    """The Page-Hinkley test (Page 1954): a cumulative sum that has left its extreme by more than a threshold."""

    packed: NDArray[np.float64]
    """(12,), see kernels.page_hinkley_update."""

    @staticmethod
    def start(*, delta: float = 0.005, threshold: float = 50.0, alpha: float = 0.9999, grace: int = 30) -> PageHinkley:
        """Start a detector that has seen nothing.

        Parameters
        ----------
        delta
            Change of the mean that is tolerated, 0 or more.
        threshold
            Threshold of the sums, in units of the values; above 0.
        alpha
            Share of a sum that is kept at each value, above 0 and at most 1.
        grace
            Values after which changes are reported, 1 or more.

        Raises
        ------
        SettingError
            When one is out of its range.
        """
        require_setting(
            delta >= 0 and threshold > 0, f"delta {delta} and threshold {threshold}, wanted 0 or more, above 0"
        )
        require_setting(0 < alpha <= 1, f"alpha is {alpha}, wanted above 0 and at most 1")
        require_setting(grace >= 1, f"grace is {grace}, wanted 1 or more")
        packed = np.zeros(12)
        packed[8:] = delta, threshold, alpha, grace
        return PageHinkley(packed)

    @property
    def nbytes(self) -> int:
        return self.packed.nbytes

    def in_place(self) -> InPlace[PageHinkley]:
        """Return this detector with a state of its own that is written in place."""
        return InPlace(self, kernels.page_hinkley_update, lambda packed: max(int(packed[11] - packed[0]), 1))

    def update(self, values: ArrayLike) -> DriftSignal:
        packed, changes = run_detector(kernels.page_hinkley_update, self.packed, values)
        return DriftSignal(PageHinkley(packed), changes)
