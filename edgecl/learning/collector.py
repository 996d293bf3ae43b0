"""The rows of one lesson, quantised on arrival and kept by label; a long lesson is spooled to disk."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, EdgeclError
from edgecl.model.exemplars import Exemplars, FeatureMap, person_number, quantise, row_bytes
from edgecl.model.model import Lesson
from edgecl.values import replace


class LessonCollector:
    """Quantises latents on arrival; spools all rows to a file when they outgrow the memory.

    The file has no name: whatever ends the process, nothing is left behind.

    Parameters
    ----------
    limit_bytes
        Bytes of rows that may be in memory.
    spool
        The folder for the file; None: the default one for temporary files.

    Examples
    --------
    >>> collector = LessonCollector(FeatureMap(3, 0, 0, 0, 8), limit_bytes=1 << 16, spool=None)
    >>> collector.add("yes", np.ones((2, 3), np.float32))
    >>> collector.finish().count
    2
    """

    def __init__(self, features: FeatureMap, *, limit_bytes: int, spool: Path | None) -> None:
        self.count = 0
        self._features = features
        self._record = np.dtype([("scale", "<f4"), ("row", "i1", (features.row_dimension,)), ("person", "u1")])
        self._knows_people = False
        self._limit_bytes = limit_bytes
        self._spool = spool
        self._held: dict[str, list[Exemplars]] = {}
        self._held_bytes = 0
        self._file: BinaryIO | None = None
        self._spooled = 0  # rows
        self._pieces: dict[str, list[tuple[int, int]]] = {}  # by label: first row in the file and how many

    def add(self, label: str, latents: NDArray[np.float32], *, person: str | None = None) -> None:
        """Add latents (n, D) of one label, by one person where that is known.

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
        if person is not None:
            self._knows_people = True
            rows = replace(rows, people=np.full(len(rows), person_number(person), np.uint8))
        self._held.setdefault(label, []).append(rows)
        self._held_bytes += len(rows) * row_bytes(self._features.row_dimension)
        self.count += len(rows)
        if self._held_bytes > self._limit_bytes:
            self._flush()

    def finish(self) -> Lesson:
        """Return the lesson; the collector cannot be used again."""
        if self._file:
            self._flush()
            return Lesson(self._by_label())
        return Lesson({label: Exemplars.joined(parts) for label, parts in sorted(self._held.items())})

    def _flush(self) -> None:
        try:
            import tempfile

            self._file = self._file or tempfile.TemporaryFile(dir=self._spool)  # noqa: SIM115 (open until `finish`)
            for label, parts in self._held.items():
                for part in parts:
                    self._file.write(self._records(part).tobytes())
                    self._pieces.setdefault(label, []).append((self._spooled, len(part)))
                    self._spooled += len(part)
        except OSError as error:
            raise _cannot_spool(error) from error
        self._held, self._held_bytes = {}, 0

    def _by_label(self) -> dict[str, Exemplars]:
        """Return the spooled rows of each label, as pages of a second file in which they are together."""
        assert self._file is not None
        size = self._record.itemsize
        try:
            import tempfile

            with self._file, tempfile.TemporaryFile(dir=self._spool) as ordered:
                for _, pieces in sorted(self._pieces.items()):
                    for first, count in pieces:
                        self._file.seek(first * size)
                        ordered.write(self._file.read(count * size))
                ordered.flush()
                records = np.memmap(ordered, self._record, mode="r")
        except OSError as error:
            raise _cannot_spool(error) from error
        rows, first = {}, 0
        for label, pieces in sorted(self._pieces.items()):
            own = records[first : first + sum(count for _, count in pieces)]
            rows[label] = Exemplars(own["row"], own["scale"], own["person"] if self._knows_people else None)
            first += len(own)
        return rows

    def _records(self, rows: Exemplars) -> NDArray[np.void]:
        records = np.empty(len(rows), self._record)
        records["scale"], records["row"], records["person"] = rows.scales, rows.rows, rows.who()
        return records


def _cannot_spool(error: OSError) -> EdgeclError:
    return EdgeclError(f"the lesson does not fit in memory and cannot be spooled to disk: {error}")
