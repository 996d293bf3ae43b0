"""Keep: what is to give way first, and what never, when a device learns for years."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING, Any

from edgecl.errors import SettingError
from edgecl.operations.open_store import OpenStore, now, trusted_times
from edgecl.sources.labels import several
from edgecl.values import dataclass, replace

if TYPE_CHECKING:
    from edgecl.model.model import Model


@dataclass(frozen=True)
class KeepReport:
    """Outcome of `keep`."""

    revision: int
    labels: tuple[str, ...]
    priority: str
    """"always", "while-used", or the last day."""
    use: dict[str, float]
    """Events of each label that are remembered."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {**vars(self), "labels": list(self.labels)}


def keep(opened: OpenStore, labels: str | Collection[str], priority: str | date) -> KeepReport:
    """Say of classes how long they are kept, as a new revision; see `Learner.keep`."""
    from edgecl.learning.priorities import ALWAYS, WHILE_USED, is_past
    from edgecl.store.body_kinds import KeepBody
    from edgecl.store.use_counts import take_counts

    named = sorted(set(several(labels)))
    said = priority.isoformat() if isinstance(priority, date) else priority
    if said not in (ALWAYS, WHILE_USED) and not _is_day(said):
        raise SettingError(f"{said!r}: wanted {ALWAYS}, {WHILE_USED} or a day as 2027-01-31", parameter="priority")
    with opened.store.writer() as writer:
        live, model = opened.model()
        if unknown := [label for label in named if label not in model.statistics]:
            raise SettingError(f"{opened.store.path} does not know {unknown[0]!r}: it knows {', '.join(model.labels)}")
        moment = now(trusted_times(live.body))
        if moment.is_trusted and is_past(said, moment.time):
            raise SettingError(f"{said} is over: wanted {moment.time[:10]} or a later day", parameter="priority")
        model, events = with_use(opened, model, ())
        made = replace(model, priorities={**model.priorities, **dict.fromkeys(named, said)})
        body = KeepBody(**made.body(), **KeepBody.stream_of(live.body)).as_dict()
        revision = writer.commit(kind="lesson", objects=live.objects, body=body, time=moment.time, parent=live.number)
    take_counts(opened.store.path, events)
    return KeepReport(revision.number, tuple(named), said, {label: made.use.get(label, 0.0) for label in named})


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def with_use(opened: OpenStore, model: Model, fresh: Collection[str]) -> tuple[Model, dict[str, int]]:
    """Return the model with the events that wait for a commit counted, and these events."""
    from edgecl.learning.priorities import used
    from edgecl.store.use_counts import read_counts

    events = read_counts(opened.store.path)
    return used(model, events, fresh=fresh), events
