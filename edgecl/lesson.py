"""The rows of one lesson, quantised on arrival and kept by label; a long lesson is spooled to disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, EdgeclError
from edgecl.features import FeatureMap
from edgecl.replay import Exemplars, quantise, row_bytes


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


class LessonCollector:
    """Quantises latents as they come; all rows go to files, one a label, when they outgrow the memory.

    Parameters
    ----------
    limit_bytes
        What may be held in memory.
    spool
        The folder for the files; made when it is needed, removed by the caller.
    """

    def __init__(self, features: FeatureMap, *, limit_bytes: int, spool: Path) -> None:
        self.count = 0
        self._features = features
        self._record = np.dtype([("scale", "<f4"), ("row", "i1", (features.row_dimension,))])
        self._limit_bytes = limit_bytes
        self._spool = spool
        self._held: dict[str, list[Exemplars]] = {}
        self._held_bytes = 0
        self._files: dict[str, Path] = {}

    def add(self, label: str, latents: NDArray[np.float32]) -> None:
        """Add latents (n, D) of one label.

        Raises
        ------
        DataError
            When one is not finite.
        EdgeclError
            When the spool cannot be written.
        """
        if not np.isfinite(latents).all():
            raise DataError(f"a latent of {label!r} is not finite: was the extractor given NaN or infinity?")
        rows = quantise(self._features.project(latents))
        self._held.setdefault(label, []).append(rows)
        self._held_bytes += len(rows) * row_bytes(self._features.row_dimension)
        self.count += len(rows)
        if self._held_bytes > self._limit_bytes:
            self._flush()

    def finish(self) -> Lesson:
        """The lesson; the collector is not to be used again."""
        if self._files:
            self._flush()
            return Lesson({label: self._mapped(path) for label, path in sorted(self._files.items())})
        return Lesson({label: _joined(parts) for label, parts in sorted(self._held.items())})

    def _flush(self) -> None:
        try:
            self._spool.mkdir(exist_ok=True)
            for label, parts in self._held.items():
                path = self._files.setdefault(label, self._spool / f"{len(self._files):04d}.rows")
                with path.open("ab") as file:
                    for part in parts:
                        file.write(self._records(part).tobytes())
        except OSError as error:
            raise EdgeclError(f"the lesson does not fit in memory and cannot be spooled to disk: {error}") from error
        self._held, self._held_bytes = {}, 0

    def _records(self, rows: Exemplars) -> NDArray[np.void]:
        records = np.empty(len(rows), self._record)
        records["scale"], records["row"] = rows.scales, rows.rows
        return records

    def _mapped(self, path: Path) -> Exemplars:
        records = np.memmap(path, dtype=self._record, mode="r")
        return Exemplars(records["row"], records["scale"])


def _joined(parts: list[Exemplars]) -> Exemplars:
    return Exemplars(np.concatenate([part.rows for part in parts]), np.concatenate([part.scales for part in parts]))
