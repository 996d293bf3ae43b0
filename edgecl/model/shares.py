"""Statistics of other devices: kept apart from one's own, one share for each device, and summed into what answers.

A class's statistics in a model are a pure function of one's own and of the shares, in the order of the devices. So a
share can be replaced or taken away, and what is left is bit for bit what would be there without it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.model.condensed import Condensed, add_products, arrays_of, as_single, condensed, statistics_from
from edgecl.model.model import OTHERS, OWN, Arrays, Model, Objects, workspace_of
from edgecl.model.settings import FIXED_CLASS_BYTES
from edgecl.model.statistics import ClassStatistics, packed_length

SUM, MEDIAN = "sum", "median"
COMBINATIONS = (SUM, MEDIAN)
FEWEST_FOR_MEDIAN = 3  # devices of a class; fewer are summed


@dataclass(frozen=True)
class Share:
    """What one device has learnt, as statistics by class."""

    device: str
    """Random name of its store, by which a later share replaces this one."""
    name: str
    """Name that people know it by."""
    revision: int
    """Number of the revision that was shared: of two shares the higher is newer."""
    digest: str
    """Sha256 of the file."""
    statistics: Mapping[str, ClassStatistics]
    renamed: Mapping[str, str] = field(default_factory=dict)
    """The device's label to that of this store, where its user has said that two are the same."""
    members: tuple[str, ...] = ()
    """Devices whose statistics a sum contains; empty of a device's own."""
    plan: str = ""
    """Digest of the plan of an irreversible sum, of which its classes share one scatter; empty of other shares."""

    @property
    def contains(self) -> frozenset[str]:
        """Devices whose samples it counts."""
        return frozenset(self.members or (self.device,))

    @property
    def dimension(self) -> int:
        """Columns of the statistics."""
        return next(iter(self.statistics.values())).dimension

    @property
    def samples(self) -> int:
        """Samples of all classes."""
        return sum(one.count for one in self.statistics.values())

    @property
    def nbytes(self) -> int:
        """Resident bytes: counts and means; the scatters are pages of a file."""
        return sum(one.dimension * 8 + FIXED_CLASS_BYTES for one in self.statistics.values())

    def without(self, labels: Collection[str]) -> Share:
        """Return the share without some classes."""
        return replace(self, statistics={one: held for one, held in self.statistics.items() if one not in labels})

    def called(self, names: Mapping[str, str]) -> Share:
        """Return the share with some labels renamed; two that become one are summed."""
        found: dict[str, ClassStatistics] = {}
        for label, one in self.statistics.items():
            new = names.get(label, label)
            found[new] = found[new].merged(one) if new in found else one
        return replace(self, statistics=found, renamed={**self.renamed, **names})

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that `share_from` reads back, as the share came; in the order of the labels."""
        held = [self.statistics[label] for label in sorted(self.statistics)]
        if any(isinstance(one, Condensed) for one in held):
            return arrays_of([condensed(one) for one in held], as_one=bool(self.plan))
        return {
            "counts": np.array([one.count for one in held], np.int64),
            "means": np.array([one.mean for one in held], np.float64),
            "scatters": np.array([one.scatter for one in held], np.float32),
        }

    def stated(self) -> dict[str, Any]:
        """Return what a revision states of it, as plain JSON."""
        return {
            "name": self.name,
            "revision": self.revision,
            "digest": self.digest,
            "classes": {label: one.count for label, one in sorted(self.statistics.items())},
            **({"renamed": dict(self.renamed)} if self.renamed else {}),
            **({"members": list(self.members)} if self.members else {}),
            **({"plan": self.plan} if self.plan else {}),
        }


def share_from(device: str, stated: Mapping[str, Any], arrays: Arrays, *, dimension: int) -> Share:
    """Rebuild a share from what a revision states and its object; scatters stay pages of their file.

    Raises
    ------
    ValueError
        When the two do not fit each other or the store's features.
    """
    match stated:
        case {"name": str(name), "revision": int(revision), "digest": str(digest), "classes": dict(classes), **rest}:
            labels = sorted(classes)
            if "values" in arrays:
                statistics = statistics_from(labels, arrays, dimension=dimension)
            else:
                statistics = _plain(name, labels, arrays, dimension=dimension)
            if any(one.count != classes[label] for label, one in statistics.items()):
                raise ValueError(f"the share of {name!r} has other counts than its revision states")
            renamed, members = rest.get("renamed", {}), tuple(rest.get("members", ()))
            return Share(device, name, revision, digest, statistics, renamed, members, rest.get("plan", ""))
    raise ValueError(f"what the revision states of the device {device!r} is not a share")


def _plain(name: str, labels: Sequence[str], arrays: Arrays, *, dimension: int) -> dict[str, ClassStatistics]:
    """Return the classes of a share whose scatters are float32 triangles."""
    counts, means, scatters = (arrays.get(one) for one in ("counts", "means", "scatters"))
    shapes = [None if one is None else one.shape for one in (counts, means, scatters)]
    wanted = [(len(labels),), (len(labels), dimension), (len(labels), packed_length(dimension))]
    if shapes != wanted or counts is None or means is None or scatters is None:
        raise ValueError(f"the share of {name!r} has arrays of {shapes}, wanted {wanted}")
    return {
        label: ClassStatistics(
            int(counts[row]), np.asarray(means[row], np.float64), np.asarray(scatters[row], np.float32)
        )
        for row, label in enumerate(labels)
    }


def pooled(parts: Sequence[ClassStatistics], out: NDArray[np.floating], *, combine: str = SUM) -> ClassStatistics:
    """Return the statistics of a class at several devices as those of one; a single part stays as it is.

    S = Σ S_i + Σ n_i (m_i - m)(m_i - m)ᵀ (Chan, Golub and LeVeque 1979, for any number of sets at once).

    Parameters
    ----------
    parts
        At least one, in an order that is always the same.
    out
        Packed workspace (d(d+1)/2,), which is overwritten and holds the scatter that is returned.
    combine
        "median" takes that of means and of covariances, entry by entry, with the samples of all: a few hostile
        devices cannot move it far, and it is no longer the sum.
    """
    if len(parts) == 1 and not isinstance(parts[0], Condensed):
        return parts[0]
    counts = np.array([one.count for one in parts], np.float64)
    if combine == MEDIAN and len(parts) >= FEWEST_FOR_MEDIAN:
        mean = np.median([one.mean for one in parts], axis=0)
        for row in range(len(mean)):  # of the triangle
            covariance = np.median([one.scatter_row(row) / one.count for one in parts], axis=0)
            first = packed_length(row)
            out[first : first + row + 1] = covariance * counts.sum()
        return ClassStatistics(int(counts.sum()), mean, as_single(out))
    mean = sum((one.count * one.mean for one in parts), np.zeros(parts[0].dimension)) / counts.sum()
    out[:] = 0
    for one in parts:
        one.add_to(out)
    add_products(np.array([np.sqrt(one.count) * (one.mean - mean) for one in parts], np.float32), out)
    return ClassStatistics(int(counts.sum()), mean, as_single(out))


def own_classes(model: Model) -> dict[str, ClassStatistics]:
    """Return what a store has itself learnt, by label."""
    return {label: one for label in model.labels if (one := model.own_of(label)) is not None}


def parts_of(model: Model, label: str, own: ClassStatistics | None) -> list[ClassStatistics]:
    """Return the statistics of a class by device: one's own first, then those of the shares in order."""
    shared = (model.others[device].statistics.get(label) for device in sorted(model.others))
    return [one for one in (own, *shared) if one is not None]


def placed(
    model: Model,
    label: str,
    own: ClassStatistics | None,
    *,
    objects: Objects,
    workspace: NDArray[np.floating] | None = None,
) -> Model:
    """Return the model with one's own statistics of a class, and the sum with the shares; its head is not changed.

    Parameters
    ----------
    workspace
        Packed matrix for the sum, which may be that of `own`; by default a new one.
    """
    statistics, held = dict(model.statistics), dict(model.own)
    roles = (f"{OWN}/{label}", f"statistics/{label}")
    digests = {role: one for role, one in model.digests.items() if role not in roles}
    statistics.pop(label, None)
    held.pop(label, None)
    if own is not None and len(parts_of(model, label, own)) > 1:
        own, digests[f"{OWN}/{label}"] = _put(own, objects)
        held[label] = own
    parts = parts_of(model, label, own)
    if parts:
        out = workspace_of(model) if workspace is None else workspace
        whole = pooled(parts, out, combine=model.combine)
        statistics[label], digests[f"statistics/{label}"] = _put(whole, objects)
    return replace(model, statistics=statistics, own=held, digests=digests)


def with_others(model: Model, others: Mapping[str, Share], *, combine: str, objects: Objects) -> Model:
    """Return the model with these shares in place of those that it has; its head is not changed."""
    touched = {label for share in (*model.others.values(), *others.values()) for label in share.statistics}
    own = {label: model.own_of(label) for label in touched}
    others = {device: share for device, share in others.items() if share.statistics}
    digests = {role: one for role, one in model.digests.items() if not role.startswith(f"{OTHERS}/")}
    held = {}
    for device, share in sorted(others.items()):
        role = f"{OTHERS}/{device}"
        if model.others.get(device) is share:
            held[device], digests[role] = share, model.digests[role]
            continue
        digests[role] = objects.put(share.arrays())
        read = objects.read(digests[role])
        held[device] = share_from(device, share.stated(), read, dimension=share.dimension)
    made = replace(model, others=held, combine=combine if held else SUM, digests=digests)
    for label in sorted(touched):
        made = placed(made, label, own[label], objects=objects)
    return made


def read_others(model: Model, stated: Mapping[str, Any], parts: Mapping[str, Arrays]) -> Model:
    """Return a model with the shares that its revision states; raises KeyError or ValueError where one is missing."""
    match stated:
        case {"combine": str(combine), "own": dict(own), "devices": dict(devices)} if combine in COMBINATIONS:
            dimension = model.settings.features.dimension
            others = {
                device: share_from(device, one, parts[f"{OTHERS}/{device}"], dimension=dimension)
                for device, one in sorted(devices.items())
            }
            held = {label: ClassStatistics.from_arrays(parts[f"{OWN}/{label}"]) for label in sorted(own)}
            if any(one.count != own[label] or one.dimension != dimension for label, one in held.items()):
                raise ValueError("the store's own statistics have other counts or columns than its revision states")
            return replace(model, others=others, own=held, combine=combine)
    raise ValueError("what the revision states of other devices is not of the form that is read")


def _put(one: ClassStatistics, objects: Objects) -> tuple[ClassStatistics, str]:
    digest = objects.put(one.arrays())
    return ClassStatistics.from_arrays(objects.read(digest)), digest
