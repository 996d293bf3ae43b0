"""Set: what the user may change of a store that has learnt."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from edgecl.errors import SettingError
from edgecl.operations.open_store import OpenStore, utc_now

if TYPE_CHECKING:
    from edgecl.store.records import Revision

AUTOMATIC = "auto"


def set_unknown_above(opened: OpenStore, value: float | str) -> Revision:
    """Set the novelty above which an answer is "unknown", as a new revision.

    Parameters
    ----------
    value
        0 to 1, 1 for never; AUTOMATIC for the threshold that the store finds by itself.

    Raises
    ------
    SettingError
        When it is neither, or set already.
    EdgeclError
        When the store cannot be written.
    """
    from edgecl.store.body_kinds import SetBody

    wanted = _checked(value)
    with opened.store.writer() as writer:
        live, model = opened.model()
        if model.unknown_above == wanted:
            raise SettingError(f"{opened.store.path} has that threshold: {value}")
        made = replace(model, unknown_above=wanted)
        body = SetBody(**made.body(), **SetBody.stream_of(live.body)).as_dict()
        return writer.commit(kind="lesson", objects=live.objects, body=body, time=utc_now(), parent=live.number)


def _checked(value: float | str) -> float | None:
    if value == AUTOMATIC:
        return None
    if isinstance(value, str) or not (math.isfinite(value) and 0 <= value <= 1):
        raise SettingError(
            f"a novelty of {value!r}: wanted a number from 0 to 1, or {AUTOMATIC!r}", parameter="unknown_above"
        )
    return float(value)
