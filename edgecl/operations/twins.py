"""Repeats and near-twins of a lesson: samples that are one recording, whatever their files say, are one witness."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edgecl.errors import DataError
from edgecl.learning.collector import CONTRADICTION, taught_otherwise, without_repeats
from edgecl.model.exemplars import digests, quantise, recording_number
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
MOST_ROWS_ACROSS = 2048  # that are compared with those of other labels
MOST_ROWS_EACH = 1 << 16
FEW_BLOCK = 32
Place = tuple[str, int]  # label and row


def is_recorded(contract: Contract) -> bool:
    """Test whether two samples that are equal are one: rows of a table may be alike, and each seen."""
    return bool(contract.sample_rate_hz) or contract.modality in ("text", "image")


class Taught:
    """Counts the samples that a model was taught, as far as it remembers them."""

    def __init__(self, model: Model) -> None:
        self.count = 0
        self._model, self._known = model, set[int]()
        for kept in model.exemplars.values():
            self._known.update(digests(kept).tolist(), [] if kept.taught is None else kept.taught.tolist())

    def count_in(self, latents: NDArray[np.float32]) -> None:
        """Count those of latents (n, D) that the model was taught, whatever their label was."""
        for latent in self._model.centred(latents):
            row = quantise(self._model.settings.features.project(latent[None]))
            self.count += int(digests(row)[0]) in self._known


def new_of(
    model: Model, lesson: Lesson, signals: KeptSignals, skipped: list[Skip], contract: Contract, *, again: bool
) -> tuple[Lesson, int]:
    """Return the lesson without its repeats, which are skipped, and how many of these were taught before.

    Copies of one sample under two labels are skipped too: at another level, in another format, with other punctuation.

    Raises
    ------
    DataError
        When nothing is left, and none of it was taught before.
    """
    found = without_repeats(model, lesson, again=again)
    repeated = [Skip(one.source, one.reason) for one in found.repeats]
    signals.only(found.keep)
    left, copied = _without_copies(found.lesson, signals, contract)
    skipped += repeated + copied
    if not left.count and not found.taught_before:
        first = (repeated + copied)[0]
        raise DataError(f"nothing to learn: {first.source}: {first.reason}")
    return replace(left, otherwise=taught_otherwise(model, left)), found.taught_before


def _without_copies(lesson: Lesson, signals: KeptSignals, contract: Contract) -> tuple[Lesson, list[Skip]]:
    """Return the lesson without what it has under two labels, if not bit for bit, and the skips of that."""
    labels = sorted(lesson.rows)
    if len(labels) < 2 or (contract.modality not in ("text", "image") and not contract.is_sound):
        return lesson, []
    places = [(label, row) for label in labels for row in range(min(len(lesson.rows[label]), MOST_ROWS_EACH))]
    pairs = _same_words(places, signals) if contract.modality == "text" else _copies(lesson, places, signals, contract)
    skips: dict[tuple[str, int], Skip] = {}
    for pair in pairs:
        one, two = (lesson.source(*place) or f"{place[0]} {place[1] + 1}" for place in pair)
        for place, own, other in ((pair[0], one, two), (pair[1], two, one)):
            named = " and ".join(repr(label) for label, _ in pair)
            why = f"{CONTRADICTION}: a copy of {other}: called {named} in this lesson, so it is taught as neither"
            skips.setdefault(place, Skip(own, why))
    if not skips:
        return lesson, []
    from edgecl.learning.admission import part_of

    keep = {label: np.ones(len(rows), bool) for label, rows in lesson.rows.items()}
    for label, row in skips:
        keep[label][row] = False
    signals.only(keep)
    return part_of(lesson, keep), list(skips.values())


def _copies(lesson: Lesson, places: list[Place], signals: KeptSignals, contract: Contract) -> list[tuple[Place, Place]]:
    """The pairs of rows of different labels that are the same recording or picture."""
    from edgecl.sources.twins import copies

    each = max(MOST_ROWS_ACROSS // len(lesson.rows), 1)
    places = [place for place in places if place[1] < each]
    labels = sorted(lesson.rows)
    latents = np.concatenate([block for label in labels for block in lesson.rows[label].first(each).blocks(FEW_BLOCK)])
    numbers = np.array([labels.index(label) for label, _ in places], np.intp)
    found = copies(lambda at: signals.get(*places[at]), latents, numbers, contract, most_pairs=MOST_PAIRS)
    return [(places[one], places[two]) for one, two in found]


def _same_words(places: list[Place], signals: KeptSignals) -> list[tuple[Place, Place]]:
    """The pairs of texts of different labels that differ in case and punctuation alone."""
    from edgecl.sources.twins import words

    first: dict[tuple[str, ...], list[Place]] = {}
    for place in places:
        if (signal := signals.get(*place)) is not None:
            first.setdefault(words(signal), []).append(place)
    return [
        (one, next(two for two in alike if two[0] != one[0]))
        for alike in first.values()
        if len({label for label, _ in alike}) > 1
        for one in alike
    ]


def by_recording(lesson: Lesson, signals: KeptSignals, contract: Contract, *, whole: Lesson) -> Lesson:
    """Return a lesson that knows which of its samples are of one recording: as they say, and by their signals.

    Its rows have the number of their recording, by which they are known when they are kept: that of its first row in
    the `whole` lesson, before repeats were left out, so that a recording which is taught in two parts has one number.
    """
    if not is_recorded(contract):
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
            "%d samples are the same %s as another, such as %s and %s: they count as one",
            len(twins), {"image": "picture", "text": "text"}.get(contract.modality, "recording"), *twins[0],
        )  # fmt: skip
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
    if contract.modality == "text":
        return _first_of_words(signals, label, said)
    from edgecl.sources.twins import MOST_ROWS, takes

    looked_at = rows.first(MOST_ROWS)
    found = takes(
        lambda row: signals.get(label, row), looked_at.blocks(FEW_BLOCK), contract,
        known=said[: len(looked_at)].tolist(), most_pairs=most_pairs,
    )  # fmt: skip
    joined: NDArray[np.intp] = np.concatenate([found, said[len(looked_at) :]])
    joined[len(looked_at) :] = joined[joined[len(looked_at) :]]  # a later window of a recording that was joined
    return joined


def _first_of_words(signals: KeptSignals, label: str, said: NDArray[np.intp]) -> NDArray[np.intp]:
    """The index of the first text of the same words as each one, (n,)."""
    from edgecl.sources.twins import words

    first: dict[tuple[str, ...], int] = {}
    texts = (signals.get(label, row) for row in range(len(said)))
    same = (row if text is None else first.setdefault(words(text), row) for row, text in enumerate(texts))
    return np.fromiter(same, np.intp, len(said))


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
