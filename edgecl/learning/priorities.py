"""Which classes give way first when a store is full: what their user has said of them, then how much they are used.

A class without a priority is as in a store without any: it never gives way to another, and has an equal share of the
exemplars. "always" is that, and `forget --older-than` leaves it alone. "while-used" classes share by use, and the least
used gives its place to a new class. One with a date is of no importance after it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from edgecl.model.model import Model
from edgecl.values import replace

ALWAYS, WHILE_USED = "always", "while-used"
MOST_USE = 1000.0  # events that are remembered: use of long ago fades as new use comes, whatever the clock says
LEAST_WEIGHT = 0.25  # of a class that is not used, in the division of the exemplars
EXPIRED_WEIGHT = 0.1


def weights(model: Model) -> dict[str, float]:
    """Return the weight of each class that has a priority in the division of the exemplars, 0 to 1."""
    today, known = today_of(model), set(model.statistics)
    usual = sum(model.use.get(label, 0.0) for label in known) / max(len(known), 1)
    return {
        label: _weight(said, model.use.get(label, 0.0), usual, today)
        for label, said in model.priorities.items()
        if label in known
    }


def _weight(said: str, use: float, usual: float, today: str) -> float:
    if said == WHILE_USED:
        return min(max(use / usual, LEAST_WEIGHT), 1.0) if usual else 1.0
    return EXPIRED_WEIGHT if is_past(said, today) else 1.0


def today_of(model: Model) -> str:
    """Return the newest time of a lesson whose clock could be trusted; empty where there is none."""
    return max((model.taught[label] for label in model.timed if label in model.taught), default="")


def is_past(said: str, today: str) -> bool:
    """Test whether a priority is a date that lies before a day; its own day is not past.

    >>> is_past("2027-01-31", "2027-02-01T08:00:00+00:00"), is_past("2027-01-31", ""), is_past("always", "2027-02-01")
    (True, False, False)
    """
    return said not in (ALWAYS, WHILE_USED) and today[:10] > said


def giving_way(model: Model, count: int, *, today: str) -> list[str]:
    """Return the `count` classes that give way first: past dates, oldest first, then the least used of "while-used".

    Fewer where so many may not give way.
    """
    order = {label: at for at, label in enumerate(model.taught)}
    may = model.statistics.keys() - model.inseparable
    known = {label: said for label, said in model.priorities.items() if label in may}
    past = sorted((said, label) for label, said in known.items() if is_past(said, today))
    used = sorted(
        (model.use.get(label, 0.0), order.get(label, -1), label) for label, said in known.items() if said == WHILE_USED
    )
    return [*(label for _, label in past), *(label for _, _, label in used)][:count]


def make_way(model: Model, labels: Collection[str], *, today: str) -> list[str]:
    """Return the classes that have to give way to a lesson's labels; none where there is room, or too few may."""
    others = {label: said for label, said in model.priorities.items() if label not in labels}
    excess = len(set(model.statistics) | set(labels)) - model.settings.max_classes
    if excess <= 0:
        return []
    gone = giving_way(replace(model, priorities=others), excess, today=today)
    return gone if len(gone) == excess else []


def used(model: Model, events: Mapping[str, int], *, fresh: Collection[str] = ()) -> Model:
    """Return the model with events counted; all use is scaled down to MOST_USE events first.

    `fresh` are labels that are taught now: each counts as used as the mean of the others, until it shows.
    """
    known = {label: use for label, use in model.use.items() if label in model.statistics or label in fresh}
    scale = min(1.0, MOST_USE / max(sum(known.values()), 1.0)) if events else 1.0
    known = {label: round(use * scale, 3) for label, use in known.items()}
    for label, count in events.items():
        if label in model.statistics:
            known[label] = round(known.get(label, 0.0) + count, 3)
    if known:
        usual = sum(known.values()) / max(len(model.statistics), 1)
        known |= {label: max(known.get(label, 0.0), round(usual, 3)) for label in fresh}
    return replace(model, use=known)
