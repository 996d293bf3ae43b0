"""The second stage: candidates, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.learning.loop import learn
from edgecl.model.exemplars import quantise
from edgecl.model.model import Lesson, MemoryObjects, Model
from edgecl.model.settings import Settings
from edgecl.spotting.background import Background, BackgroundScorer
from edgecl.spotting.detection import Detection
from edgecl.spotting.reference import Directions, Reference, unit
from edgecl.spotting.second_stage import WEIGHT, SecondStage
from edgecl.spotting.spotters import CANDIDATE, WordSpotter
from edgecl.spotting.wake import WakeScorer, WakeSpotter

from ..support.listening import plain_background
from .test_spotters import Told, stream

D, K = 6, 8
YES, NO = np.eye(K, dtype=np.float32)[:2]


def _background() -> Background:
    return plain_background(np.random.default_rng(1), D)


def _model(references: Mapping[str, NDArray[np.float32]]) -> Model:
    settings, rng = Settings(1 << 20, 1 << 26, 8, D, 0.03), np.random.default_rng(2)
    rows = {
        label: quantise((4 * np.eye(D)[at] + rng.standard_normal((5, D)) / 4).astype(np.float32))
        for at, label in enumerate(("no", "yes"))
    }
    model = learn(Model(settings), Lesson(rows), objects=MemoryObjects(), force=True).model
    assert model is not None
    kept = {
        label: replace(one, reference=Reference.of([references[label]] * 5).array()) if label in references else one
        for label, one in model.exemplars.items()
    }
    return replace(model, exemplars=kept)


def _stage(
    references: Mapping[str, NDArray[np.float32]], like: NDArray[np.float32], background: Background | None = None
) -> tuple[SecondStage, BackgroundScorer]:
    """A second stage to which all rows of the background are like something."""
    background, model = background or _background(), _model(references)
    directions = Directions(
        np.zeros(K, np.float32), np.eye(K, dtype=np.float32), np.tile(like, (400, 1)), np.arange(400), 1.0
    )
    scorer = BackgroundScorer(model, background)
    return SecondStage(scorer, model, background, lambda window: window, directions=directions), scorer


def _found(label: str, score: float) -> Detection:
    return Detection(label, 0.5, 0.1, score, first=3, last=4)


def test_words_with_a_reference_have_lower_thresholds_and_others_their_own() -> None:
    stage, scorer = _stage({"yes": YES}, NO)
    first = stage.before(scorer)
    assert first.thresholds[0] == scorer.thresholds[0]
    assert first.thresholds[1] == pytest.approx(stage.words["yes"].candidate)
    assert first.thresholds[1] < scorer.thresholds[1]


def test_a_candidate_like_its_reference_is_confirmed_with_the_score_of_both() -> None:
    stage, _ = _stage({"yes": YES}, NO)
    score = stage.words["yes"].candidate
    found = stage.confirmed(_found("yes", score), lambda: YES)
    assert found is not None
    assert found.score == pytest.approx(score + WEIGHT)
    assert (found.label, found.first, found.last, found.novelty) == ("yes", 3, 4, 0.1)
    assert found.confidence > 0.5
    assert stage.confirmed(_found("yes", score), lambda: -YES) is None


def test_a_word_without_a_reference_is_left_to_the_first_stage() -> None:
    stage, _ = _stage({"yes": YES}, NO)

    def never() -> NDArray[np.float32]:
        raise AssertionError("the network is not needed")

    assert stage.confirmed(_found("no", 1.0), never) == _found("no", 1.0)


def test_background_that_sounds_like_the_word_raises_its_threshold() -> None:
    alike, other = (_stage({"yes": YES}, like)[0].words["yes"].threshold for like in (unit(YES + NO), NO))
    assert alike > other + WEIGHT / 2


def test_the_confidence_is_even_at_the_threshold_and_moves_it() -> None:
    stage, _ = _stage({"yes": YES}, NO)
    at_threshold = _found("yes", stage.words["yes"].threshold - WEIGHT + 1e-3)
    found = stage.confirmed(at_threshold, lambda: YES)
    assert found is not None
    assert found.confidence == pytest.approx(0.5, abs=0.01)
    assert stage.at(0.6).confirmed(at_threshold, lambda: YES) is None
    assert stage.at(0.4).confirmed(replace(at_threshold, score=at_threshold.score - 0.1), lambda: YES) is not None


def test_nothing_in_the_users_room_is_a_candidate() -> None:
    room = (4 * np.eye(D)[[1]] + 1).astype(np.float32)
    stage, scorer = _stage({"yes": YES}, NO, replace(_background(), room=room))
    assert stage.words["yes"].candidate > scorer.row_scores(room)[0, 1]


def test_a_reference_in_other_directions_is_not_used() -> None:
    stage, _ = _stage({"yes": np.ones(K + 1, np.float32)}, NO)
    assert stage.words == {}


class Deaf(SecondStage):
    """Refuses candidates below a score."""

    def __init__(self, least: float) -> None:
        self._least, self.words = least, {"a": None}  # type: ignore[dict-item]

    def vector(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        return window

    def confirmed(self, found: Detection, vector: object) -> Detection | None:
        return found if found.score >= self._least else None


def test_a_candidate_that_is_refused_is_no_event_and_is_shown_as_one() -> None:
    spotter = WordSpotter(Told("a", "b"))
    spotter.second, spotter.window = Deaf(0.8), lambda hop: np.zeros(1, np.float32)
    scores, reasons, found = stream(40, {5: (0, 0.6), 30: (0, 0.9)}), [], []
    for hop in range(40):
        found += spotter.push(scores[hop : hop + 1])
        reasons.append(spotter.look[3])
    assert [(one.label, one.last) for one in found] == [("a", 30)]
    assert [hop for hop, reason in enumerate(reasons) if reason == CANDIDATE] == [5, 30]


def test_a_sustained_sound_that_was_refused_is_heard_when_it_becomes_the_word() -> None:
    spotter = WordSpotter(Told("a", "b"))
    spotter.second, spotter.window = Deaf(0.8), lambda hop: np.zeros(1, np.float32)
    scores = stream(60, dict.fromkeys(range(5, 50), (0, 0.6)) | {5: (0, 0.7), 40: (0, 0.9)})
    found = [one for hop in range(60) for one in spotter.push(scores[hop : hop + 1])]
    assert [(one.label, one.last) for one in found] == [("a", 40)]


def test_after_the_wake_word_the_head_decides_and_no_candidate_is_shown() -> None:
    spotter = WakeSpotter(wake="a", span=30)
    spotter.scorer = WakeScorer(Told("a", "b"), Told("a", "b"), wake="a")
    spotter.second, spotter.window = Deaf(0.8), lambda hop: np.zeros(1, np.float32)
    spotter.second.words = {"a": None, "b": None}  # type: ignore[dict-item]
    scores, reasons, found = stream(40, {5: (0, 0.9), 20: (1, 0.6)}), [], []
    for hop in range(40):
        found += spotter.push(scores[hop : hop + 1])
        reasons.append(spotter.look[3])
    assert [(one.label, one.last) for one in found] == [("a", 5), ("b", 20)]
    assert reasons[5] == CANDIDATE
    assert reasons[20] == ""
