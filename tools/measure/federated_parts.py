"""Devices, their statistics and heads, as the tables of federations compare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecl.model.exemplars import quantise
from edgecl.model.head import HeadState, factorise, whitened_cosine
from edgecl.model.share import Share
from edgecl.model.statistics import ClassStatistics, accumulate, packed_length
from edgecl.sharing.sums import Sums
from measure.cases import Case

Statistics = Mapping[str, ClassStatistics]
Device = dict[str, NDArray[np.float32]]


def devices_of(case: Case, count: int) -> list[Device]:
    """Return the taught latents by device and label: speakers are dealt in turn, in an order drawn from a seed."""
    rows, latents = case.taught(), case.latents
    people = np.unique(latents.groups[rows])
    np.random.default_rng(0).shuffle(people)
    found = []
    for first in range(min(count, len(people))):
        own = rows[np.isin(latents.groups[rows], people[first::count])]
        labels = latents.labels[own]
        found.append({str(one): latents.x[own[labels == one]] for one in np.unique(labels)})
    return found


def statistics_of(device: Device) -> dict[str, ClassStatistics]:
    """Return statistics of latents by label, of rows as a store keeps them."""
    found = {}
    for label, latents in device.items():
        scatter = np.empty(packed_length(latents.shape[1]), np.float64)
        kept = quantise(latents)
        count, mean = accumulate(None, kept.blocks(1 << 30), scatter)
        found[label] = ClassStatistics(count, mean, scatter.astype(np.float32))
    return found


def head_of(case: Case, statistics: Statistics) -> HeadState:
    """Return the closed form."""
    dimension = next(iter(statistics.values())).dimension
    floor = 0.1 if case.data.modality == "imu" else 0.03  # of the contracts
    return whitened_cosine(factorise(statistics, np.empty(packed_length(dimension)), shrinkage_floor=floor))


def answers(case: Case, head: HeadState) -> NDArray[np.str_]:
    """Return the labels that a head answers to what is tested."""
    found: NDArray[np.str_] = np.array(head.labels)[head.logits(case.latents.x[case.tested()]).argmax(axis=1)]
    return found


def accuracy(case: Case, found: NDArray[np.str_]) -> float:
    """Return balanced accuracy over the classes of the case, %."""
    wanted = case.latents.labels[case.tested()]
    return 100 * float(np.mean([np.mean(found[wanted == one] == one) for one in np.unique(wanted)]))


def score(case: Case, statistics: Statistics) -> float:
    """Return the accuracy of the head of statistics."""
    return accuracy(case, answers(case, head_of(case, statistics)))


def total(parts: Sequence[Statistics]) -> dict[str, ClassStatistics]:
    """Return the sum of devices."""
    sums = Sums()
    for one in parts:
        sums.add(one)
    return sums.statistics()


def joined(devices: Sequence[Device]) -> Device:
    """Return all samples at one device."""
    labels = sorted({label for one in devices for label in one})
    return {label: np.concatenate([one[label] for one in devices if label in one]) for label in labels}


def shared(name: str, statistics: Statistics) -> Share:
    """Return statistics as the share of a device."""
    return Share(name, name, 1, name, statistics)
