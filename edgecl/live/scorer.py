"""The scorer of the live revision, replaced between two hops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecl.errors import EdgeclError
from edgecl.notes import Logger
from edgecl.operations.background import background, words_scorer
from edgecl.operations.judging import Judge, judge_with
from edgecl.spotting.background import EVEN, BackgroundScorer
from edgecl.spotting.familiarity import KnownScorer
from edgecl.spotting.scorers import MOVEMENT_SCORE, SOUND_SCORE, HeadScorer, Scorer
from edgecl.spotting.wake import WakeScorer
from edgecl.store.files import read_file
from edgecl.store.records import POINTER_BYTES

if TYPE_CHECKING:
    from edgecl.model.model import Model
    from edgecl.operations.open_store import OpenStore
    from edgecl.spotting.background import Background
    from edgecl.spotting.reference import Hears
    from edgecl.spotting.second_stage import SecondStage
    from edgecl.spotting.spotters import Spotter

logger = Logger(__name__)
MOST_CALLS = 255  # between two tries to read a revision, some 20 seconds


class LiveScorer:
    """The scorer of a store's live revision, replaced when another becomes live.

    Attributes
    ----------
    scorer
        None while nothing has been taught.
    second
        What confirms the words that it spots; None where it decides alone.
    model
        That it scores by, with its statistics; None where it needs the head alone, or nothing has been taught.
    revision
        Its number.
    """

    def __init__(self, opened: OpenStore, *, threshold: float | None = None, wake: str | None = None) -> None:
        self._opened = opened
        self._extractor = opened.store.extractor_digest
        self._threshold, self._wake = threshold, wake
        self._current = opened.store.path / "current"
        self._seen: tuple[int, int] | None = None
        self._failed: tuple[int, int] | None = None  # a stamp whose revision could not be read yet
        self._wait = 0  # calls until that is tried again
        self._tries = 0
        self.scorer: Scorer | None = None
        self.second: SecondStage | None = None
        self.model: Model | None = None
        self.revision = 0

    def refresh(self) -> bool:
        """Whether another revision is live than at the last call; costs one stat where none is.

        Where the new one cannot be read, which is logged, the one before goes on, and the new one is tried again: at
        the next call, then ever more seldom, as it may be damaged for good.

        Raises
        ------
        EdgeclError
            There is none before.
        """
        seen = self._opened.stamp()
        if seen == self._seen:
            return False
        if seen == self._failed and self._wait > 0:
            self._wait -= 1
            return False
        try:
            revision, model = self._opened.live_head()
            if self._opened.store.extractor_digest_of(revision) != self._extractor:
                self._put_off(seen, f"revision {revision.number} has another extractor: start again to listen with it")
                return False
            if revision.number != self.revision:
                self.scorer = self._made(model)
            elif not self._is_named(revision.number):
                self._put_off(seen, "the revision that is live cannot be read")
                return False
        except EdgeclError as error:
            if not self.revision:
                raise
            self._put_off(seen, error)
            return False
        self._seen, self._failed = seen, None
        is_new, self.revision = revision.number != self.revision, revision.number
        return is_new

    def give(self, spotter: Spotter) -> None:
        """Let a spotter go on with the live revision."""
        spotter.scorer, spotter.second = self.scorer, self.second

    def _put_off(self, seen: tuple[int, int], why: object) -> None:
        """Try again later; log the first failure alone."""
        if seen != self._failed:
            self._failed, self._tries = seen, 0
            logger.warning("%s; revision %d is listened with", why, self.revision)
        self._wait = min((1 << self._tries) - 1, MOST_CALLS)
        self._tries = min(self._tries + 1, 10)

    def _is_named(self, number: int) -> bool:
        """Test whether `current` names a revision; where it can't be read, it names another one."""
        try:
            return read_file(self._current, limit=POINTER_BYTES).startswith(b"%d " % number)
        except EdgeclError:
            return False

    def _made(self, model: Model) -> Scorer | None:
        if model.head is None:
            self.model = self.second = None
            return None
        judge = judge_with(self._opened, self._opened.model()[1])
        scorer, self.model, self.second = scorer_of(self._opened, judge, self._threshold)
        if self._wake is None:
            return scorer
        awake = HeadScorer(judge.model, measure=judge.measure, unknown_above=judge.unknown_above)
        return WakeScorer(scorer, awake, wake=self._wake)  # what follows the wake word is decided by the head alone


def scorer_of(
    opened: OpenStore, judge: Judge, threshold: float | None
) -> tuple[BackgroundScorer | HeadScorer | KnownScorer, Model | None, SecondStage | None]:
    """The scorer of a judge's model, the model of which it is and its second stage: the one place for the choice."""
    found, whole = background(opened), judge.model
    if found is not None:
        confidence, hears = EVEN if threshold is None else threshold, _hearing(whole)
        words = words_scorer(opened, whole, found, confidence=confidence, is_verified=hears is not None)
        scorer = KnownScorer(words, whole, measure=judge.measure, unknown_above=judge.unknown_above)
        second = _second_stage(words, whole, found, hears, confidence)
        return (scorer if second is None else second.before(scorer)), None, second
    default = SOUND_SCORE if opened.extractor.contract.is_sound else MOVEMENT_SCORE
    least = default if threshold is None else threshold
    scorer_of_head = HeadScorer(whole, threshold=least, measure=judge.measure, unknown_above=judge.unknown_above)
    return scorer_of_head, whole, None


def _hearing(model: Model) -> Hears | None:
    """Return the second stage's network; None where no word has a reference, or it is missing or too slow here."""
    if all(one.reference is None for one in model.exemplars.values()):
        return None
    from edgecl.spotting.second_stage import hearing

    return hearing()


def _second_stage(
    words: BackgroundScorer, model: Model, found: Background, hears: Hears | None, confidence: float
) -> SecondStage | None:
    """Return the second stage; None where there is no network."""
    if hears is None:
        return None
    from edgecl.spotting.second_stage import SecondStage

    return SecondStage(words, model, found, hears, confidence=confidence)
