"""The response to a confirmed drift: go on, go back, decay or start over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

AS_IT_IS = "as it is"


@dataclass(frozen=True)
class Drift:
    """A confirmed drift and what was done about it."""

    row: int  # labelled rows until it was noticed
    since: int  # labelled rows, until then, that belong to what is new
    chosen: str  # "as it is", "anew", "decayed" or "revision N"
    accuracy: Mapping[str, float]  # of each way out, on the rows that judged them
    judged_on: int  # those rows
