"""The user's recordings as streams of experiences, split by speaker or subject."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, SettingError
from edgecl.sources.samples import Sample, Skip

if TYPE_CHECKING:
    from edgecl.extractors.base import Extractor

Rows = NDArray[np.intp]

SCENARIOS = ("class", "domain")
SIGNALS_AT_ONCE = 16
SMALLEST_CLASS = 5  # samples: about three to learn from and two to be tested on
FEW = 8  # samples of a class: with fewer a remark says how coarse the figures are
TEST_SHARE = 0.3  # share of the groups, or of the samples where no group is known
HELD_OUT = 4  # one in this many of a subject's recordings is kept to test on (domain scenario)
DRAWS = 50  # random orders of the groups, of which the one that leaves the fewest classes out is used
DEFAULT_EXPERIENCES = {"class": 5, "domain": 10}  # at most


@dataclass(frozen=True)
class Recordings:
    """Every usable sample as a latent."""

    latents: NDArray[np.float32]
    """Shape (n, D)."""
    labels: Rows
    """Shape (n,): index into names."""
    names: tuple[str, ...]
    groups: Rows | None
    """Shape (n,): index into group_names."""
    group_names: tuple[str, ...]
    skipped: tuple[Skip, ...] = ()

    def take(self, rows: Rows) -> Recordings:
        """Return some of the samples; classes and groups that have none are dropped."""
        names, labels = np.unique(self.labels[rows], return_inverse=True)
        groups: Rows | None = None
        group_names: tuple[str, ...] = ()
        if self.groups is not None:
            kept, groups = np.unique(self.groups[rows], return_inverse=True)
            group_names = tuple(self.group_names[index] for index in kept)
        labelled = tuple(self.names[index] for index in names)
        return Recordings(self.latents[rows], labels, labelled, groups, group_names, self.skipped)


@dataclass(frozen=True)
class Experiences:
    """The lessons and tests of one seed; all are rows of the recordings."""

    seed: int
    lessons: tuple[Rows, ...]
    parts: tuple[Rows, ...]
    """What accuracy on each experience is measured on."""
    unseen: Rows
    """All samples of the groups that are held out."""

    @property
    def training(self) -> Rows:
        return np.concatenate(self.lessons)

    @property
    def old(self) -> Rows:
        return np.concatenate(self.parts[:-1])

    @property
    def new(self) -> Rows:
        return self.parts[-1]


def embed(items: Iterable[Sample | Skip], extractor: Extractor) -> Recordings:
    """Put every sample through the extractor, a few at a time.

    Raises
    ------
    DataError
        When a latent is not finite.
    """
    samples: list[tuple[str, str | None]] = []
    blocks: list[NDArray[np.float32]] = []
    waiting: list[NDArray[np.float32]] = []
    skipped: list[Skip] = []
    for item in items:
        if isinstance(item, Skip):
            skipped.append(item)
            continue
        samples.append((str(item.label), item.group))
        waiting.append(item.signal)
        if len(waiting) == SIGNALS_AT_ONCE:
            blocks.append(extractor.latents(waiting))
            waiting = []
    if waiting:
        blocks.append(extractor.latents(waiting))
    latents = np.concatenate(blocks)
    if not np.isfinite(latents).all():
        raise DataError("a latent is not finite: was the extractor given NaN or infinity?")
    return recordings(latents, [label for label, _ in samples], [group for _, group in samples], skipped)


def recordings(
    latents: NDArray[np.float32],
    labels: Sequence[str],
    groups: Sequence[str | None],
    skipped: Sequence[Skip] = (),
) -> Recordings:
    """Return recordings from names; groups are known only if every sample has one."""
    names, indices = np.unique(np.array(labels), return_inverse=True)
    known: tuple[str, ...] = ()
    members: Rows | None = None
    if all(group is not None for group in groups):
        found, members = np.unique(np.array(groups), return_inverse=True)
        known = tuple(map(str, found))
    return Recordings(latents, indices, tuple(map(str, names)), members, known, tuple(skipped))


def prepare(data: Recordings, *, by: str | None, scenario: str) -> tuple[Recordings, list[str]]:
    """Return the data that can be compared, and notes on what was left out.

    Parameters
    ----------
    by
        Name of the groups; "none" to split at random although groups are known; None to split by group where
        all samples have one.

    Raises
    ------
    DataError
        With fewer than two classes or groups that can be learnt and tested, or no groups where they are needed.
    """
    remarks = []
    if by == "none":
        data = Recordings(data.latents, data.labels, data.names, None, (), data.skipped)
    if data.groups is None:
        if by not in (None, "none") or scenario == "domain":
            raise DataError(
                _no_groups(by or "speaker or subject", scenario), parameter="scenario" if scenario == "domain" else "by"
            )
        why = "as requested" if by else "because not every sample names its speaker or subject"
        remarks.append(f"split at random, {why}: every figure looks better than it will be for other people")
    elif len(data.group_names) < 2:
        raise DataError(
            f"all {len(data.labels)} samples are of one {by or 'speaker or subject'}, {data.group_names[0]!r}: compare "
            f"tests on others than it learns from, so it wants two or more, or none to split at random",
            parameter="by",
        )
    rare = [index for index in range(len(data.names)) if _is_rare(data, index)]
    if len(data.names) - len(rare) < 2:
        raise DataError(_too_few(data))
    if rare:
        remarks.append(_left_out([data.names[index] for index in rare], grouped=data.groups is not None))
        data = data.take(np.flatnonzero(~np.isin(data.labels, rare)))
    return data, remarks + _coarse(data)


def _no_groups(by: str, scenario: str) -> str:
    wants = "the scenario domain plays one after another" if scenario == "domain" else f"a split by {by} needs"
    return (
        f"not every sample names its speaker or subject, which {wants}: name files <speaker>_<n>.wav or sort them into "
        f"<label>/<speaker>/, or give windows a column or array `subject`"
    )


def _is_rare(data: Recordings, index: int) -> bool:
    own = data.labels == index
    if own.sum() < SMALLEST_CLASS:
        return True
    return data.groups is not None and len(np.unique(data.groups[own])) < 2


def _too_few(data: Recordings) -> str:
    counts = np.bincount(data.labels)
    if len(counts) == 1:
        return f"all {counts[0]} samples are of one class, {data.names[0]!r}: compare wants two or more"
    what = f"{SMALLEST_CLASS} samples" + (" of two speakers or subjects" if data.groups is not None else "")
    found = ", ".join(f"{name} {count}" for name, count in list(zip(data.names, counts, strict=True))[:5])
    return f"fewer than two classes have {what} (there are {found}{', ...' if len(counts) > 5 else ''}): record more"


def _coarse(data: Recordings) -> list[str]:
    """Say how far the figures move by one sample, where classes have few."""
    counts = np.bincount(data.labels)
    if counts.min() >= FEW:
        return []
    tested = max(round(TEST_SHARE * int(counts.min())), 1)
    remark = (
        f"{data.names[int(counts.argmin())]} has {counts.min()} samples, about {tested} of them to be tested on: one "
        f"answer more or less moves the accuracy of a stream by {100 / tested / len(counts):.1f} points"
    )
    return [remark]


def _left_out(names: Sequence[str], *, grouped: bool) -> str:
    what = f"fewer than {SMALLEST_CLASS} samples" + (", or all of one speaker or subject" if grouped else "")
    return f"left out, with {what}: {', '.join(names)}"


def make_streams(data: Recordings, *, scenario: str, experiences: int | None, seeds: int) -> list[Experiences]:
    """Return one stream per seed: other groups held out, another order of classes or groups.

    Parameters
    ----------
    experiences
        Lessons per stream; by default five, in the domain scenario one per training group up to ten.

    Raises
    ------
    SettingError
        When there are not as many classes, or training groups, as experiences.
    """
    generators = [np.random.default_rng(seed) for seed in range(seeds)]
    held_out = _held_out_groups(data, seeds, np.random.default_rng(0)) if data.groups is not None else [None] * seeds
    splits = [_split(data, groups, one) for groups, one in zip(held_out, generators, strict=True)]
    if scenario == "class":
        steps = _steps(experiences, [data.labels[training] for training, _ in splits], scenario, "classes")
        return [_by_class(data, *split, steps, seed, generators[seed]) for seed, split in enumerate(splits)]
    assert data.groups is not None
    learnt_from = [data.groups[training] for training, _ in splits]
    steps = _steps(experiences, learnt_from, scenario, "speakers or subjects to learn from")
    return [_by_group(data, *split, steps, seed, generators[seed]) for seed, split in enumerate(splits)]


def hold_out(data: Recordings, *, seed: int, by_group: bool = True) -> tuple[Rows, Rows]:
    """Return (training, unseen) rows: three in ten groups, or samples of each class, are unseen.

    With groups, classes that are not on both sides are left out.
    """
    draw = np.random.default_rng(seed)
    grouped = by_group and data.groups is not None
    return _split(data, _held_out_groups(data, 1, draw)[0] if grouped else None, draw)


def _split(data: Recordings, held_out: Rows | None, generator: np.random.Generator) -> tuple[Rows, Rows]:
    """Return (training, unseen) rows; classes that are not on both sides are left out."""
    if data.groups is None or held_out is None:
        unseen = _random_test_rows(data, generator)
    else:
        unseen = np.flatnonzero(np.isin(data.groups, held_out))
    training = np.setdiff1d(np.arange(len(data.labels)), unseen)
    both = np.intersect1d(data.labels[unseen], data.labels[training])
    return training[np.isin(data.labels[training], both)], unseen[np.isin(data.labels[unseen], both)]


def _held_out_groups(data: Recordings, seeds: int, generator: np.random.Generator) -> list[Rows]:
    """Choose the groups that each seed tests on: as different as possible, with few classes on one side only."""
    groups = len(data.group_names)
    size = min(max(round(TEST_SHARE * groups), 1), groups - 1)
    best: tuple[int, list[Rows]] | None = None
    for _ in range(DRAWS):
        order = generator.permutation(groups)
        chosen = [np.sort(order[np.arange(seed * size, (seed + 1) * size) % groups]) for seed in range(seeds)]
        missing = sum(_one_sided_classes(data, out) for out in chosen)
        if best is None or missing < best[0]:
            best = missing, chosen
        if missing == 0:
            break
    assert best is not None
    return best[1]


def _one_sided_classes(data: Recordings, out: Rows) -> int:
    """Count the classes that would have no sample to test on, or none to learn from."""
    assert data.groups is not None
    tested = np.isin(data.groups, out)
    classes = len(data.names)
    sides = [np.bincount(data.labels[side], minlength=classes) == 0 for side in (tested, ~tested)]
    return int(sum(side.sum() for side in sides))


def _random_test_rows(data: Recordings, generator: np.random.Generator) -> Rows:
    """Draw the same share of every class."""
    rows = []
    for index in range(len(data.names)):
        own = generator.permutation(np.flatnonzero(data.labels == index))
        rows.append(own[: max(round(TEST_SHARE * len(own)), 1)])
    return np.sort(np.concatenate(rows))


def _by_class(
    data: Recordings, training: Rows, unseen: Rows, steps: int, seed: int, generator: np.random.Generator
) -> Experiences:
    """Split classes into lessons; each is tested on its classes, by the groups held out."""
    classes = np.unique(data.labels[training])
    lessons = np.array_split(generator.permutation(classes), steps)
    return Experiences(
        seed,
        tuple(training[np.isin(data.labels[training], one)] for one in lessons),
        tuple(unseen[np.isin(data.labels[unseen], one)] for one in lessons),
        unseen,
    )


def _by_group(
    data: Recordings, training: Rows, unseen: Rows, steps: int, seed: int, generator: np.random.Generator
) -> Experiences:
    """Split groups into lessons; each is tested on the last quarter of what its own groups recorded."""
    assert data.groups is not None
    groups = np.unique(data.groups[training])
    learnt, parts = [], []
    for one in np.array_split(generator.permutation(groups), steps):
        rows = training[np.isin(data.groups[training], one)]
        tested = _last_of_each_class(data, rows)
        learnt.append(np.setdiff1d(rows, tested))
        parts.append(tested)
    if min(map(len, parts)) == 0:
        raise SettingError(
            f"{steps} lessons: one would be of people with fewer than {HELD_OUT} samples of any class, "
            f"which leaves nothing to test it on: choose fewer",
            parameter="experiences",
        )
    return Experiences(seed, tuple(learnt), tuple(parts), unseen)


def _last_of_each_class(data: Recordings, rows: Rows) -> Rows:
    """Return the end of each class's rows: windows overlap their neighbours, so there is one cut only."""
    found = [rows[data.labels[rows] == index] for index in np.unique(data.labels[rows])]
    return np.sort(np.concatenate([own[len(own) - len(own) // HELD_OUT :] for own in found]))


def _steps(experiences: int | None, kinds: Sequence[Rows], scenario: str, what: str) -> int:
    """Return the number of lessons; `kinds` has the class or group of each stream's training rows."""
    available = min(len(np.unique(one)) for one in kinds)
    steps = experiences or min(DEFAULT_EXPERIENCES[scenario], available)
    if steps > available:
        raise SettingError(
            f"{steps} experiences are too many: there are {available} {what}, at most one lesson for each",
            parameter="experiences",
        )
    if steps < 2:
        raise DataError(f"a stream wants two or more lessons, and there is only {available} of {what}: record more")
    return steps
