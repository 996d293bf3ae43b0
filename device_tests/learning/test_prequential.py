"""Streams: answer first, then learn; drift, recurrence, delayed and missing labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgecl.errors import SettingError
from edgecl.gate.verdict import paired_bound
from edgecl.learning.alerts import Watch
from edgecl.learning.decisions import Costs, Prior
from edgecl.learning.drift_response import AS_IT_IS
from edgecl.learning.prequential import Prequential
from edgecl.model.model import Model

from ..support import learning

pytestmark = pytest.mark.native("follows streams of thousands of rows, whose kernels have tests of their own")

BATCH = 16


def rows(count: int, *, seed: int = 0, swapped: bool = False) -> tuple[list[str | None], np.ndarray]:
    """Two classes along the first of four columns; `swapped` exchanges their names."""
    generator = np.random.default_rng(seed)
    latents = generator.normal(size=(count, 4)).astype(np.float32)
    labels: list[str | None] = ["high" if (one > 0) != swapped else "low" for one in latents[:, 0]]
    return labels, latents


def fresh(**more: object) -> Model:
    return Model(learning.settings(**{"dimension": 4, "max_classes": 4, **more}))


def feed(stream: Prequential, labels, latents, *, kept=None) -> list:
    """The drifts, each answered by `adapt` with what is kept."""
    drifts = []
    for first in range(0, len(labels), BATCH):
        stream.take(labels[first : first + BATCH], latents[first : first + BATCH])
        if stream.has_drifted:
            drifts.append(stream.adapt(kept or {}))
    return drifts


def test_a_row_is_answered_before_its_label_is_learnt() -> None:
    labels, latents = rows(1)
    stream = Prequential(fresh())
    stream.take(labels, latents)
    assert (stream.tally.labelled, stream.tally.correct) == (1, 0)  # nothing was known yet


def test_within_a_batch_a_row_is_learnt_before_the_next_is_answered() -> None:
    _, latents = rows(2)
    stream = Prequential(fresh())
    stream.take(["high", "high"], latents)
    assert stream.answers == [None, "high"]


def test_answers_are_probabilities_of_every_label_known() -> None:
    stream = Prequential(fresh())
    feed(stream, *rows(500))
    assert set(stream.panel.labels) == {"high", "low"}
    np.testing.assert_allclose(stream.probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_steady_stream_is_learnt_without_a_drift() -> None:
    stream = Prequential(fresh())
    assert feed(stream, *rows(4000)) == []
    assert stream.tally.accuracy > 0.95
    weighed = sum(one.count for one in stream.model.statistics.values())
    assert 4000 - stream.contradictions.count <= weighed <= 4000
    assert stream.verdict().accepted


def test_the_label_before_said_again_is_counted_beside() -> None:
    stream = Prequential(fresh())
    feed(stream, ["a"] * 10 + ["b"] * 10, rows(20)[1])
    assert stream.tally.same_again == 18


def test_a_drift_replaces_what_no_longer_holds() -> None:
    stream = Prequential(fresh())
    assert feed(stream, *rows(4000)) == []
    (drift,) = feed(stream, *rows(2000, seed=1, swapped=True))
    assert drift.chosen in ("anew", "decayed")
    assert 4000 < drift.row < 4200
    assert drift.accuracy[drift.chosen] > drift.accuracy[AS_IT_IS] + 0.5
    correct = stream.tally.correct
    feed(stream, *rows(1000, seed=2, swapped=True))
    assert stream.tally.correct - correct > 930


def test_a_concept_that_comes_back_is_answered_by_the_kept_revision() -> None:
    stream = Prequential(fresh())
    feed(stream, *rows(3000))
    old = stream.model
    assert len(feed(stream, *rows(2000, seed=1, swapped=True))) == 1
    (drift,) = feed(stream, *rows(1000, seed=2), kept={"revision 7": old})
    assert drift.chosen == "revision 7"
    assert sum(one.count for one in stream.model.statistics.values()) > 3000


def test_what_held_before_a_drift_is_kept_without_what_came_after() -> None:
    stream = Prequential(fresh())
    feed(stream, *rows(4000))
    feed(stream, *rows(1000, seed=1, swapped=True))
    labels, latents = rows(500, seed=3)
    assert stream.concept is not None
    answers = stream.concept.predict(latents).labels
    assert np.mean([one == other for one, other in zip(answers, labels, strict=True)]) > 0.95


def test_a_delayed_label_is_learnt_after_its_delay_and_none_is_lost() -> None:
    stream = Prequential(fresh(), label_delay=100)
    labels, latents = rows(160)
    feed(stream, labels, latents)
    assert (stream.tally.rows, stream.tally.labelled) == (160, 60)
    stream.flush()
    assert stream.tally.labelled == 160


def test_rows_without_a_label_are_answered_and_not_learnt() -> None:
    stream = Prequential(fresh())
    labels, latents = rows(64)
    feed(stream, [label if at % 2 else None for at, label in enumerate(labels)], latents)
    assert (stream.tally.rows, stream.tally.labelled) == (64, 32)


def test_a_shift_of_rows_without_labels_is_noticed() -> None:
    stream = Prequential(fresh())
    feed(stream, *rows(1000))
    _, latents = rows(3000, seed=1)
    latents[2000:] *= 3
    feed(stream, [None] * 3000, latents)
    assert stream.tally.shifts
    assert all(3000 < row < 3200 for row in stream.tally.shifts)


def test_memory_is_the_same_after_ten_thousand_rows_as_after_two() -> None:
    stream = Prequential(fresh())
    feed(stream, *rows(2000))
    held = stream.nbytes
    feed(stream, *rows(8000, seed=1))
    assert stream.nbytes == pytest.approx(held, rel=0.02)
    assert stream.nbytes + stream.model.bytes()["total"] < stream.model.settings.memory_bytes


def test_memory_that_cannot_hold_a_stream_is_refused_with_what_would_do() -> None:
    with pytest.raises(SettingError, match=r"needs .* were granted: give the store more memory"):
        Prequential(fresh(), label_delay=10**6)


def test_a_live_revision_that_answers_better_stays() -> None:
    labels, latents = rows(2000)
    good = Prequential(fresh())
    feed(good, labels, latents)
    stream = Prequential(good.model)
    feed(stream, *rows(4000, seed=1, swapped=True))  # learns the names the other way round
    stream._recent.clear()
    feed(stream, *rows(100, seed=2))
    verdict = stream.verdict()
    assert not verdict.accepted
    assert "answers the latest 100 rows better" in verdict.reasons[0]


def test_exemplars_are_recent_rows_within_the_budget() -> None:
    stream = Prequential(fresh())
    feed(stream, *rows(3000))
    kept = stream.learnt()
    assert set(kept.exemplars) == {"high", "low"}
    assert sum(one.nbytes for one in kept.exemplars.values()) <= kept.plan().exemplars


def test_exemplars_of_what_held_before_a_drift_are_from_before_it() -> None:
    stream = Prequential(fresh())
    feed(stream, *rows(4000))
    feed(stream, *rows(1000, seed=1, swapped=True))
    assert stream.concept is not None
    before, after = ((one.exemplars["high"].rows[:, 0] > 0).mean() for one in (stream.concept, stream.learnt()))
    assert before > 0.9
    assert after < 0.1


def test_the_bound_of_a_gain_is_below_it_and_needs_evidence() -> None:
    before, after = np.zeros(100, bool), np.ones(100, bool)
    assert 0.8 < paired_bound(before, after) < 1
    assert paired_bound(before[:2], after[:2]) < 0
    assert paired_bound(after, after) < 0


def test_alerts_are_raised_for_the_watched_class_and_measured() -> None:
    stream = Prequential(fresh(), watch=Watch("low", Costs(1, 1)))
    feed(stream, *rows(2000))
    told = stream.alerts.as_dict()
    assert told["rows"] == stream.tally.by_label["low"][0]
    assert told["recall"] > 0.9
    assert told["precision"] > 0.9
    assert told["average_precision"] > 0.95
    assert told["cost"] == pytest.approx(2000 - stream.tally.correct, abs=60)  # equal costs: an alert is an answer


def test_a_balanced_prior_answers_a_rare_class_more_often() -> None:
    labels, latents = rows(3000)
    rare = [at for at, label in enumerate(labels) if label == "low" or at % 20 == 0]
    latents = latents + np.random.default_rng(5).normal(size=latents.shape).astype(np.float32)
    found = {}
    for prior in ("stream", "balanced"):
        stream = Prequential(fresh(), prior=Prior.parse(prior))
        feed(stream, [labels[at] for at in rare], latents[rare])
        count, right = stream.tally.by_label["high"]
        found[prior] = right / count
    assert found["balanced"] > found["stream"]


def test_the_rank_of_every_label_is_counted() -> None:
    stream = Prequential(fresh())
    feed(stream, *rows(500))
    assert 498 <= stream.tally.among_top <= 499  # two classes; the first of each is not known
    assert stream.tally.gain == pytest.approx(stream.tally.correct + (499 - stream.tally.correct) / np.log2(3), abs=2)


def test_labels_that_contradict_all_that_is_known_hardly_weigh_and_are_counted() -> None:
    labels, latents = rows(4000)
    far = np.abs(latents[:, 0]) > 1.5
    generator = np.random.default_rng(1)
    flipped = far & (generator.random(len(labels)) < 0.1)
    wrong = [
        {"high": "low", "low": "high"}[str(label)] if flip else label
        for label, flip in zip(labels, flipped, strict=True)
    ]
    stream = Prequential(fresh())
    feed(stream, wrong, latents)
    weighed = sum(one.count for one in stream.model.statistics.values())
    assert 0.25 * flipped.sum() < stream.contradictions.count < 1.3 * flipped.sum()
    assert weighed < len(labels) - 0.4 * stream.contradictions.count


def test_labels_that_are_right_contradict_nothing() -> None:
    stream = Prequential(fresh())
    feed(stream, *rows(4000))
    assert stream.contradictions.count <= 4000 / 100


def test_the_first_rows_of_a_new_class_contradict_nothing() -> None:
    stream = Prequential(fresh())
    feed(stream, *rows(2000))
    _, latents = rows(8, seed=5)
    stream.take(["new"] * 8, latents)
    assert stream.model.statistics["new"].count == 8


def test_a_kept_revision_of_other_classes_alone_has_no_say() -> None:
    stream = Prequential(fresh())
    feed(stream, *rows(300))
    head = stream.learnt().head
    assert head is not None
    stream.panel.keep([replace(head, labels=tuple(f"not {label}" for label in head.labels))])
    feed(stream, *rows(100, seed=3))
    assert stream.tally.labelled == 400
