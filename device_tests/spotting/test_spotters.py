"""Scores of a stream to events: thresholds, patience, peaks, bouts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.model.model import Model
from edgecl.spotting.familiarity import KnownScorer
from edgecl.spotting.scorers import Frames, HeadScorer, Scores
from edgecl.spotting.spotters import BoutSpotter, Spotter, WordSpotter
from edgecl.spotting.wake import WakeScorer, WakeSpotter
from edgecl.spotting.window import Window

from ..support.learning import Words, settings, taught
from ..support.listening import window_of


class Told:
    """A scorer whose latents are the scores themselves."""

    def __init__(self, *labels: str, threshold: float = 0.5) -> None:
        self.labels = labels
        self.thresholds = np.full(len(labels), threshold, np.float32)

    def __call__(self, latents: NDArray[np.float32], frames: Frames = None) -> Scores:
        return Scores(latents, latents.max(axis=1), 1 - latents.max(axis=1))

    def is_below(self, window: Window, thresholds: NDArray[np.float32]) -> bool:
        return bool((window.latent < thresholds).all())


def stream(hops: int, said: Mapping[int, tuple[int, float]]) -> NDArray[np.float32]:
    """Scores (hops, 2) of nothing, but at some hops of a label."""
    scores = np.zeros((hops, 2), np.float32)
    for hop, (label, score) in said.items():
        scores[hop, label] = score
    return scores


def heard(spotter: Spotter, scores: NDArray[np.float32], *, at_once: int = 1) -> list[tuple[str, int, int]]:
    found = []
    for start in range(0, len(scores), at_once):
        hops = scores[start : start + at_once]
        found += spotter.hear(window_of(hops)) if at_once == 1 else spotter.push(hops)
    return [(one.label, one.first, one.last) for one in [*found, *spotter.end()]]


def test_a_peak_is_one_event_told_two_hops_later() -> None:
    spotter = WordSpotter(Told("a", "b"))
    scores = stream(10, {3: (0, 0.6), 4: (0, 0.9), 5: (0, 0.7)})
    told = [spotter.push(scores[hop : hop + 1]) for hop in range(10)]
    assert [hop for hop, events in enumerate(told) if events] == [6]
    (event,) = told[6]
    assert (event.label, event.first, event.last) == ("a", 3, 4)
    assert event.score == event.confidence == np.float32(0.9)
    assert event.novelty == pytest.approx(0.1)


def test_the_higher_of_two_labels_names_the_peak() -> None:
    scores = stream(8, {2: (0, 0.6), 3: (1, 0.8)})
    assert heard(WordSpotter(Told("a", "b")), scores) == [("b", 2, 3)]


def test_a_label_with_a_higher_threshold_must_do_more() -> None:
    scorer = Told("a", "b")
    scorer.thresholds = np.array([0.5, 0.95], np.float32)
    assert heard(WordSpotter(scorer), stream(8, {2: (0, 0.6), 3: (1, 0.8)})) == [("a", 2, 2)]


def test_after_a_peak_nothing_is_heard_for_the_refractory_time() -> None:
    scores = stream(40, {5: (0, 0.9), 14: (1, 0.9), 15: (0, 0.9), 30: (1, 0.9)})
    assert [label for label, *_ in heard(WordSpotter(Told("a", "b")), scores)] == ["a", "a", "b"]
    assert [label for label, *_ in heard(WordSpotter(Told("a", "b"), refractory=1), scores)] == ["a", "b", "b"]


def test_a_sustained_sound_is_one_event_from_its_beginning() -> None:
    scores = stream(120, dict.fromkeys(range(5, 90), (0, 0.9)) | {30: (0, 0.95), 60: (0, 0.97), 100: (0, 0.8)})
    events = heard(WordSpotter(Told("a", "b")), scores)
    assert [(label, first) for label, first, _ in events] == [("a", 5), ("a", 100)]


def test_patience_wants_as_many_hops_in_a_row_of_one_label() -> None:
    scores = stream(20, {2: (0, 0.9), 4: (0, 0.9), 5: (1, 0.9), 8: (0, 0.8), 9: (0, 0.7), 10: (0, 0.6)})
    assert heard(WordSpotter(Told("a", "b"), patience=3), scores) == [("a", 8, 10)]


def test_labels_with_an_underscore_are_answers_and_no_events() -> None:
    scores = stream(12, {3: (0, 0.9), 4: (1, 0.8)})
    scores[3, 1] = 0.7  # would be heard, had the other not won
    assert heard(WordSpotter(Told("_silence_", "b")), scores[:4]) == []


def test_nothing_is_heard_before_something_is_taught() -> None:
    spotter = WordSpotter(None)
    assert heard(spotter, stream(5, {2: (0, 0.9)})) == []
    spotter.scorer = Told("a", "b")
    assert heard(spotter, stream(5, {2: (0, 0.9)})) == [("a", 7, 7)]


def test_an_event_that_has_begun_outlives_the_scorer() -> None:
    spotter = WordSpotter(Told("a", "b"))
    assert spotter.push(stream(3, {2: (1, 0.9)})) == []
    spotter.scorer = Told("c", "d")
    assert heard(spotter, stream(5, {})) == [("b", 2, 2)]


def test_hops_passed_over_count_and_complete_events() -> None:
    spotter = WordSpotter(Told("a", "b"))
    spotter.push(stream(3, {2: (0, 0.9)}))
    assert [one.label for one in spotter.skip(5)] == ["a"]
    assert spotter.hops == 8


@pytest.mark.parametrize("kind", [WordSpotter, BoutSpotter])
@pytest.mark.parametrize("at_once", [2, 7, 200])
def test_events_do_not_depend_on_how_many_hops_come_at_once(kind: type[Spotter], at_once: int) -> None:
    scores = np.random.default_rng(1).random((200, 2)).astype(np.float32)
    one_by_one = heard(kind(Told("a", "b", threshold=0.8), patience=2), scores)
    assert heard(kind(Told("a", "b", threshold=0.8), patience=2), scores, at_once=at_once) == one_by_one != []


def test_a_bout_is_one_event_from_its_first_hop_to_its_last() -> None:
    said = {hop: (0, 0.6 + 0.01 * hop) for hop in range(3, 20) if hop not in (9, 10)}
    spotter = BoutSpotter(Told("a", "b"), refractory=3)
    found = spotter.push(stream(30, said))
    assert [(one.label, one.first, one.last) for one in found] == [("a", 3, 19)]
    assert found[0].score == np.float32(0.6 + 0.01 * 19)


def test_a_bout_that_has_begun_goes_on_with_one_hop() -> None:
    said = {2: (0, 0.9), 3: (0, 0.9), 6: (0, 0.9), 9: (0, 0.9), 15: (0, 0.9)}
    assert heard(BoutSpotter(Told("a", "b"), patience=2, refractory=4), stream(30, said)) == [("a", 2, 9)]


def test_another_label_ends_a_bout_once_it_has_been_patient() -> None:
    said = {**dict.fromkeys(range(10), (0, 0.9)), 4: (1, 0.9), **dict.fromkeys(range(10, 20), (1, 0.9))}
    found = heard(BoutSpotter(Told("a", "b"), patience=2, refractory=4), stream(30, said))
    assert found == [("a", 0, 9), ("b", 10, 19)]


def test_the_scorer_of_a_head_takes_novelty_off_its_probabilities() -> None:
    words = Words(3)
    model = taught(Model(settings()), words.lesson(12))
    rows = words.say("word 01", 5)
    said, wanted = HeadScorer(model, threshold=0.7)(rows), model.predict(rows)
    scorer = HeadScorer(model, threshold=0.7)
    assert scorer.labels == tuple(words.labels)
    assert (scorer.thresholds == np.float32(0.7)).all()
    assert [scorer.labels[index] for index in said.scores.argmax(axis=1)] == wanted.labels
    np.testing.assert_allclose(said.scores.max(axis=1), wanted.confidence * (1 - wanted.novelty), rtol=1e-6)
    np.testing.assert_array_equal(said.confidence, wanted.confidence)
    np.testing.assert_array_equal(said.novelty, wanted.novelty)


# After a wake word


def wakeful(*, wake: str = "a", span: int = 10) -> WakeSpotter:
    spotter = WakeSpotter(wake=wake, span=span)
    spotter.scorer = WakeScorer(Told("a", "b", threshold=0.8), Told("a", "b"), wake=wake)
    return spotter


def test_a_word_counts_for_a_span_after_the_wake_word_alone() -> None:
    scores = stream(40, {2: (1, 0.9), 8: (0, 0.9), 18: (1, 0.6), 30: (1, 0.9)})
    assert heard(wakeful(), scores) == [("a", 8, 8), ("b", 18, 18)]


def test_the_wake_word_that_is_still_in_the_window_is_one_event() -> None:
    scores = stream(30, dict.fromkeys(range(5, 12), (0, 0.9)))
    assert [label for label, _, _ in heard(wakeful(), scores)] == ["a"]


def test_in_one_go_a_stream_wakes_at_the_same_hop() -> None:
    scores = stream(40, {2: (1, 0.9), 8: (0, 0.9), 18: (1, 0.6), 30: (1, 0.9)})
    assert heard(wakeful(), scores, at_once=40) == heard(wakeful(), scores)


def test_a_wake_word_that_is_not_known_wakes_nothing() -> None:
    scores = stream(30, {2: (1, 0.9), 8: (0, 0.9), 18: (1, 0.9)})
    assert heard(wakeful(wake="c"), scores) == []


def test_a_scorer_that_takes_over_is_as_awake_as_the_one_before() -> None:
    spotter = wakeful()
    scores = stream(20, {2: (0, 0.9), 10: (1, 0.6)})
    spotter.push(scores[:8])
    spotter.scorer = WakeScorer(Told("a", "b", threshold=0.8), Told("a", "b"), wake="a")
    assert [label for label, _, _ in heard(spotter, scores[8:])] == ["b"]


class Far:
    """Takes what is above 0.85 for unknown, and counts what it was asked."""

    threshold = 0.5
    asked = 0

    def novelty(self, features: NDArray[np.float32], answers: NDArray[np.intp]) -> NDArray[np.float32]:
        self.asked += len(features)
        assert features.shape[1] > int(answers.max())
        return (features.max(axis=1) > 0.85).astype(np.float32)


def test_a_hop_that_is_unknown_counts_for_no_label_and_only_what_would_count_is_measured() -> None:
    measure, model = Far(), Model(settings(dimension=2))
    scorer = KnownScorer(Told("a", "b"), model, measure=measure, unknown_above=0.5)
    spotter = WordSpotter(scorer)
    scores = stream(30, {3: (0, 0.9), 15: (1, 0.8), 20: (0, 0.4)})
    assert heard(spotter, scores) == [("b", 15, 15)]
    assert measure.asked == 2
    spotter.push(scores[3:4])
    assert spotter.look[3] == "unknown: like nothing that was taught"
    assert scorer(scores[15:16]).scores[0, 1] == np.float32(0.8)
