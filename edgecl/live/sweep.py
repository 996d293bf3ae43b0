"""One stream followed at many thresholds: what `listen` reports at each, for the cost of little more than one.

Scores do not depend on thresholds, only what is made of them does. So each hop is embedded and scored once, and a
spotter for each threshold follows the scores as the one of `listen` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.live.events import Event, Summary
from edgecl.live.inputs.chunks import Piece
from edgecl.live.stream import Stream
from edgecl.spotting.detection import Detection, OpenEvent
from edgecl.spotting.familiarity import KnownScorer
from edgecl.spotting.spotters import Spotter

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor
    from edgecl.spotting.background import BackgroundScorer
    from edgecl.spotting.scorers import HeadScorer
    from edgecl.spotting.second_stage import SecondStage
    from edgecl.spotting.window import Window


class Sweep(Spotter):
    """A spotter for each threshold, in the place of one.

    Parameters
    ----------
    scorer
        Whose scores all of them follow.
    thresholds
        As of `Listening.threshold`.
    make
        Makes a spotter that has followed nothing yet.
    second
        What confirms the words that are spotted; None where the scorer decides alone.
    """

    def __init__(
        self,
        scorer: BackgroundScorer | HeadScorer | KnownScorer,
        thresholds: Sequence[float],
        *,
        make: Callable[[], Spotter],
        second: SecondStage | None = None,
    ) -> None:
        self._spotters = [make() for _ in thresholds]
        super().__init__(scorer, patience=self._spotters[0].patience)
        self.labels = tuple(one for one in scorer.labels if not one.startswith("_"))  # that make events
        self._base = scorer.all_known if isinstance(scorer, KnownScorer) else scorer
        self._scorers = [scorer.at(one) for one in thresholds]
        if second is not None:
            self._scorers = [second.before(one) for one in self._scorers]
        self.second, self._latest = second, (-1, np.zeros(0, np.float32))
        for spotter, one, threshold in zip(self._spotters, self._scorers, thresholds, strict=True):
            spotter.scorer = one
            spotter.second = second and second.at(threshold)
            spotter.vector = self.vector  # type: ignore[method-assign]  # of a hop that several follow
        self._thresholds = np.array([one.thresholds for one in self._scorers])  # (K, C)
        self._lowest = self._thresholds.min(axis=0)
        self._base = copy(self._base)
        self._base.thresholds = self._lowest  # near which a student is asked
        self._of: list[int] = []

    def vector(self, hop: int) -> NDArray[np.float32]:
        """Return what the second stage makes of a hop, once for all thresholds."""
        if self._latest[0] != hop:
            self._latest = (hop, super().vector(hop))
        return self._latest[1]

    def take(self) -> list[int]:
        """Return of which threshold each detection was that came since the last call."""
        taken, self._of = self._of, []
        return taken

    def push(self, latents: NDArray[np.float32], frames: NDArray[np.floating] | None = None) -> list[Detection]:
        """Return the detections that latents (n, D) complete at any threshold."""
        scores = self._base(latents, frames)
        self._hop += len(latents)
        reached: NDArray[np.bool_] = np.any(scores.scores[:, None] >= self._thresholds, axis=(0, 2))
        found = []
        for index, (spotter, scorer) in enumerate(zip(self._spotters, self._scorers, strict=True)):
            reaches = (
                spotter.follow(scorer.confident(scores, latents)) if reached[index] else spotter.skip(len(latents))
            )
            found += self._noted(index, reaches)
        return found

    def hear(self, window: Window) -> list[Detection]:
        """Return the detections that the next hop of a stream completes at any threshold."""
        if self._base.is_below(window, self._lowest):
            return self.skip(1)
        return self.push(window.latent, window.frames)

    def skip(self, hops: int) -> list[Detection]:
        """Skip silent hops at every threshold."""
        self._hop += hops
        return [one for index, spotter in enumerate(self._spotters) for one in self._noted(index, spotter.skip(hops))]

    def end(self) -> list[Detection]:
        """End the stream at every threshold."""
        return [one for index, spotter in enumerate(self._spotters) for one in self._noted(index, spotter.end())]

    def _noted(self, index: int, found: list[Detection]) -> list[Detection]:
        self._of += [index] * len(found)
        return found

    def _follow(self, answer: OpenEvent | None, *, is_patient: bool) -> Detection | None:
        raise NotImplementedError("each of its spotters follows the hops")


def swept(extractor: FileExtractor, sweep: Sweep, pieces: Iterable[Piece]) -> Iterator[list[tuple[int, Event]]]:
    """Yield for each piece of a stream, and for its end, the events that it completes, with their threshold's index."""
    stream = Stream(extractor, sweep, Summary())
    for piece in pieces:
        events = stream.push(piece)
        yield list(zip(sweep.take(), events, strict=True))
    events = stream.end()
    yield list(zip(sweep.take(), events, strict=True))
