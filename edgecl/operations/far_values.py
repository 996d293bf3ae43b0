"""Values of a table that its extractor cuts: where most of a column are, it may be in another unit than it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.notes import Logger
from edgecl.sources.tables import CUT, NUMBER, SCALED

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract

logger = Logger(__name__)
FEWEST_ROWS = 20
SHARE = 0.5


class FarValues:
    """Counts, for each column of numbers, the rows whose value is cut."""

    def __init__(self, contract: Contract) -> None:
        is_scaled = contract.modality == "table" and contract.source.startswith(SCALED)
        units = contract.units if is_scaled else ()
        self._names = [name for name, unit in zip(contract.channels, units, strict=False) if unit == NUMBER]
        self._cut = np.zeros(len(self._names), np.int64)
        self._rows = 0

    def add(self, latents: NDArray[np.float32]) -> None:
        """Count latents (n, D), whose first columns are those of numbers."""
        self._rows += len(latents)
        self._cut += (np.abs(latents[:, : len(self._names)]) >= CUT).sum(axis=0)

    def warn(self) -> None:
        """Warn of each column of which most values are cut."""
        for note in self.notes():
            logger.warning("%s", note)

    def notes(self) -> Iterator[str]:
        """Yield a sentence on each column of which most values are cut."""
        for name, count in zip(self._names, self._cut.tolist(), strict=True):
            if self._rows >= FEWEST_ROWS and count > SHARE * self._rows:
                yield (
                    f"{count} of {self._rows} values of {name!r} lie far beyond those that the extractor was made by, "
                    "and are cut: is the column in another unit, or a time that goes on?"
                )
