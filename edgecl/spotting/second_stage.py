"""A second stage: whether a peak of a word is that word to a network that many people taught.

Where the extra `verify` is installed (see `edgecl.extractors.verifier`), a word's threshold in the stream is lowered so
that more peaks become candidates. Of each candidate, once it is over, a window of 1.5 s is given to the network, and

    score' = score + WEIGHT e.r

with e and r of `edgecl.spotting.reference` decides: it has to reach a threshold that follows from the rows of the
background, whose e ship, as the first one does. Words without a reference are decided by the first stage alone.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import ContractError
from edgecl.extractors.opening import verifier_file
from edgecl.extractors.verifier import LONGEST_MS, Verifier
from edgecl.notes import Logger
from edgecl.spotting.background import EVEN, SURE, kept_rows, log_odds
from edgecl.spotting.calibration import placed, reached
from edgecl.spotting.reference import WINDOW_SAMPLES, Directions, Reference, factory_directions
from edgecl.spotting.scorers import Scorer
from edgecl.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgecl.model.exemplars import Exemplars
    from edgecl.model.model import Model
    from edgecl.spotting.background import Background, BackgroundScorer
    from edgecl.spotting.detection import Detection
    from edgecl.spotting.reference import Hears

First = TypeVar("First", bound=Scorer)

logger = Logger(__name__)
WEIGHT = 100.0
CANDIDATES_PER_HOUR = 40.0  # of the worst hops of the factory's background, which are not all: some 500 of a stream
UNSEEN = 0.9  # the cosine of people who did not teach, over that of a clip which is left out: FACTORY's ten words


@cache
def hearing() -> Verifier | None:
    """Return the network; None where it is not installed, cannot be loaded or is too slow here, which is logged."""
    file = verifier_file()
    if file is None:
        return None
    try:
        verifier = Verifier(file)
        window_ms = verifier.window_ms(WINDOW_SAMPLES)
    except ContractError as error:
        logger.warning("%s; the first stage decides alone", error)
        return None
    if window_ms > LONGEST_MS:
        logger.warning("the second stage takes %.0f ms a window: the first stage decides alone", window_ms)
        return None
    return verifier


@dataclass(frozen=True)
class Second:
    """What the second stage knows of one word."""

    direction: NDArray[np.float32]
    """(K,) r."""
    candidate: float
    """Score of the first stage from which a peak is a candidate."""
    threshold: float
    """Of the score of both."""
    steepness: float
    """Of the confidence about the threshold."""


class SecondStage:
    """Confirms or refuses the candidates of words that have references.

    Parameters
    ----------
    scorer
        The first stage.
    model
        With its exemplars, which carry the references.
    background
        As of the scorer.
    hears
        Returns the vector (2048,) of a window (24000,).
    confidence
        Least confidence of an event, as of the scorer.

    Attributes
    ----------
    words
        What is known of each label that has a reference.
    """

    def __init__(
        self,
        scorer: BackgroundScorer,
        model: Model,
        background: Background,
        hears: Hears,
        *,
        confidence: float = EVEN,
        directions: Directions | None = None,
    ) -> None:
        self._directions = factory_directions() if directions is None else directions
        self._hears, self._confidence = hears, confidence
        background = background.projected(model.settings.features)
        mistaken, lowest = scorer.mistaken(background), scorer.row_scores(background.room)
        self.words = {
            label: self._second(
                scorer, at, kept, background, mistaken[:, at], float(lowest[:, at].max(initial=-np.inf))
            )
            for at, label in enumerate(scorer.labels)
            if self._knows(kept := kept_rows(model, label))
        }

    def at(self, confidence: float) -> Self:
        """Return the same stage with the thresholds of another confidence; it shares all else."""
        other = copy(self)
        other._confidence = confidence
        return other

    def before(self, scorer: First) -> First:
        """Return the first stage with thresholds lowered to candidates, for the words that have references."""
        lowered = [self.words[label].candidate if label in self.words else np.inf for label in scorer.labels]
        other = copy(scorer)
        other.thresholds = np.where(np.isinf(lowered), scorer.thresholds, lowered).astype(np.float32)
        return other

    def vector(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return e (K,) of a window (24000,)."""
        return self._directions(self._hears(window))

    def confirmed(self, found: Detection, vector: Callable[[], NDArray[np.float32]]) -> Detection | None:
        """Return a candidate with the score and confidence of both stages; None where it is refused.

        A detection of a word without a reference is returned as it is.

        Parameters
        ----------
        vector
            Returns e (K,) of its peak; only called where it is needed.
        """
        word = self.words.get(found.label)
        if word is None:
            return found
        score = found.score + WEIGHT * float(vector() @ word.direction)
        above = score - word.threshold
        if above < log_odds(self._confidence) / word.steepness:
            return None
        confidence = 1 / (1 + math.exp(-min(max(above * word.steepness, -60.0), 60.0)))
        return replace(found, score=score, confidence=confidence)

    def _knows(self, kept: Exemplars) -> bool:
        """Test whether a word has a reference, in as many directions as there are."""
        directions = self._directions.matrix.shape[1]
        return len(kept) > 0 and kept.reference is not None and len(kept.reference) == directions + 1

    def _second(
        self,
        scorer: BackgroundScorer,
        at: int,
        kept: Exemplars,
        background: Background,
        mistaken: NDArray[np.float32],
        room: float,
    ) -> Second:
        """Calibrate a word by the rows of the background, whose scores (n,) are given; its room stays below."""
        assert kept.reference is not None
        reference, calibration = Reference.from_array(kept.reference), scorer.calibration[scorer.labels[at]]
        above_room = float(np.nextafter(np.float32(room), np.float32(np.inf)))
        candidate = max(reached(mistaken, background.hours, per_hour=CANDIDATES_PER_HOUR), above_room)
        some = mistaken[self._directions.of]
        both = np.where(some >= candidate, some + WEIGHT * (self._directions.rows @ reference.direction), -np.inf)
        likely = WEIGHT * reference.left_out
        unseen = None
        if background.allowance is not None and not calibration.is_mine:
            unseen = scorer.own(at, kept, background.offset).unseen(background.allowance).quiet + UNSEEN * likely
        typical = calibration.typical + likely
        threshold = placed(max(reached(both, background.hours * self._directions.share), candidate), typical, unseen)
        return Second(reference.direction, candidate, threshold, float(np.log(SURE)) / max(typical - threshold, 1.0))
