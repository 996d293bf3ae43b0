"""Rows that were taught before, or that a lesson has twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgecl.gate.gather import Known
from edgecl.gate.verdict import Policy
from edgecl.learning.admission import admit
from edgecl.learning.collector import CONTRADICTION, DUPLICATE, TAUGHT_BEFORE, taught_otherwise, without_repeats
from edgecl.learning.forgetting import without_classes
from edgecl.learning.loop import take_in
from edgecl.model.exemplars import Exemplars, bounded_memory, digests, quantise
from edgecl.model.model import Lesson, MemoryObjects, Model

from ..support.learning import Words, as_lesson, settings, taught


def names(model: Model, lesson: Lesson) -> list[str]:
    return [one.reason.split(":")[0] for one in without_repeats(model, lesson).repeats]


def test_a_row_that_was_taught_before_is_skipped_and_a_new_one_is_kept(words: Words) -> None:
    rows, label = words.lesson(20), words.labels[0]
    model = taught(Model(settings()), rows)
    again = {label: np.concatenate([rows[label], words.say(label, 1)])}
    found = without_repeats(model, as_lesson(model, again))
    assert found.taught_before == 20
    assert found.lesson.count == 1
    assert found.keep[label].tolist() == [False] * 20 + [True]
    assert all(one.reason.startswith(TAUGHT_BEFORE) for one in found.repeats)


def test_again_keeps_what_was_taught_before(words: Words) -> None:
    rows = words.lesson(20)
    model = taught(Model(settings()), rows)
    assert without_repeats(model, as_lesson(model, rows), again=True).repeats == ()


def test_what_is_kept_as_an_exemplar_is_recognised_without_a_memory(words: Words) -> None:
    rows = words.lesson(20)
    model = taught(Model(settings()), rows)
    old = replace(model, exemplars={label: replace(one, taught=None) for label, one in model.exemplars.items()})
    assert names(old, as_lesson(model, rows)) == [TAUGHT_BEFORE] * as_lesson(model, rows).count


def test_a_row_that_is_no_exemplar_any_more_is_remembered(words: Words) -> None:
    rows = words.lesson(20)
    model = taught(Model(settings()), rows)
    bare = replace(model, exemplars={label: one.first(0) for label, one in model.exemplars.items()})
    assert names(bare, as_lesson(model, rows)) == [TAUGHT_BEFORE] * as_lesson(model, rows).count


def test_one_row_twice_in_a_lesson_is_taught_once_and_under_two_labels_not_at_all(words: Words) -> None:
    model, (yes, no) = Model(settings()), words.labels[:2]
    said, other = words.say(yes, 2), words.say(no, 1)
    lesson = as_lesson(model, {yes: np.concatenate([said, said[:1]]), no: np.concatenate([other, said[1:]])})
    found = without_repeats(model, lesson)
    assert sorted(one.reason.split(":")[0] for one in found.repeats) == [CONTRADICTION, CONTRADICTION, DUPLICATE]
    assert {label: len(rows) for label, rows in found.lesson.rows.items()} == {yes: 1, no: 1}
    contradicted = next(one for one in found.repeats if one.reason.startswith(CONTRADICTION))
    assert repr(yes) in contradicted.reason
    assert repr(no) in contradicted.reason


def test_a_row_under_many_labels_names_three_of_them(words: Words) -> None:
    row = words.say(words.labels[0], 1)
    lesson = as_lesson(Model(settings()), {f"{number}": row for number in range(9)})
    assert (
        "is called '0' and '1' and '2' and 6 more in this"
        in without_repeats(Model(settings()), lesson).repeats[0].reason
    )


def test_what_was_taught_under_another_name_is_set_aside_unless_it_is_confirmed(words: Words) -> None:
    rows, (yes, no) = words.lesson(20), words.labels[:2]
    model = taught(Model(settings()), rows)
    lesson = as_lesson(model, {no: np.concatenate([words.say(no, 9), rows[yes][:1]])})
    assert without_repeats(model, lesson).repeats == ()
    lesson = replace(lesson, otherwise=taught_otherwise(model, lesson))
    assert lesson.otherwise == {no: {9: yes}}
    (one,) = [one for one in admit(model, Known.of(model), lesson, Policy()).set_aside if one.is_taught]
    assert (one.label, one.like, one.row, one.probability) == (no, yes, 9, 0.0)
    sure = replace(lesson, otherwise={}, confirmed={no: np.ones(10, bool)})
    assert taught_otherwise(model, sure) == {}
    assert admit(model, Known.of(model), sure, Policy()).set_aside == ()


def test_a_lesson_that_swaps_names_is_refused_with_the_reason(words: Words) -> None:
    rows, (yes, no) = words.lesson(20), words.labels[:2]
    model = taught(Model(settings()), rows)
    lesson = as_lesson(model, {yes: rows[no][:5], no: rows[yes][:5]})
    lesson = replace(lesson, otherwise=taught_otherwise(model, lesson))
    verdict = admit(model, Known.of(model), lesson, Policy()).verdict
    assert verdict is not None
    assert "10 of them were taught before" in verdict.reasons[0]


def test_a_class_that_is_forgotten_is_not_remembered(words: Words) -> None:
    rows, label = words.lesson(20), words.labels[0]
    model = taught(Model(settings()), rows)
    left = without_classes(model, [label], objects=MemoryObjects())
    assert names(left, as_lesson(model, {label: rows[label]})) == []


def test_a_light_lesson_is_remembered_and_keeps_the_exemplars(words: Words) -> None:
    rows, label = words.lesson(20), words.labels[0]
    objects = MemoryObjects()
    model = take_in(Model(settings()), as_lesson(Model(settings()), rows), objects=objects)
    light = replace(as_lesson(model, {label: words.say(label, 3)}), weight=0.25)
    after = take_in(model, light, objects=objects)
    assert names(after, light) == [TAUGHT_BEFORE] * 3
    assert len(after.exemplars[label]) == len(model.exemplars[label])


def test_the_oldest_digests_of_the_class_with_most_give_way(rng: np.random.Generator) -> None:
    rows = quantise(rng.standard_normal((30, 4), np.float32))
    none = Exemplars(rows.rows[:0], rows.scales[:0])
    held = {"many": none.remembering(None, rows), "few": none.remembering(None, rows.first(5))}
    left = bounded_memory(held, capacity_bytes=8 * 20)
    assert left["few"].taught is not None
    assert left["many"].taught is not None
    np.testing.assert_array_equal(left["few"].taught, digests(rows.first(5)))
    np.testing.assert_array_equal(left["many"].taught, digests(rows.last(15)))


def test_a_digest_depends_on_the_row_and_on_its_scale() -> None:
    one = Exemplars(np.array([[1, 2]], np.int8), np.array([0.5], np.float32))
    scaled = Exemplars(one.rows, np.array([0.25], np.float32))
    changed = Exemplars(np.array([[1, 3]], np.int8), one.scales)
    assert len({int(digests(some)[0]) for some in (one, scaled, changed)}) == 3
    assert digests(one) == digests(Exemplars(one.rows.copy(), one.scales.copy()))
