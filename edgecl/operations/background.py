"""Teach the sound of a room where no word is spoken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from edgecl.sources.samples import Sample, Skip

ROOM = "background"  # the role of what a user's room sounds like


@dataclass(frozen=True)
class RoomReport:
    """What was taken in of the user's room."""

    revision: int
    hops: int
    hops_in_all: int
    skipped: tuple[Skip, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "skipped": [vars(one) for one in self.skipped]}


def without_skips(items: Iterable[Sample | Skip], skipped: list[Skip]) -> Iterator[Sample]:
    """Samples; what was skipped is added to the list."""
    for item in items:
        if isinstance(item, Skip):
            skipped.append(item)
        else:
            yield item
