"""Plans of an irreversible sum: which devices take part, with how many samples of which class.

The closed form needs one matrix of all classes, the mean over the classes of S_k / n_k with n_k the samples of all
devices. Where these are agreed before, a device may send Σ_k S_k / n_k of its own in place of a scatter for each class:
28 KB in place of 475 for 25 classes of 96 columns. No class can be taken out of such a matrix again.

A first file states a device's counts, a plan those of all; a plan is the files of the first round in one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecl.errors import SettingError
from edgecl.model.condensed import Condensed, as_single
from edgecl.model.statistics import ClassStatistics, packed_length
from edgecl.store.records import sha256

MOST_SAMPLES = 1_000_000  # of a class at one device


@dataclass(frozen=True)
class Planned:
    """A device of a plan."""

    name: str
    counts: Mapping[str, int]
    """Label to samples."""


@dataclass(frozen=True)
class Plan:
    """The devices of an irreversible sum.

    Examples
    --------
    >>> plan = Plan({"a": Planned("kitchen", {"yes": 2}), "b": Planned("bath", {"yes": 6, "no": 1})})
    >>> plan.counts, plan.weights("a")
    ({'no': 1, 'yes': 8}, {'yes': 0.25})
    """

    devices: Mapping[str, Planned]

    @property
    def counts(self) -> dict[str, int]:
        """Samples of each label at all devices."""
        labels = sorted({label for one in self.devices.values() for label in one.counts})
        return {label: sum(one.counts.get(label, 0) for one in self.devices.values()) for label in labels}

    @property
    def digest(self) -> str:
        """What distinguishes it from other plans."""
        return sha256(json.dumps(self.stated(), sort_keys=True).encode())[:32]

    def weights(self, device: str) -> dict[str, float]:
        """Return the share of a device in the samples of each of its labels, 0 to 1."""
        counts = self.counts
        return {label: count / counts[label] for label, count in sorted(self.devices[device].counts.items())}

    def stated(self) -> dict[str, Any]:
        """Return plain JSON: the counts of a device are in the order of the labels, 0 for one that it lacks."""
        labels = list(self.counts)
        devices = {
            device: {"name": one.name, "counts": [one.counts.get(label, 0) for label in labels]}
            for device, one in sorted(self.devices.items())
        }
        return {"labels": labels, "devices": devices}

    @staticmethod
    def of(stated: Any) -> Plan:
        """Return what was stated; raises ValueError where it is not a plan."""
        match stated:
            case {"labels": list(labels), "devices": dict(devices)} if devices and all(map(_is_text, labels)):
                return Plan({device: _planned(one, labels) for device, one in devices.items()})
        raise ValueError("it does not state its labels and devices")

    def require_counts(self, device: str, counts: Mapping[str, int], *, whose: str) -> None:
        """Raise SettingError unless a device is in the plan with these samples."""
        if device not in self.devices:
            names = ", ".join(repr(one.name) for one in self.devices.values())
            raise SettingError(f"{whose} is not in the plan, which is of {names}: make a plan with its counts")
        planned = self.devices[device].counts
        changed = sorted(label for label, count in planned.items() if counts.get(label) != count)
        if changed:
            raise SettingError(
                f"{whose} has {counts.get(changed[0], 0)} samples of {changed[0]!r}, the plan says "
                f"{planned[changed[0]]}: it was taught, or forgot, since; share its counts again and make a new plan"
            )


def _is_text(one: Any) -> bool:
    return isinstance(one, str)


def _planned(stated: Any, labels: Sequence[str]) -> Planned:
    match stated:
        case {"name": str(name), "counts": list(counts)} if len(counts) == len(labels) == len(set(labels)):
            if any(counts) and all(type(one) is int and 0 <= one <= MOST_SAMPLES for one in counts):
                return Planned(name, {label: one for label, one in zip(labels, counts, strict=True) if one})
    raise ValueError("it does not state the counts of a device")


def joined(plans: Sequence[Plan]) -> Plan:
    """Return a plan of the devices of several; raises SettingError where one is in two with other counts."""
    devices: dict[str, Planned] = {}
    for plan in plans:
        for device, one in plan.devices.items():
            if devices.setdefault(device, one).counts != one.counts:
                raise SettingError(f"{one.name!r} is there twice, with other counts: keep its newest file")
    return Plan(devices)


def as_one_matrix(
    statistics: Mapping[str, ClassStatistics], plan: Plan, device: str, *, half: bool = False
) -> dict[str, Condensed]:
    """Return a device's classes, all with one scatter: what Σ_k S_k / n_k leaves of them.

    S_k = n_ik A / Σ_j (n_ij / n_j) of the matrix A, so that Σ_k S_k / n_k is A again.

    Parameters
    ----------
    half
        Round the matrix to float16.
    """
    counts, whole = plan.counts, sum(plan.weights(device).values())
    matrix = np.zeros(packed_length(next(iter(statistics.values())).dimension))
    for label, one in sorted(statistics.items()):
        matrix += one.scatter / np.float64(counts[label])
    values, scale = as_single(matrix), np.float32(1)
    if half:
        scale = np.float32(max(float(np.abs(values).max()), 1e-30))
    kept = (values / scale).astype(np.float16) if half else values
    return {
        label: Condensed(one.count, one.mean, kept, scale=float(scale) * one.count / whole)
        for label, one in sorted(statistics.items())
    }
