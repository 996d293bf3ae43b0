"""What of a lesson is judged: samples set aside, names asked about, and what the user's answer makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.errors import SettingError
from edgecl.gate.verdict import ACCEPTED, ASKS, REJECTED, Verdict
from edgecl.learning.admission import Answer, part_of, renamed
from edgecl.learning.loop import Outcome, lesson_stages
from edgecl.learning.merging import merged
from edgecl.learning.second_thoughts import odds_between
from edgecl.model.model import Alike, Lesson, MemoryObjects, Model, Objects, pair_of
from edgecl.model.statistics import ClassStatistics, accumulate

from ..support.learning import Words, as_lesson, settings, taught


@pytest.fixture
def words() -> Words:
    return Words(8, seed=1)


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


def known(words: Words, objects: Objects) -> Model:
    lesson = as_lesson(Model(settings()), words.lesson(30, words.labels[:5]))
    outcome = lesson_stages(Model(settings()), lesson, objects=objects, strategy="closed-form").finish()
    assert outcome.model is not None
    return outcome.model


def learnt(model: Model, lesson: Lesson, objects: Objects, answer: Answer | None = None) -> Outcome:
    return lesson_stages(model, lesson, objects=objects, strategy="closed-form", answer=answer).finish()


def with_stray(words: Words, label: str, stray: str, *, count: int = 8) -> dict[str, np.ndarray]:
    return {label: np.concatenate([words.say(label, count), words.say(stray, 1)])}


def test_a_stray_sample_is_not_taught_and_named_with_what_it_is_like(words: Words, objects: MemoryObjects) -> None:
    model = known(words, objects)
    label, other = words.labels[0], words.labels[1]
    lesson = as_lesson(model, with_stray(words, label, other))
    lesson = Lesson(lesson.rows, sources={label: [f"{row}.wav" for row in range(9)]})
    outcome = learnt(model, lesson, objects)
    (one,) = outcome.verdict.set_aside
    assert (one.source, one.label, one.like, one.row, one.is_asked) == ("8.wav", label, other, 8, False)
    assert one.probability < 0.5
    assert outcome.verdict.name == ACCEPTED
    assert outcome.model is not None
    assert outcome.model.statistics[label].count == 38


def test_a_confirmed_sample_is_never_doubted(words: Words, objects: MemoryObjects) -> None:
    model, label = known(words, objects), words.labels[0]
    lesson = as_lesson(model, with_stray(words, label, words.labels[1]))
    outcome = learnt(model, Lesson(lesson.rows, confirmed={label: np.arange(9) == 8}), objects)
    assert not outcome.verdict.set_aside
    assert outcome.model is not None
    assert outcome.model.statistics[label].count == 39


def test_a_doubted_sample_of_a_small_new_class_is_to_be_asked_about(words: Words, objects: MemoryObjects) -> None:
    model = known(words, objects)
    few = learnt(model, as_lesson(model, with_stray(words, words.labels[6], words.labels[1], count=4)), objects)
    many = learnt(model, as_lesson(model, with_stray(words, words.labels[6], words.labels[1], count=9)), objects)
    assert [one.is_asked for one in few.verdict.set_aside] == [True]
    assert [one.is_asked for one in many.verdict.set_aside] == [False]


def test_a_lesson_of_swapped_names_is_refused_as_a_whole(words: Words, objects: MemoryObjects) -> None:
    model, (first, second) = known(words, objects), words.labels[:2]
    outcome = learnt(model, as_lesson(model, {first: words.say(second, 6), second: words.say(first, 6)}), objects)
    assert outcome.model is None
    assert outcome.verdict.name == REJECTED
    assert outcome.verdict.is_refused
    assert "12 of 12 samples" in outcome.verdict.reasons[0]
    assert not outcome.verdict.set_aside


def test_a_known_class_under_a_new_name_is_a_question_and_the_rest_is_taught(
    words: Words, objects: MemoryObjects
) -> None:
    model, label = known(words, objects), words.labels[0]
    lesson = {"again": words.say(label, 6), words.labels[6]: words.say(words.labels[6], 6)}
    outcome = learnt(model, as_lesson(model, lesson), objects)
    (ask,) = outcome.verdict.asks
    assert (ask.label, ask.like, ask.samples, ask.is_live) == ("again", label, 6, False)
    assert ask.odds is not None
    assert ask.odds > 0.9
    assert outcome.model is not None
    assert words.labels[6] in outcome.model.statistics
    assert "again" not in outcome.model.statistics


def test_a_lesson_all_of_which_waits_is_no_rejection(words: Words, objects: MemoryObjects) -> None:
    model = known(words, objects)
    outcome = learnt(model, as_lesson(model, {"again": words.say(words.labels[0], 6)}), objects)
    assert outcome.model is None
    assert outcome.verdict.name == ASKS
    assert not outcome.verdict.is_refused
    assert outcome.verdict.as_dict()["verdict"] == "asks"


def test_same_as_teaches_it_under_the_known_name(words: Words, objects: MemoryObjects) -> None:
    model, label = known(words, objects), words.labels[0]
    lesson = as_lesson(model, {label: words.say(label, 3), "again": words.say(label, 6)})
    outcome = learnt(model, lesson, objects, Answer(same_as=label))
    assert outcome.model is not None
    assert not outcome.verdict.asks
    assert outcome.model.statistics[label].count == 39
    assert "again" not in outcome.model.statistics


def test_distinct_teaches_it_as_its_own_and_is_remembered(words: Words, objects: MemoryObjects) -> None:
    model, label = known(words, objects), words.labels[0]
    lesson = as_lesson(model, {"again": words.say(label, 6)})
    outcome = learnt(model, lesson, objects, Answer(distinct=True))
    assert not outcome.verdict.asks
    remembered = Model(model.settings, model.statistics, model.exemplars, model.head, digests=model.digests)
    remembered = Model(**{**vars(remembered), "distinct": frozenset({pair_of("again", label)})})
    assert not [one for one in learnt(remembered, lesson, objects).verdict.asks if one.like == label]
    if outcome.model is not None:  # the gate may still find that the two cannot be told apart
        assert outcome.model.are_distinct(label, "again")


def test_an_answer_that_fits_no_name_is_refused(words: Words, objects: MemoryObjects) -> None:
    model = known(words, objects)
    new = as_lesson(model, words.lesson(6, words.labels[5:7]))
    with pytest.raises(SettingError, match="not a class that is known"):
        learnt(model, new, objects, Answer(same_as="nothing"))
    with pytest.raises(SettingError, match="which of"):
        learnt(model, new, objects, Answer(same_as=words.labels[0]))


def test_two_new_names_for_one_thing_are_asked_about_and_the_first_is_taught(
    words: Words, objects: MemoryObjects
) -> None:
    model, label = known(words, objects), words.labels[6]
    outcome = learnt(model, as_lesson(model, {"one": words.say(label, 20), "two": words.say(label, 19)}), objects)
    (ask,) = outcome.verdict.asks
    assert (ask.label, ask.like, ask.odds) == ("two", "one", None)
    assert outcome.model is not None
    assert "one" in outcome.model.statistics


def test_force_and_an_empty_model_take_a_lesson_as_it_is(words: Words, objects: MemoryObjects) -> None:
    model = known(words, objects)
    lesson = as_lesson(model, {"again": words.say(words.labels[0], 6)})
    forced = lesson_stages(model, lesson, objects=objects, strategy="closed-form", force=True).finish()
    assert forced.model is not None
    assert forced.model.statistics["again"].count == 6
    assert not forced.verdict.asks


def test_what_a_class_is_like_is_kept_and_asked_once_when_a_lesson_brings_it_nearer(
    words: Words, objects: MemoryObjects
) -> None:
    model, label = known(words, objects), words.labels[0]
    outcome = learnt(model, as_lesson(model, {"again": words.say(label, 6)}), objects, Answer(distinct=True))
    live = outcome.model or taught(model, {"again": words.say(label, 6)})
    live = Model(**{**vars(live), "alike": {"again": Alike(label, 0.5)}, "distinct": frozenset()})
    more = as_lesson(live, {"again": words.say(label, 12)})
    second = lesson_stages(live, more, objects=objects, strategy="closed-form", force=True).finish()
    (ask,) = second.verdict.asks
    assert (ask.label, ask.like, ask.is_live) == ("again", label, True)
    assert second.model is not None
    assert second.model.alike["again"].asked
    assert second.model.statistics["again"].count == 18  # it stays live
    third = lesson_stages(second.model, more, objects=objects, strategy="closed-form", force=True).finish()
    assert not third.verdict.asks


def test_odds_between_classes_see_the_model_without_the_one(words: Words) -> None:
    model = taught(Model(settings()), words.lesson(30, words.labels[:5]), {"again": words.say(words.labels[0], 20)})
    same, other = odds_between(model, "again", words.labels[0]), odds_between(model, "again", words.labels[2])
    assert same is not None
    assert other is not None
    assert same > 0.9 > other


def test_a_merged_class_has_the_statistics_of_all_its_samples(words: Words, rng: np.random.Generator) -> None:
    rows = rng.standard_normal((9, 5)).astype(np.float32)
    parts = [
        ClassStatistics(*accumulate(None, [one], (s := np.zeros(15))), s.astype(np.float32))
        for one in (rows[:4], rows[4:])
    ]
    whole = np.zeros(15)
    count, mean = accumulate(None, [rows], whole)
    found = parts[0].merged(parts[1])
    assert found.count == count
    np.testing.assert_allclose(found.mean, mean, atol=1e-6)
    np.testing.assert_allclose(found.scatter, whole, atol=1e-4)


def test_merging_leaves_one_name_and_loses_no_sample(words: Words, objects: MemoryObjects) -> None:
    model, label = known(words, objects), words.labels[0]
    lesson = as_lesson(model, {"again": words.say(label, 6)})
    live = lesson_stages(model, lesson, objects=objects, strategy="closed-form", force=True).finish().model
    assert live is not None
    now = merged(live, "again", label, objects=objects)
    assert now.labels == model.labels
    assert now.statistics[label].count == 36
    assert len(now.exemplars[label]) == 36
    assert now.head is not None
    assert now.head.labels == model.labels
    assert not any("again" in role for role in now.digests)
    assert now.predict(words.say(label, 5)).labels == [label] * 5


def test_a_lesson_taken_apart_keeps_what_is_known_of_its_rows(words: Words) -> None:
    lesson = as_lesson(Model(settings()), words.lesson(3, words.labels[:2]))
    first, second = words.labels[:2]
    lesson = Lesson(lesson.rows, sources={first: ["a", "b", "c"]}, groups={first: ["x", "x", "y"]})
    part = part_of(lesson, {first: np.array([True, False, True]), second: np.zeros(3, bool)})
    assert list(part.rows) == [first]
    assert (part.sources, part.groups) == ({first: ["a", "c"]}, {first: ["x", "y"]})
    joined = renamed(lesson, second, first)
    assert len(joined.rows[first]) == 6
    assert joined.source(first, 2) == "c"
    assert joined.source(first, 5) == ""
    assert joined.confirmed[first].tolist() == [False] * 3 + [True] * 3
    assert len(set(joined.groups[first])) == 5


def test_a_stored_verdict_names_few_samples() -> None:
    from edgecl.gate.verdict import STORED, SetAside

    aside = tuple(SetAside(f"{row}.wav", "a", "b", 0.1, row) for row in range(3 * STORED))
    stored = Verdict(True, True, (), {}, None, None, set_aside=aside).stored()
    assert isinstance(stored["set_aside"], list)
    assert len(stored["set_aside"]) == STORED


def test_a_merged_class_keeps_what_a_second_stage_knows_of_both(words: Words, objects: MemoryObjects) -> None:
    model, (into, label, *_) = known(words, objects), words.labels
    first, second = (np.array([a, b, clips], np.float16) for a, b, clips in ((1, 0, 3), (0, 1, 1)))

    def after(**references: NDArray[np.float16] | None) -> NDArray[np.float16] | None:
        kept = {one: replace(rows, reference=references.get(one)) for one, rows in model.exemplars.items()}
        return merged(replace(model, exemplars=kept), label, into, objects=objects).exemplars[into].reference

    np.testing.assert_allclose(after(**{into: first, label: second}), [0.75, 0.25, 4])
    np.testing.assert_array_equal(after(**{label: second}), second)
    np.testing.assert_array_equal(after(**{into: first}), first)
    assert after() is None
