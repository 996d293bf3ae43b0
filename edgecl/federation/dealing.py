"""Deal one folder of data to devices by person, or one folder to each device, in as many parts as there are rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgecl.compare.streams import Recordings, Rows, hold_out, recordings
from edgecl.errors import DataError, SettingError

FEWEST = 2  # devices
MOST = 10  # devices by default, one a person


@dataclass(frozen=True)
class Dealt:
    """What each device learns, and what all are tested on."""

    data: Recordings
    """What is taught."""
    devices: Mapping[str, tuple[Rows, ...]]
    """Device to the rows that it learns before each round."""
    tested: Recordings
    held_out: int
    """People of no device who are tested; 0 where they are those who teach, or are not known."""
    remarks: tuple[str, ...] = ()


def deal_people(
    data: Recordings, *, devices: int | None, rounds: int, seed: int, tested: Recordings | None = None
) -> Dealt:
    """Deal the people of one folder to devices in turn; without data to test, three in ten people teach none.

    Raises
    ------
    DataError
        When not every sample names its person, or there are too few of them or of classes.
    SettingError
        When there are more devices than people who teach.
    """
    if data.groups is None:
        raise DataError(
            "not every sample names its speaker or subject, by whom one folder is dealt to devices: name files "
            "<speaker>_<n>.wav or sort them into <label>/<speaker>/, give windows a column `subject`, or give one "
            "folder for each device"
        )
    held_out = 0
    _require_people(data, FEWEST + (tested is None))
    if tested is None:
        training, unseen = hold_out(data, seed=seed)
        data, tested = data.take(training), data.take(unseen)
        held_out = len(tested.group_names)
        _require_people(data, FEWEST)
    assert data.groups is not None
    people = len(data.group_names)
    count = devices or min(people, MOST)
    if not FEWEST <= count <= people:
        raise SettingError(
            f"{count} devices: wanted {FEWEST} to {people}, as many as there are people who teach", parameter="devices"
        )
    draw = np.random.default_rng(seed)
    order = draw.permutation(people)
    own = {f"device {at + 1}": np.flatnonzero(np.isin(data.groups, order[at::count])) for at in range(count)}
    return _parted(data, own, tested, rounds=rounds, draw=draw, held_out=held_out)


def _require_people(data: Recordings, wanted: int) -> None:
    people = len(data.group_names)
    if people < wanted:
        names = ", ".join(map(repr, data.group_names)) or "none"
        raise DataError(
            f"{people} of the {wanted} speakers or subjects that are wanted, one for each device and others to test "
            f"on: there is {names}; record others, or give one folder for each device"
        )


def deal_folders(
    folders: Mapping[str, Recordings], *, rounds: int, seed: int, tested: Recordings | None = None
) -> Dealt:
    """Give each device a folder; without data to test, three in ten samples of each class of each are kept back."""
    draw, remarks = np.random.default_rng(seed), []
    if tested is None:
        split = {name: hold_out(one, seed=seed, by_group=False) for name, one in folders.items()}
        tested = joined([folders[name].take(unseen) for name, (_, unseen) in split.items()])
        folders = {name: folders[name].take(training) for name, (training, _) in split.items()}
        remarks.append(
            "tested on samples of the people who teach: every figure looks better than it will be for others; name "
            "a folder of other people to test on"
        )
    whole = joined(list(folders.values()))
    ends = np.cumsum([len(one.labels) for one in folders.values()])
    own = {
        name: np.arange(end - len(one.labels), end)
        for (name, one), end in zip(folders.items(), ends.tolist(), strict=True)
    }
    return _parted(whole, own, tested, rounds=rounds, draw=draw, remarks=tuple(remarks))


def joined(parts: Sequence[Recordings]) -> Recordings:
    """Return the samples of several folders as one, by the names of their classes."""
    labels = [one.names[label] for one in parts for label in one.labels.tolist()]
    groups = [None if one.groups is None else one.group_names[group] for one in parts for group in _groups(one)]
    skipped = [skip for one in parts for skip in one.skipped]
    return recordings(np.concatenate([one.latents for one in parts]), labels, groups, skipped)


def _groups(one: Recordings) -> list[int]:
    return [0] * len(one.labels) if one.groups is None else one.groups.tolist()


def _parted(
    data: Recordings,
    own: Mapping[str, Rows],
    tested: Recordings,
    *,
    rounds: int,
    draw: np.random.Generator,
    held_out: int = 0,
    remarks: tuple[str, ...] = (),
) -> Dealt:
    """Cut what each device has into a part for each round, at random; a device may learn nothing before one."""
    missing = sorted(set(data.names) - set(tested.names))
    if len(data.names) < 2 or len(missing) == len(data.names):
        raise DataError(
            f"{len(data.names)} classes are taught and {len(set(data.names) - set(missing))} of them tested: a "
            "federation is compared on two or more"
        )
    if missing:
        remarks = (*remarks, f"taught and not tested: {', '.join(missing)}")
    parts = {name: tuple(map(np.sort, np.array_split(draw.permutation(rows), rounds))) for name, rows in own.items()}
    return Dealt(data, parts, tested, held_out, remarks)
