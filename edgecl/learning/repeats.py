"""Repeats: rows of a lesson that the model was taught before, and rows that a lesson has twice.

The same recording twice is no evidence: a sample that is left out still sees its twin. Rows are compared by the digests
that the model remembers, and by the exemplars that it keeps, since a store of an earlier version remembers nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecl.learning.admission import part_of
from edgecl.model.exemplars import digests
from edgecl.model.model import Lesson, Model

TAUGHT_BEFORE = "taught before"
DUPLICATE = "duplicate"
CONTRADICTION = "contradiction"


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
        named = " and ".join(repr(one) for one in labels)
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
    wanted = np.concatenate([np.zeros(0, np.int64), *own.values()])
    scales = np.concatenate([np.zeros(0, np.float32), *(rows.scales for rows in lesson.rows.values())])
    found: dict[int, set[str]] = {}
    for label, kept in model.exemplars.items():
        same = np.flatnonzero(np.isin(kept.scales, scales))  # few: only of these a digest is computed
        there = digests(kept.take(same)) if len(same) else np.zeros(0, np.int64)
        known = there if kept.taught is None else np.concatenate([kept.taught, there])
        for digest in known[np.isin(known, wanted)].tolist():
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
