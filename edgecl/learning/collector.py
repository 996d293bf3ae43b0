"""The rows of one lesson, quantised on arrival and kept by label; a long lesson is spooled to disk.

Repeats are found here: rows that the model was taught before, and rows that a lesson has twice. The same recording
twice is no evidence: a sample that is left out still sees its twin. Rows are compared by the digests that the model
remembers, and by the exemplars that it keeps, since a store of an earlier version remembers nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, EdgeclError
from edgecl.model.exemplars import Exemplars, FeatureMap, digests, person_number, quantise, row_bytes
from edgecl.model.model import Lesson, Model
from edgecl.values import dataclass, replace

TAUGHT_BEFORE = "taught before"
DUPLICATE = "duplicate"
CONTRADICTION = "contradiction"
MOST_NAMED = 3  # labels of one sample in a message


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
            rows[label] = Exemplars(own["row"], own["scale"], people=own["person"] if self._knows_people else None)
            first += len(own)
        return rows

    def _records(self, rows: Exemplars) -> NDArray[np.void]:
        records = np.empty(len(rows), self._record)
        records["scale"], records["row"], records["person"] = rows.scales, rows.rows, rows.who()
        return records


def _cannot_spool(error: OSError) -> EdgeclError:
    return EdgeclError(f"the lesson does not fit in memory and cannot be spooled to disk: {error}")


@dataclass(frozen=True)
class Repeat:
    """A row of a lesson that is not taught, and why."""

    label: str
    source: str
    reason: str
    """DUPLICATE, CONTRADICTION or TAUGHT_BEFORE, then the details."""


@dataclass(frozen=True)
class Sorted:
    """A lesson without its repeats."""

    lesson: Lesson
    """With no rows where all are repeats."""
    keep: Mapping[str, NDArray[np.bool_]]
    """By label: which rows are left, (n,)."""
    repeats: tuple[Repeat, ...]

    @property
    def taught_before(self) -> int:
        """Number of rows that the model was taught before."""
        return sum(one.reason.startswith(TAUGHT_BEFORE) for one in self.repeats)


def without_repeats(model: Model, lesson: Lesson, *, again: bool = False) -> Sorted:
    """Return what is new of a lesson: no row that it has twice, and none that the model was taught under its label.

    A row that the lesson has under two labels is used under neither.

    Parameters
    ----------
    again
        Keep what the model was taught before.
    """
    from edgecl.learning.admission import part_of  # loads the gate, which a reader of samples does not need

    own = {label: digests(rows) for label, rows in lesson.rows.items()}
    places: dict[int, list[tuple[str, int]]] = {}
    for label, found in own.items():
        for row, digest in enumerate(found.tolist()):
            places.setdefault(digest, []).append((label, row))
    before = {} if again else owners(model, lesson, own)
    keep = {label: np.ones(len(found), bool) for label, found in own.items()}
    repeats: list[Repeat] = []
    for digest, where in places.items():
        labels = sorted({label for label, _ in where})
        for index, (label, row) in enumerate(where):
            reason = _reason(lesson, label, labels, where[:index], before.get(digest, frozenset()))
            if reason:
                keep[label][row] = False
                repeats.append(Repeat(label, lesson.source(label, row) or f"{label} {row + 1}", reason))
    return Sorted(part_of(lesson, keep) if repeats else lesson, keep, tuple(repeats))


def _reason(
    lesson: Lesson, label: str, labels: list[str], earlier: list[tuple[str, int]], before: frozenset[str]
) -> str:
    """Say why a row is not taught; empty where it is."""
    if len(labels) > 1:
        named = " and ".join(repr(one) for one in labels[:MOST_NAMED])
        named += f" and {len(labels) - MOST_NAMED} more" if len(labels) > MOST_NAMED else ""
        return f"{CONTRADICTION}: the same sample is called {named} in this lesson, so it is taught as neither"
    if earlier:
        first = lesson.source(*earlier[0]) or f"{label} {earlier[0][1] + 1}"
        return f"{DUPLICATE}: the same as {first}"
    return f"{TAUGHT_BEFORE}: {label!r} has this sample already" if label in before else ""


def owners(model: Model, lesson: Lesson, own: Mapping[str, NDArray[np.int64]]) -> dict[int, frozenset[str]]:
    """Return, by digest of a lesson's rows, the classes that were taught the same row; nothing of rows that are new.

    Parameters
    ----------
    own
        Digests of the lesson's rows, (n,) by label.
    """
    wanted = {one for digests_of_label in own.values() for one in digests_of_label.tolist()}
    scales = {one for rows in lesson.rows.values() for one in rows.scales.tolist()}
    found: dict[int, set[str]] = {}
    for label, kept in model.exemplars.items():
        same = [row for row, scale in enumerate(kept.scales.tolist()) if scale in scales]  # few: these are digested
        known = digests(kept.take(np.array(same, np.intp))).tolist() if same else []
        known += [] if kept.taught is None else kept.taught.tolist()
        for digest in wanted.intersection(known):
            found.setdefault(digest, set()).add(label)
    return {digest: frozenset(labels) for digest, labels in found.items()}


def taught_otherwise(model: Model, lesson: Lesson) -> dict[str, dict[int, str]]:
    """Return, by label and row, the class as which the model was taught the same row, where that is another one.

    Rows whose name their user has confirmed are not among them.
    """
    own = {label: digests(rows) for label, rows in lesson.rows.items()}
    before = owners(model, lesson, own)
    found: dict[str, dict[int, str]] = {}
    for label, one in own.items():
        confirmed = lesson.is_confirmed(label)
        for row, digest in enumerate(one.tolist()):
            others = before.get(digest, frozenset())
            if others and label not in others and not confirmed[row]:
                found.setdefault(label, {})[row] = min(others)
    return found
