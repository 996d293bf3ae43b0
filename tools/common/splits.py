"""The splits that every accuracy figure of edgecl is measured on, fixed before anything was tuned.

Nobody who teaches is tested: a split leaves whole speakers or subjects out, never single clips (windows of one
recording overlap, and clips of one speaker are alike). Every group is left out exactly once, so the splits of a
set have disjoint test data and are the unit of its intervals:

=================  =================================  ==========================================
set                groups                             splits
=================  =================================  ==========================================
speech_commands    152 speakers                       5 folds of about 30 speakers
fsdd               6 speakers                         6, one speaker each
hapt_uci_har       30 subjects                        5 folds of 6 subjects
geotec_watch       23 subjects                        5 folds of 4 or 5 subjects
spar_watch         10 subjects                        5 folds of 2 subjects
physio_exercises   5 subjects                         5, one subject each
=================  =================================  ==========================================

Folds are drawn from a seed: the first of 0, 1, 2, ... for which every class has a sample to test with and
FEWEST_TAUGHT to learn from in every fold. Nothing but names is looked at.

A label of speech_commands takes part when it has at least FEWEST_CLIPS clips by at least FEWEST_GROUPS speakers and
is a word, which leaves 29 of 36; in the other sets every label does.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FEWEST_CLIPS = 8
FEWEST_GROUPS = 2
FEWEST_TAUGHT = 5  # of every class in every split, so that five shots can be drawn
NOT_WORDS = ("_silence_",)
CLASS_ORDERS = 3
LESSONS = 5
NEW_AT_ONCE = 3  # classes that the five-shot row adds to a model of all others
SEEDS = 100_000


@dataclass(frozen=True)
class DataSet:
    """A set of recordings below the data folder."""

    name: str
    modality: str  # "voice": <label>/<speaker>_<n> files; "imu": windows.npz with y, label_names and subject
    folds: int | None  # None: every group is a split of its own

    def path(self, root: Path) -> Path:
        """Return the path that `edgecl learn` is given."""
        return root / self.name if self.modality == "voice" else root / self.name / "windows.npz"


@dataclass(frozen=True)
class Split:
    """Groups that are tested; all others teach."""

    name: str
    unseen: frozenset[str]


SETS = {
    one.name: one
    for one in (
        DataSet("speech_commands", "voice", folds=5),
        DataSet("fsdd", "voice", folds=None),
        DataSet("hapt_uci_har", "imu", folds=5),
        DataSet("geotec_watch", "imu", folds=5),
        DataSet("spar_watch", "imu", folds=5),
        DataSet("physio_exercises", "imu", folds=None),
    )
}


OUT_OF_SCOPE = "oos"  # texts of no intent, asked about and never taught


@dataclass(frozen=True)
class TextSet:
    """Texts with intents, divided into training and test texts by their authors."""

    name: str
    first: int  # intents in the first lesson
    monthly: int  # new ones in each of the others

    def path(self, root: Path) -> Path:
        return root / self.name / "data.jsonl"


TEXT_SETS = {
    one.name: one
    for one in (
        TextSet("clinc150", first=100, monthly=3),
        TextSet("hwu64", first=40, monthly=3),
        TextSet("snips", first=4, monthly=1),
    )
}


def months(order: Sequence[str], data: TextSet) -> tuple[tuple[str, ...], ...]:
    """The intents of each lesson: many at first, then a few a month.

    >>> months("abcdefg", TextSet("", first=4, monthly=2))
    (('a', 'b', 'c', 'd'), ('e', 'f'), ('g',))
    """
    starts = range(data.first, len(order), data.monthly)
    return (tuple(order[: data.first]), *(tuple(order[first : first + data.monthly]) for first in starts))


def data_root() -> Path:
    """Return the folder of the sets, possibly missing: ``$EDGECL_DATA``, else ``../shared/data`` of the checkout."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("EDGECL_DATA") or beside)


def names_of(data: DataSet, root: Path) -> tuple[list[str], list[str]]:
    """Return labels and groups of every sample of a set, without reading a sample."""
    path = data.path(root)
    if data.modality == "voice":
        files = sorted(path.glob("*/*_*.*"))
        return [file.parent.name for file in files], [file.stem.rpartition("_")[0] for file in files]
    with np.load(path, allow_pickle=False) as windows:
        return windows["label_names"][windows["y"]].tolist(), windows["subject"].astype(str).tolist()


def taking_part(data: DataSet, labels: Sequence[str], groups: Sequence[str]) -> tuple[str, ...]:
    """The labels that are learnt and tested, sorted.

    Parameters
    ----------
    labels, groups
        Of every sample.
    """
    if data.name != "speech_commands":
        return tuple(sorted(set(labels)))
    clips = Counter(labels)
    speakers = Counter(label for label, _ in set(zip(labels, groups, strict=True)))
    enough = (one for one in clips if clips[one] >= FEWEST_CLIPS and speakers[one] >= FEWEST_GROUPS)
    return tuple(sorted(set(enough) - set(NOT_WORDS)))


def splits(data: DataSet, labels: Sequence[str], groups: Sequence[str]) -> tuple[Split, ...]:
    """The splits of a set; labels and groups are those of the samples that take part.

    Raises
    ------
    ValueError
        When no seed leaves every class on both sides.
    """
    names = sorted(set(groups))
    if data.folds is None:
        return tuple(Split(name, frozenset([name])) for name in names)
    known, table = _count_table(labels, groups)
    assert known == names
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(len(names))
        folds = np.array_split(order, data.folds)
        tested = np.array([table[fold].sum(axis=0) for fold in folds])  # (folds, classes)
        if tested.min() >= 1 and (table.sum(axis=0) - tested).min() >= FEWEST_TAUGHT:
            return tuple(
                Split(f"fold {number}", frozenset(names[index] for index in fold))
                for number, fold in enumerate(folds, start=1)
            )
    raise ValueError(f"{data.name}: no seed below {SEEDS} leaves every class on both sides of {data.folds} folds")


def _count_table(labels: Iterable[str], groups: Iterable[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Sorted groups, and samples (groups, classes)."""
    names, rows = np.unique(np.array(list(groups)), return_inverse=True)
    classes, columns = np.unique(np.array(list(labels)), return_inverse=True)
    table = np.zeros((len(names), len(classes)), np.int64)
    np.add.at(table, (rows, columns), 1)
    return names.tolist(), table


def class_orders(labels: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The orders in which the classes are taught, the same for every split of a set."""
    names = sorted(set(labels))
    orders = (np.random.default_rng(seed).permutation(len(names)) for seed in range(CLASS_ORDERS))
    return tuple(tuple(names[index] for index in order) for order in orders)


def lessons(order: Sequence[str], count: int = LESSONS) -> tuple[tuple[str, ...], ...]:
    """The classes of each lesson: an order cut into `count` parts as equal as they can be.

    >>> lessons("abcdefgh", 5)
    (('a', 'b'), ('c', 'd'), ('e', 'f'), ('g',), ('h',))
    """
    return tuple(tuple(order[index] for index in part) for part in np.array_split(np.arange(len(order)), count))


def new_classes(order: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Rounds of the five-shot row: every class is new once, NEW_AT_ONCE together, but never half of all or more.

    >>> new_classes("abcdef")
    (('a', 'b'), ('c', 'd'), ('e', 'f'))
    """
    at_once = min(NEW_AT_ONCE, max((len(order) - 1) // 2, 1))
    return lessons(order, -(-len(order) // at_once))
