"""A model without some classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from edgecl.errors import StoreDamagedError
from edgecl.model.head import whitened_cosine
from edgecl.model.model import Model, Objects, factor_of
from edgecl.values import replace

Value = TypeVar("Value")


def outdated(model: Model, *, older_than: timedelta, now: datetime) -> list[str]:
    """Return the classes whose last lesson is longer ago, but for those that are kept always.

    One whose time cannot be trusted is not among them.
    A store keeps the time of a class's last lesson, not of every sample, so a class is outdated as a whole.
    """
    limit = now - older_than
    return [
        label
        for label in model.labels
        if (last := model.taught.get(label))
        and label in model.timed
        and model.priorities.get(label) != "always"
        and _moment(last) < limit
    ]


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise StoreDamagedError(f"{text!r} is no time of a lesson") from error


def without_classes(model: Model, labels: Collection[str], *, objects: Objects) -> Model:
    """Return the model that never saw some classes, bit for bit, with a closed-form head.

    The features are those that were fixed at init, whatever the number of classes that is left.
    """
    if not set(labels) & set(model.statistics):
        return model
    if model.others:
        from edgecl.model.shares import with_others

        others = {device: share.without(labels) for device, share in model.others.items()}
        model = with_others(model, others, combine=model.combine, objects=objects)
    roles = {"head", "ewc", *(f"{part}/{label}" for part in ("statistics", "exemplars") for label in labels)}
    left = replace(
        model,
        statistics=_without(model.statistics, labels),
        exemplars=_without(model.exemplars, labels),
        taught=_without(model.taught, labels),
        timed=model.timed - set(labels),
        mine=model.mine - set(labels),
        digests=_without(model.digests, roles),
        alike={label: one for label, one in _without(model.alike, labels).items() if one.like not in labels},
        priorities=_without(model.priorities, labels),
        use=_without(model.use, labels),
        distinct=frozenset(pair for pair in model.distinct if not set(pair) & set(labels)),
        head=None,
        ewc=None,
    )
    if not left.statistics:
        return left
    head = whitened_cosine(factor_of(left))
    return replace(left, head=head, digests={**left.digests, "head": objects.put(head.arrays())})


def _without(held: Mapping[str, Value], names: Collection[str]) -> dict[str, Value]:
    return {name: value for name, value in held.items() if name not in names}
