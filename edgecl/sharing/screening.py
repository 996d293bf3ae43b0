"""Screen shares: whether the head of all other devices answers a device's class means by their labels."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from edgecl.model.head import HeadState, factorise, whitened_cosine
from edgecl.model.share import Share
from edgecl.model.statistics import ClassStatistics, packed_length
from edgecl.sharing.sums import Sums

FEWEST_DEVICES = 3  # of two nobody can say which is wrong
LEAST_RIGHT = 0.5
CAP = 4.0  # times the median count: a cap that honest devices seldom reach
VOTE = 1.0  # the same while devices are screened: each has one vote, however much it claims to have learnt


@dataclass(frozen=True)
class Screened:
    """What screening has found."""

    kept: Mapping[str, Share]
    right: Mapping[str, float]
    """Device to the share of its class means that the others answer by their labels, 0 to 1."""
    left_out: Mapping[str, str]
    """Device to the reason why it is not merged."""


class Chosen(Mapping[str, Share]):
    """Some of many shares; nothing is copied."""

    def __init__(self, shares: Mapping[str, Share], without: Collection[str]) -> None:
        self._shares, self._without = shares, without

    def __getitem__(self, device: str) -> Share:
        if device not in self:
            raise KeyError(device)
        return self._shares[device]

    def __contains__(self, device: object) -> bool:
        return device in self._shares and device not in self._without

    def __iter__(self) -> Iterator[str]:
        return (device for device in self._shares if device not in self._without)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def limits(shares: Mapping[str, Share], own: Mapping[str, ClassStatistics], *, times: float) -> dict[str, int]:
    """Return the most samples of each label that a device may count: `times` the median of the devices that have it."""
    held: dict[str, list[int]] = {label: [one.count] for label, one in own.items()}
    shared = set[str]()
    for share in shares.values():
        for label, one in share.statistics.items():
            held.setdefault(label, []).append(one.count)
            shared.add(label)
    return {label: max(int(times * np.median(held[label])), 1) for label in sorted(shared)}


def limited(share: Share, most: Mapping[str, int]) -> Share:
    """Return a share with no class above its limit."""
    return replace(share, statistics={label: one.decayed(most[label]) for label, one in share.statistics.items()})


def capped(shares: Mapping[str, Share], own: Mapping[str, ClassStatistics], *, times: float) -> dict[str, Share]:
    """Return the shares with no class above `times` the median count of the devices that have it."""
    most = limits(shares, own, times=times)
    return {device: limited(share, most) for device, share in shares.items()}


def screened(
    shares: Mapping[str, Share],
    own: Mapping[str, ClassStatistics],
    *,
    floor: float,
) -> Screened:
    """Leave out the devices whose class means the head of all others answers by other labels; one share at a time.

    The worst is left out first and the others are screened again, since a hostile device is among the others of an
    honest one. One's own statistics are never left out.

    Parameters
    ----------
    own
        One's own statistics by label; may be empty.
    floor
        Shrinkage floor of the head.
    """
    right, left_out = dict.fromkeys(shares, 1.0), dict[str, str]()
    kept = Chosen(shares, left_out)
    while len(kept) + bool(own) >= FEWEST_DEVICES:
        found = _scores(kept, own, floor=floor, most=limits(kept, own, times=VOTE))
        right.update(found)
        worst = min(found, key=lambda device: (found[device], device), default=None)
        if worst is None or found[worst] >= LEAST_RIGHT:
            break
        left_out[worst] = (
            f"{found[worst]:.0%} of its classes are what the other devices call so, at least {LEAST_RIGHT:.0%} are "
            "wanted: its labels or its numbers are wrong"
        )
    return Screened(kept, right, left_out)


def _scores(
    shares: Mapping[str, Share], own: Mapping[str, ClassStatistics], *, floor: float, most: Mapping[str, int]
) -> dict[str, float]:
    """Return, by device, the share of its class means that the head of the others answers right."""
    total = Sums()
    total.add(own)
    for share in shares.values():
        total.add(limited(share, most).statistics)
    found = {}
    for device, whole in shares.items():
        share = limited(whole, most)
        rest = total.without(share.statistics)
        both = sorted(set(share.statistics) & set(rest))
        if both and len(rest) > 1:
            head = _head_of(rest, floor)
            means = np.array([share.statistics[label].mean for label in both], np.float32)
            answers = [head.labels[one] for one in head.logits(means).argmax(axis=1)]
            found[device] = float(np.mean([one == label for one, label in zip(answers, both, strict=True)]))
    return found


def _head_of(statistics: Mapping[str, ClassStatistics], floor: float) -> HeadState:
    dimension = next(iter(statistics.values())).dimension
    return whitened_cosine(factorise(statistics, np.empty(packed_length(dimension)), shrinkage_floor=floor))
