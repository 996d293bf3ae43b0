"""Words against background: densities, thresholds, a user's room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.learning.loop import learn
from edgecl.model.exemplars import quantise
from edgecl.model.model import Lesson, MemoryObjects, Model
from edgecl.model.settings import Settings
from edgecl.spotting.background import VOICE_SOURCE, Background, BackgroundScorer, factory_background
from edgecl.spotting.densities import Gaussian
from edgecl.spotting.room import Room, add_to_room
from edgecl.spotting.scorers import Scores
from edgecl.spotting.spotters import WordSpotter

from ..support.commands import clips, edgecl, noise, voice_extractor, write_clips, write_wav
from ..support.listening import window_of

TOOLS = Path(__file__).resolve().parents[2] / "tools"
D = 6


def _spread(rng: np.random.Generator) -> NDArray[np.float32]:
    factor = rng.standard_normal((D, 2 * D)) / 3
    return (factor @ factor.T).astype(np.float32)


def _background(rng: np.random.Generator) -> Background:
    return Background(
        gaussians=tuple(Gaussian(rng.standard_normal(D).astype(np.float32), _spread(rng)) for _ in range(3)),
        tied=_spread(rng),
        distractors=rng.standard_normal((5, D)).astype(np.float32),
        offset=rng.standard_normal(D).astype(np.float32) / 10,
        rows=rng.standard_normal((40, D)).astype(np.float32),
        hours=2.0,
        room=np.zeros((0, D), np.float32),
    )


def _model(rng: np.random.Generator, counts: dict[str, int], *, projection: int = 0) -> Model:
    settings = Settings(1 << 20, 1 << 26, 8, D, 0.03, projection=projection)
    rows = {
        label: quantise(
            settings.features.project((4 * rng.standard_normal(D) + rng.standard_normal((n, D)) / 4).astype(np.float32))
        )
        for label, n in counts.items()
    }
    model = learn(Model(settings), Lesson(rows), objects=MemoryObjects(), force=True).model
    assert model is not None
    return model


def _log_normal(x: NDArray[np.float64], mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    away = x - mean
    return float(-(away @ np.linalg.solve(covariance, away) + np.linalg.slogdet(covariance)[1]) / 2)


@pytest.mark.parametrize("counts", [{"yes": 5}, {"yes": 5, "no": 1, "up": 9}])
def test_a_score_is_the_difference_of_log_densities(counts: dict[str, int]) -> None:
    rng = np.random.default_rng(3)
    background, model = _background(rng), _model(rng, counts)
    latents = rng.standard_normal((7, D)).astype(np.float32)
    said = BackgroundScorer(model, background)(latents).scores
    for x, scores in zip(latents.astype(np.float64), said, strict=True):
        words = {
            label: _log_normal(x, one.mean + background.offset, (1 + 1 / one.count) * background.tied)
            for label, one in model.statistics.items()
        }
        others = [_log_normal(x, one.mean, one.covariance) for one in background.gaussians]
        others += [_log_normal(x, mean, background.tied) for mean in background.distractors]
        for label, score in zip(model.labels, scores, strict=True):
            rivals = [*others, *(value for name, value in words.items() if name != label)]
            assert score == pytest.approx(words[label] - max(rivals), rel=1e-3, abs=1e-2)


def test_hops_of_the_background_that_are_a_taught_word_do_not_raise_its_threshold() -> None:
    rng = np.random.default_rng(3)
    background, model = _background(rng), _model(rng, {"yes": 5, "no": 1})
    before = BackgroundScorer(model, background)
    away = np.linalg.cholesky(background.tied)[:, 0]  # of length 1 under its covariance
    for at, label in enumerate(model.labels):
        one = model.statistics[label]
        reach = np.sqrt(D * (1 + 1 / one.count))
        for share, is_raised in ((0.98, False), (1.02, True)):
            said = (one.mean + background.offset + share * reach * away).astype(np.float32)
            more = replace(background, rows=np.concatenate([background.rows, np.repeat(said[None], 9, axis=0)]))
            assert (BackgroundScorer(model, more).thresholds[at] > before.thresholds[at]) is np.bool_(is_raised)


def test_the_confidence_is_even_at_the_threshold_and_nine_in_ten_at_the_words_own_clips() -> None:
    rng = np.random.default_rng(1)
    scorer = BackgroundScorer(_model(rng, {"yes": 6}), _background(rng))
    one = scorer.calibration["yes"]
    assert one.typical > one.threshold + 1
    for confidence, score in ((0.5, one.threshold), (0.9, one.typical)):
        asked = BackgroundScorer(
            _model(np.random.default_rng(1), {"yes": 6}), _background_after(1), confidence=confidence
        )
        assert asked.thresholds[0] == pytest.approx(score, rel=1e-3)


def _background_after(seed: int) -> Background:
    """The background that follows a model drawn from a seed."""
    rng = np.random.default_rng(seed)
    _model(rng, {"yes": 6})
    return _background(rng)


def test_left_out_clips_score_as_if_they_had_not_been_taught() -> None:
    rng = np.random.default_rng(5)
    background, model = _background(rng), _model(rng, {"yes": 5})
    scorer = BackgroundScorer(model, background)
    rows = next(model.exemplars["yes"].blocks(9))
    expected = []
    for index in range(len(rows)):
        rest = quantise(np.delete(rows, index, axis=0))
        without = learn(Model(model.settings), Lesson({"yes": rest}), objects=MemoryObjects(), force=True).model
        assert without is not None
        expected.append(BackgroundScorer(without, background)(rows[index : index + 1] + background.offset).scores[0, 0])
    found = scorer.own(0, model.exemplars["yes"], background.offset).scores()
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.2)  # the rest is quantised anew


def test_nothing_kept_of_a_room_reaches_a_threshold() -> None:
    rng = np.random.default_rng(2)
    background, model = _background(rng), _model(rng, {"yes": 5})
    close = next(model.exemplars["yes"].blocks(9)) + background.offset  # somebody nearly says it, all the time
    room = add_to_room(None, [close.astype(np.float32)])
    scorer = BackgroundScorer(model, background.with_room(room))
    kept = next(room.rows.blocks(9))
    assert (scorer(kept).scores[:, 0] < scorer.thresholds[0]).all()
    without = BackgroundScorer(model, background)
    assert (without(kept).scores[:, 0] >= without.thresholds[0]).any()


def test_a_room_heard_in_two_parts_has_the_statistics_of_the_whole() -> None:
    rows = np.random.default_rng(0).standard_normal((50, D)).astype(np.float32)
    whole, parts = add_to_room(None, [rows]), add_to_room(add_to_room(None, [rows[:20]]), [rows[20:]])
    assert parts.statistics.count == 50
    np.testing.assert_allclose(parts.statistics.mean, whole.statistics.mean, rtol=1e-6)
    np.testing.assert_allclose(parts.statistics.scatter, whole.statistics.scatter, rtol=1e-4, atol=1e-4)
    again = Room.from_arrays(whole.arrays())
    np.testing.assert_array_equal(again.rows.rows, whole.rows.rows)


def test_a_projected_background_is_that_of_projected_latents() -> None:
    rng = np.random.default_rng(4)
    background, features = _background(rng), Settings(1 << 20, 1 << 26, 8, D, 0.03, projection=4).features
    cloud = rng.multivariate_normal(np.zeros(D), background.tied, 100_000).astype(np.float32)
    projected = background.projected(features)
    np.testing.assert_allclose(projected.tied, np.cov(features.project(cloud).T), atol=0.1)
    model = _model(rng, {"yes": 5, "no": 5}, projection=4)
    assert np.isfinite(BackgroundScorer(model, background)(cloud[:3]).scores).all()


def test_what_ships_belongs_to_the_voice_extractor_alone() -> None:
    background = factory_background(source=VOICE_SOURCE, dimension=96)
    assert background is not None
    assert background.hours > 5
    assert len(background.gaussians) == 3
    assert factory_background(source="another", dimension=96) is None
    assert factory_background(source=VOICE_SOURCE, dimension=64) is None
    assert replace(background, hours=1).projected(Settings(1 << 20, 1 << 26, 8, 96, 0.03).features).hours == 1


def test_the_table_counts_the_events_that_a_listener_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    from measure.listen_table import events

    rng = np.random.default_rng(0)

    class Given:
        labels, thresholds = ("yes",), np.array([1.0], np.float32)

        def __call__(self, latents: NDArray[np.float32], frames: NDArray[np.floating] | None = None) -> Scores:
            return Scores(latents, latents[:, 0], latents[:, 0])

    for _ in range(20):
        scores = rng.standard_normal(300).astype(np.float32)
        spotter = WordSpotter(Given())
        said = [*spotter.push(scores[:, None]), *spotter.end()]
        assert [scores[peak] for peak in events(scores, 1.0)] == [one.score for one in said]


@pytest.mark.native("needs the references of all five clips, of which emulation makes two")
def test_a_room_is_taken_in_by_a_command_and_stays_through_a_lesson(tmp_path: Path) -> None:
    store, room = tmp_path / "kitchen", write_wav(tmp_path / "room.wav", noise(5.0))
    assert edgecl("init", store, "--extractor", voice_extractor()).code == 0
    done = edgecl("learn", store, "--background", room, "--json")
    assert done.value["hops"] > 30
    taught = write_clips(tmp_path / "clips", clips("teach", ["yes"], most=5))
    assert edgecl("learn", store, taught).code == 0
    again = edgecl("learn", store, "--background", room, "--json")
    assert again.value["hops_in_all"] == 2 * done.value["hops"]
    assert edgecl("status", store, "--json").value["spotting"]["yes"]["heard"] > 0
    assert "background" in edgecl("history", store).out


def test_a_room_is_not_judged(tmp_path: Path) -> None:
    done = edgecl("learn", tmp_path, "--background", tmp_path / "room.wav", "--force")
    assert done.code == 2
    assert "--force does not go with --background" in done.err


@pytest.mark.parametrize("projection", [0, 4])
def test_hops_that_are_settled_early_change_no_event_and_nothing_that_is_shown(projection: int) -> None:
    rng = np.random.default_rng(11)
    background, model = _background(rng), _model(rng, {"yes": 5, "no": 3}, projection=projection)
    scorer = BackgroundScorer(model, background)
    latents = (4 * rng.standard_normal((400, D))).astype(np.float32)
    whole, by_hop = WordSpotter(scorer), WordSpotter(scorer)
    expected = whole.push(latents)
    found, early, window = [], 0, None
    for at in range(len(latents)):
        window = window_of(latents[at : at + 1], window)
        early += scorer.is_below(window, scorer.thresholds)
        found += by_hop.hear(window)
    scores = scorer(latents)
    below = (scores.scores < scorer.thresholds).all(axis=1)
    assert 0 < early <= below.sum() < len(latents)
    assert [(one.label, one.first, one.last) for one in found] == [(one.label, one.first, one.last) for one in expected]
    assert found
    assert by_hop.look == pytest.approx(whole.look)
    assert by_hop.answer == pytest.approx(whole.answer)
