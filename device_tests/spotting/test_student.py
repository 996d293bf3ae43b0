"""The student: its net, what it adds to scores, and what becomes of a file that cannot be used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.errors import ContractError
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.learning.loop import learn
from edgecl.learning.merging import merged
from edgecl.model.exemplars import Exemplars, quantise
from edgecl.model.model import Lesson, MemoryObjects, Model
from edgecl.model.settings import Settings
from edgecl.spotting import student as module
from edgecl.spotting.background import VOICE_SOURCE, Background, BackgroundScorer, factory_background
from edgecl.spotting.people import Allowance, factory_allowance
from edgecl.spotting.reference import Reference
from edgecl.spotting.settling import ROUNDING
from edgecl.spotting.spotters import ASKED, WordSpotter
from edgecl.spotting.student import (
    BETA,
    FILE,
    LEAST,
    Net,
    Pupil,
    Student,
    factory_student,
    thirds,
    voice_student,
    whole_layers,
)

from ..support.listening import plain_background, window_of

D, K, P, H = 6, 4, 9, 8
NOTHING = Allowance(*[0.0] * 5, 1.0, 0.0, 1.0, 0.0)


@pytest.fixture
def forgotten() -> Iterator[None]:
    """A student that is read again, before and after."""
    factory_student.cache_clear()
    yield
    factory_student.cache_clear()


def _net(rng: np.random.Generator) -> Net:
    shapes = ((3 * D, H), (H,), (H, K), (K,))
    return Net(*(rng.standard_normal(shape).astype(np.float32) for shape in shapes))


def _student(rng: np.random.Generator, rows: int = 400) -> Student:
    answers = rng.standard_normal((rows, K))
    answers = (answers / np.linalg.norm(answers, axis=1, keepdims=True)).astype(np.float32)
    return Student(_net(rng), np.zeros(D, np.float32), answers, np.arange(rows), 1.0, "", NOTHING)


def _background(rng: np.random.Generator) -> Background:
    return plain_background(rng, D)


def _model(rng: np.random.Generator, references: Mapping[str, NDArray[np.float32]]) -> Model:
    rows = {
        label: quantise((8 * np.eye(D)[at] + rng.standard_normal((5, D)) / 4).astype(np.float32))
        for at, label in enumerate(("no", "yes"))
    }
    model = learn(
        Model(Settings(1 << 20, 1 << 26, 8, D, 0.03)), Lesson(rows), objects=MemoryObjects(), force=True
    ).model
    assert model is not None
    kept = {
        label: replace(one, student=Reference.of([references[label]] * 5).array()) if label in references else one
        for label, one in model.exemplars.items()
    }
    return replace(model, exemplars=kept)


def _hops(rng: np.random.Generator, hops: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Latents (n, D), of which some are near the words, and frames (n, P, D) that these are the means of."""
    latents = rng.standard_normal((hops, D)).astype(np.float32)
    latents += np.where(rng.random((hops, 1)) < 0.5, 8 * np.eye(D, dtype=np.float32)[rng.integers(0, 2, hops)], 0)
    frames = 16 * rng.standard_normal((hops, P, D)).astype(np.float32)
    frames += (latents - frames.mean(axis=1))[:, None]
    return np.add.reduce(frames, axis=1) / np.float32(P), frames


@pytest.mark.parametrize("seed", range(3))
def test_the_net_computes_its_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    student = _student(rng)
    student = replace(student, mean=rng.standard_normal(D).astype(np.float32))
    frames = rng.standard_normal((5, P, D)).astype(np.float32)
    for window, found in zip(frames, student(frames), strict=True):
        z = [
            sum(float(window[3 * t + i, d]) for i in range(3)) / 3 - student.mean[d] for t in range(3) for d in range(D)
        ]
        length = math.sqrt(sum(one * one for one in z))
        hidden = [
            max(sum(one / length * student.net.first[i, h] for i, one in enumerate(z)) + student.net.first_bias[h], 0)
            for h in range(H)
        ]
        answer = [
            sum(one * student.net.second[h, k] for h, one in enumerate(hidden)) + student.net.second_bias[k]
            for k in range(K)
        ]
        assert found == pytest.approx(np.array(answer) / math.sqrt(sum(one * one for one in answer)), abs=1e-5)


def test_thirds_keep_the_order_of_a_window() -> None:
    frames = np.repeat(np.array([1.0, 2.0, 2.0], np.float32), 3)[None, :, None] * np.ones((1, 9, 4), np.float32)
    rows = thirds(frames, np.zeros(4, np.float32))
    assert rows[0] == pytest.approx(np.repeat([1, 2, 2], 4) / 6)
    assert thirds(frames[:, ::-1], np.zeros(4, np.float32))[0] == pytest.approx(rows[0, ::-1])


def test_a_hop_within_reach_gains_beta_times_the_cosine_and_others_nothing() -> None:
    rng = np.random.default_rng(1)
    student, background = _student(rng), _background(rng)
    reference = np.eye(K, dtype=np.float32)[0]
    model = _model(rng, {"yes": reference})
    scorer, first = BackgroundScorer(model, background, student=student), BackgroundScorer(model, background)
    latents, frames = _hops(rng, 300)
    found, before = scorer(latents, frames), first(latents).scores
    assert found.asked is not None
    yes = scorer.labels.index("yes")
    near = before[:, yes] >= scorer.thresholds[yes] - BETA
    assert 0 < near.sum() < 300
    np.testing.assert_array_equal(found.asked[:, yes], near)
    assert not found.asked[:, 1 - yes].any()
    more = np.where(near, BETA * (student(frames) @ reference), 0)
    np.testing.assert_allclose(found.scores[:, yes], before[:, yes] + more, atol=1e-2)
    np.testing.assert_array_equal(found.scores[:, 1 - yes], before[:, 1 - yes])
    assert scorer.thresholds[1 - yes] == first.thresholds[1 - yes]
    np.testing.assert_array_equal(scorer(latents).scores, before)  # without frames


def test_no_hop_that_counts_is_settled_quickly_and_the_student_settles_more() -> None:
    rng = np.random.default_rng(2)
    scorer = BackgroundScorer(
        _model(rng, {"yes": np.eye(K, dtype=np.float32)[1]}), _background(rng), student=_student(rng)
    )
    latents, frames = _hops(rng, 400)
    counts = (scorer(latents, frames).scores >= scorer.thresholds).any(axis=1)
    near = (scorer(latents).scores >= scorer.thresholds - BETA).any(axis=1)
    window = window_of(frames[0])
    settled = np.array([scorer.is_below(window_of(hop, window), scorer.thresholds) for hop in frames])
    assert counts.any()
    assert not (counts & settled).any()
    assert (settled & ~near).any()
    assert (settled & near).sum() > 20


def test_streams_that_share_a_scorer_keep_what_settles_their_hops() -> None:
    rng = np.random.default_rng(2)
    model = _model(rng, {"yes": np.eye(K, dtype=np.float32)[1]})
    scorer = BackgroundScorer(model, _background(rng), student=_student(rng))
    _, frames = _hops(rng, 200)
    single, one, other = (window_of(frames[0]) for _ in range(3))
    alone = [scorer.is_below(window_of(hop, single), scorer.thresholds) for hop in frames]
    for hop, expected in zip(frames, alone, strict=True):
        before = one.settling
        assert scorer.is_below(window_of(hop, one), scorer.thresholds) == expected
        assert before is None or one.settling is before
        scorer.is_below(window_of(frames[7], other), scorer.thresholds)
    scorer.is_below(one, scorer.at(0.9).thresholds)
    assert one.settling is not before


def test_weights_in_whole_numbers_are_nearly_those_of_the_net(rng: np.random.Generator) -> None:
    student = factory_student()
    assert student is not None
    z = rng.standard_normal((100, len(student.net.first))).astype(np.float32)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    inner, inner_bias, outer, outer_bias = whole_layers(student.net)
    found = np.maximum(z @ inner.astype(np.float32) + inner_bias, 0) @ outer + outer_bias
    apart = found / np.linalg.norm(found, axis=1, keepdims=True) - student.net(z)
    assert BETA * np.linalg.norm(apart, axis=1).max() < ROUNDING / 5


def test_hops_one_by_one_make_the_events_of_all_at_once() -> None:
    rng = np.random.default_rng(3)
    references = dict(zip(("no", "yes"), np.eye(K, dtype=np.float32), strict=False))
    scorer = BackgroundScorer(_model(rng, references), _background(rng), student=_student(rng))
    latents, frames = _hops(rng, 300)
    whole, single = WordSpotter(scorer), WordSpotter(scorer)
    at_once = [*whole.push(latents, frames), *whole.end()]
    window = window_of(frames[0])
    by_hop = [one for hop in frames for one in single.hear(window_of(hop, window))]
    by_hop += single.end()
    assert [(one.label, one.first, one.last) for one in by_hop] == [(one.label, one.first, one.last) for one in at_once]
    assert len(at_once) > 3


def test_a_hop_that_is_refused_is_shown_with_the_student_s_answer() -> None:
    rng = np.random.default_rng(4)
    model = _model(rng, {"yes": np.eye(K, dtype=np.float32)[0]})
    spotter = WordSpotter(BackgroundScorer(model, _background(rng), student=_student(rng)))
    _, frames = _hops(rng, 300)
    reasons, window = [], window_of(frames[0])
    for hop in frames:
        spotter.hear(window_of(hop, window))
        reasons.append(spotter.look[3])
    assert {f"below its threshold, {ASKED}", "below its threshold", ""} <= set(reasons)


def test_background_that_is_like_the_word_to_the_student_raises_its_threshold() -> None:
    rng = np.random.default_rng(5)
    background, reference = _background(rng), np.eye(K, dtype=np.float32)[0]
    model = _model(rng, {"yes": reference})
    found = []
    for like in (reference, -reference):
        student = replace(_student(rng), rows=np.tile(like, (400, 1)))
        found.append(BackgroundScorer(model, background, student=student).calibration["yes"])
    assert found[0].threshold > found[1].threshold + BETA / 4
    assert found[0].typical == pytest.approx(found[1].typical)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_the_least_threshold_of_a_words_both_scores_is_a_share_of_what_the_student_can_add(share: float) -> None:
    student, words = _student(np.random.default_rng(6)), {"yes": Reference.of([np.eye(K, dtype=np.float32)[0]] * 5)}
    found = Pupil(student, ["yes"], words, share=share)
    assert found.least == pytest.approx(LEAST * found.reach[0])


def test_a_threshold_of_both_scores_is_the_least_where_the_background_is_unlike_the_word() -> None:
    rng = np.random.default_rng(6)
    model, background = _model(rng, {"yes": np.eye(K, dtype=np.float32)[0]}), _background(rng)
    background = replace(background, rows=background.rows - 8 * np.eye(D, dtype=np.float32)[1])
    student = replace(
        _student(rng), allowance=replace(NOTHING, quiet=500.0), rows=np.tile(-np.eye(K, dtype=np.float32)[0], (400, 1))
    )
    scorer = BackgroundScorer(model, background, student=student)
    assert scorer.thresholds[scorer.labels.index("yes")] == pytest.approx(LEAST * BETA)
    assert BackgroundScorer(model, background).calibration["yes"].threshold < LEAST * BETA


def test_what_people_who_did_not_teach_get_is_expected_of_both_scores() -> None:
    rng = np.random.default_rng(6)
    model, background = _model(rng, {"yes": np.eye(K, dtype=np.float32)[0]}), _background(rng)
    student = replace(_student(rng), beta=5.0)
    shares = [
        BackgroundScorer(
            model, background, student=replace(student, allowance=replace(NOTHING, quiet=quiet))
        ).calibration["yes"].unseen
        for quiet in (-60.0, -30.0, 0.0)
    ]  # fmt: skip
    assert shares[0] is not None
    assert shares == sorted(shares, key=float)  # type: ignore[arg-type]


def test_nothing_in_the_users_room_reaches_a_word_whatever_the_student_says() -> None:
    rng = np.random.default_rng(7)
    model, background, student = _model(rng, {"yes": np.eye(K, dtype=np.float32)[0]}), _background(rng), _student(rng)
    near = BackgroundScorer(model, background, student=student)
    latents, frames = _hops(rng, 400)
    heard = (near(latents, frames).scores >= near.thresholds).any(axis=1)
    assert heard.any()
    taught = BackgroundScorer(model, replace(background, room=latents), student=student)
    assert not (taught(latents, frames).scores >= taught.thresholds).any()


def test_labels_that_another_stage_decides_on_are_left_to_the_first() -> None:
    rng = np.random.default_rng(8)
    model = _model(rng, {"yes": np.eye(K, dtype=np.float32)[0]})
    scorer = BackgroundScorer(model, _background(rng), student=_student(rng), without=["yes"])
    assert scorer.students_words == ()


def test_a_reference_in_other_directions_is_not_used() -> None:
    rng = np.random.default_rng(9)
    model = _model(rng, {"yes": np.ones(K + 1, np.float32)})
    assert BackgroundScorer(model, _background(rng), student=_student(rng)).students_words == ()


def test_references_stay_with_exemplars_and_are_merged_with_them() -> None:
    rng, objects = np.random.default_rng(10), MemoryObjects()
    rows = {label: quantise(rng.standard_normal((5, D)).astype(np.float32)) for label in ("no", "yes")}
    model = learn(Model(Settings(1 << 20, 1 << 26, 8, D, 0.03)), Lesson(rows), objects=objects, force=True).model
    assert model is not None
    first, second = np.eye(K, dtype=np.float32)[:2]
    kept = {
        label: replace(model.exemplars[label], student=Reference.of([one] * times).array())
        for label, one, times in (("no", first, 1), ("yes", second, 3))
    }
    assert kept["yes"].nbytes == model.exemplars["yes"].nbytes + 2 * (K + 1)
    again = Exemplars.from_arrays(kept["yes"].arrays())
    np.testing.assert_array_equal(again.student, kept["yes"].student)
    np.testing.assert_array_equal(again.first(2).student, kept["yes"].student)
    both = merged(replace(model, exemplars=kept), "no", "yes", objects=objects).exemplars["yes"].student
    assert both is not None
    np.testing.assert_allclose(both, [0.25, 0.75, 0, 0, 4], atol=1e-3)


def test_a_damaged_reference_is_refused() -> None:
    kept = quantise(np.ones((2, D), np.float32))
    with pytest.raises(ValueError, match="reference"):
        Exemplars.from_arrays({**kept.arrays(), "student": np.zeros((2, 2), np.float16)})


def test_the_student_that_ships_fits_the_extractor_and_the_background_that_ship() -> None:
    try:
        extractor = open_extractor(builtin_extractor("voice"))
    except ContractError as error:
        pytest.skip(str(error))
    student, background = voice_student(extractor.digest), factory_background(source=VOICE_SOURCE, dimension=96)
    assert student is not None, "the extractor has changed: tools/make_student"
    assert background is not None
    assert FILE.stat().st_size <= 512 << 10
    assert student.reference_bytes <= 256
    np.testing.assert_array_equal(student.mean, extractor.contract.mean)
    assert len(student.rows) / len(background.rows) >= 0.8 * student.share
    assert student.of.max() < len(background.rows)
    np.testing.assert_allclose(np.linalg.norm(student.rows, axis=1), 1, atol=0.02)
    gained = factory_allowance("student").quiet - factory_allowance().quiet
    assert 0 < gained < BETA


def test_another_extractor_has_no_student() -> None:
    assert voice_student("0" * 64) is None


@pytest.mark.parametrize("content", [None, b"", b"PK", FILE.read_bytes()[:-200] if FILE.exists() else b""])
def test_a_student_that_is_missing_or_damaged_leaves_the_first_stage_alone(
    content: bytes | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    forgotten: None,
) -> None:
    file = tmp_path / FILE.name
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(module, "FILE", file)
    assert factory_student() is None
    assert "the first stage decides alone" in caplog.text
