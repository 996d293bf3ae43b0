"""Repeats and near-twins of a lesson: samples that are one recording, whatever their files say, are one witness."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edgecl.errors import DataError
from edgecl.learning.collector import taught_otherwise, without_repeats
from edgecl.model.exemplars import digests, recording_number
from edgecl.notes import Logger
from edgecl.sources.samples import Skip
from edgecl.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgecl.extractors.contract import Contract
    from edgecl.model.exemplars import Exemplars
    from edgecl.model.model import Lesson, Model
    from edgecl.operations.kept_signals import KeptSignals

logger = Logger(__name__)
SAME_ROW = 0.993  # cosine of rows of sound; no two takes come so near, see tools/results/twins_table.md
MOST_PAIRS = 1000  # of signals that are compared in a lesson: about a second
FEW_BLOCK = 32


def is_recorded(contract: Contract) -> bool:
    """Test whether two samples that are equal are one: rows of a table may be alike, and each seen."""
    return bool(contract.sample_rate_hz) or contract.modality in ("text", "image")


def new_of(
    model: Model, lesson: Lesson, signals: KeptSignals, skipped: list[Skip], *, again: bool
) -> tuple[Lesson, int]:
    """Return the lesson without its repeats, which are skipped, and how many of these were taught before.

    Raises
    ------
    DataError
        When nothing is left, and none of it was taught before.
    """
    found = without_repeats(model, lesson, again=again)
    skipped += [Skip(one.source, one.reason) for one in found.repeats]
    signals.only(found.keep)
    if not found.lesson.count and not found.taught_before:
        raise DataError(f"nothing to learn: {found.repeats[0].source}: {found.repeats[0].reason}")
    return replace(found.lesson, otherwise=taught_otherwise(model, found.lesson)), found.taught_before


def by_recording(lesson: Lesson, signals: KeptSignals, contract: Contract, *, whole: Lesson) -> Lesson:
    """Return a lesson that knows which of its samples are of one recording: as they say, and by their signals.

    Its rows have the number of their recording, by which they are known when they are kept: that of its first row in
    the `whole` lesson, before repeats were left out, so that a recording which is taught in two parts has one number.
    """
    if not contract.sample_rate_hz:
        return lesson
    rows, recordings, twins = dict(lesson.rows), dict(lesson.recordings), []
    for label, one in lesson.rows.items():
        said = _said(lesson, label)
        first = _first(one, signals, label, contract, said, most_pairs=MOST_PAIRS // len(lesson.rows))
        twins += [(lesson.source(label, row), lesson.source(label, int(of)))
                  for row, of in enumerate(first) if of != said[row]]  # fmt: skip
        counts = np.bincount(first, minlength=len(one))
        if (counts > 1).any():
            recordings[label] = [f"{label} {index}" for index in first.tolist()]
        if (counts > 1).any() or label in whole.recordings:
            rows[label] = replace(one, recordings=_numbers(lesson, whole, label, first, counts))
    if twins:
        logger.warning(
            "%d samples are the same recording as another, such as %s and %s: they count as one", len(twins), *twins[0]
        )
    like = SAME_ROW if contract.is_sound else math.inf
    return replace(lesson, rows=rows, recordings=recordings, like=like)


def _said(lesson: Lesson, label: str) -> NDArray[np.intp]:
    """The index of the first row of the recording that each row is said to be of, (n,)."""
    names: Sequence[str] = lesson.recordings.get(label, ())
    if not names:
        return np.arange(len(lesson.rows[label]))
    first: dict[str, int] = {}
    return np.array([first.setdefault(name, row) for row, name in enumerate(names)], np.intp)


def _first(
    rows: Exemplars,
    signals: KeptSignals,
    label: str,
    contract: Contract,
    said: NDArray[np.intp],
    *,
    most_pairs: int,
) -> NDArray[np.intp]:
    """The index of the first row of the recording that each row is of, (n,)."""
    if len(rows) < 2 or len(set(said.tolist())) < 2:
        return said
    from edgecl.sources.twins import MOST_ROWS, takes

    looked_at = rows.first(MOST_ROWS)
    found = takes(
        lambda row: signals.get(label, row), looked_at.blocks(FEW_BLOCK), contract,
        known=said[: len(looked_at)].tolist(), most_pairs=most_pairs,
    )  # fmt: skip
    joined: NDArray[np.intp] = np.concatenate([found, said[len(looked_at) :]])
    joined[len(looked_at) :] = joined[joined[len(looked_at) :]]  # a later window of a recording that was joined
    return joined


def _numbers(
    lesson: Lesson, whole: Lesson, label: str, first: NDArray[np.intp], counts: NDArray[np.intp]
) -> NDArray[np.uint8]:
    """The number of each row's recording; 0 of rows that are alone."""
    names, all_names = lesson.recordings.get(label, ()), list(whole.recordings.get(label, ()))
    often = Counter(all_names)
    found = np.zeros(len(first), np.uint8)
    for row in sorted(set(first.tolist())):
        if counts[row] < 2 and not (names and often[names[row]] > 1):
            continue
        source, at = (whole, all_names.index(names[row])) if names and all_names else (lesson, row)
        found[row] = recording_number(int(digests(source.rows[label].take(np.array([at])))[0]))
    numbers: NDArray[np.uint8] = found[first]
    return numbers
