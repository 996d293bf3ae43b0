"""The user's room: the sound of a place where no word is spoken."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import StoreDamagedError
from edgecl.model.exemplars import Exemplars, quantise
from edgecl.model.model import Arrays
from edgecl.model.statistics import ClassStatistics, accumulate, packed_length
from edgecl.values import dataclass

KEPT_HOPS = 512  # hops of the user's room that are kept


@dataclass(frozen=True)
class Room:
    """Statistics of a user's room, as a store keeps them."""

    statistics: ClassStatistics
    """Statistics of every hop, in latent columns."""
    rows: Exemplars
    """Some of the hops."""

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that `from_arrays` reads back."""
        return {**self.statistics.arrays(), **self.rows.arrays()}

    @staticmethod
    def from_arrays(arrays: Arrays) -> Room:
        """Rebuild from stored arrays; raises StoreDamagedError where they do not fit together."""
        try:
            statistics, rows = ClassStatistics.from_arrays(arrays), Exemplars.from_arrays(arrays)
        except ValueError as error:
            raise StoreDamagedError(str(error)) from error
        if rows.rows.shape[1] != statistics.dimension:
            raise StoreDamagedError(f"a room of {statistics.dimension} columns has rows of {rows.rows.shape[1]}")
        return Room(statistics, rows)


def add_to_room(room: Room | None, latents: Iterable[NDArray[np.float32]]) -> Room:
    """Add latents (n, D) of every hop to a room, or start one; at least one hop in all.

    Of all hops KEPT_HOPS are kept, spread evenly.
    """
    blocks = list(latents)
    dimension = blocks[0].shape[1]
    scatter = np.zeros(packed_length(dimension))
    count, mean = accumulate(room.statistics if room else None, blocks, scatter)
    fresh = quantise(np.concatenate(blocks))
    rows = Exemplars.joined([*([room.rows] if room else []), fresh])
    return Room(ClassStatistics(count, mean, scatter.astype(np.float32)), rows.spread(KEPT_HOPS))
