"""Statistics of other devices: kept apart from one's own, one share for each device, and summed into what answers.

A class's statistics in a model are a pure function of one's own and of the shares, in the order of the devices. So a
share can be replaced or taken away, and what is left is bit for bit what would be there without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.model.condensed import Condensed, add_products, as_single
from edgecl.model.model import OTHERS, OWN, Arrays, Model, Objects, workspace_of
from edgecl.model.share import Share, share_from
from edgecl.model.statistics import ClassStatistics, packed_length

SUM, MEDIAN = "sum", "median"
COMBINATIONS = (SUM, MEDIAN)
FEWEST_FOR_MEDIAN = 3  # devices of a class; fewer are summed


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
