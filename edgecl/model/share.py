"""A share: what one device has learnt, as statistics by class; how a model sums them is in `edgecl.model.shares`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.model.condensed import Condensed, arrays_of, condensed, statistics_from
from edgecl.model.settings import FIXED_CLASS_BYTES
from edgecl.model.statistics import ClassStatistics, packed_length


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


def share_from(
    device: str, stated: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]], *, dimension: int
) -> Share:
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


def _plain(
    name: str, labels: Sequence[str], arrays: Mapping[str, NDArray[np.generic]], *, dimension: int
) -> dict[str, ClassStatistics]:
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
