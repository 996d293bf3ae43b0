"""A lesson: quantised rows by label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgecl.model.exemplars import Exemplars


@dataclass(frozen=True)
class Lesson:
    """Quantised rows by label, in the order in which they came."""

    rows: Mapping[str, Exemplars]
    time: str = ""  # when it was taught: UTC, ISO 8601

    @property
    def count(self) -> int:
        return sum(len(rows) for rows in self.rows.values())

    @property
    def nbytes(self) -> int:
        """Of the rows held in memory; spooled rows are pages of a file."""
        return sum(rows.nbytes for rows in self.rows.values() if not isinstance(rows.rows.base, np.memmap))
