"""Samples of one recording: they are left out together and count as one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgecl.gate.gather import Known
from edgecl.gate.witnesses import MOST_OF_GROUP
from edgecl.learning.loop import learn
from edgecl.model.model import Lesson, MemoryObjects, Model

from ..support.learning import Words, as_lesson, settings


def of_recordings(model: Model, words: Words, recordings: int) -> Lesson:
    """24 near copies a class, of so many recordings, in a model that knows nothing."""
    latents, groups = {}, {}
    for label in words.labels:
        takes = words.say(label, recordings)
        latents[label] = np.repeat(takes, 24 // recordings, axis=0)
        latents[label] += np.random.default_rng(1).normal(0, 0.01, latents[label].shape).astype(np.float32)
        groups[label] = [f"take {row // (24 // recordings)}" for row in range(24)]
    return replace(as_lesson(model, latents), recordings=groups)


def test_many_windows_of_one_recording_prove_nothing() -> None:
    words = Words(6)
    model = Model(settings())
    lesson = of_recordings(model, words, 1)
    assert learn(model, replace(lesson, recordings={})).verdict.proven  # as samples they would
    verdict = learn(model, lesson).verdict
    assert verdict.accepted
    assert not verdict.proven
    assert f"all samples of {words.labels[0]!r} are of one recording" in " ".join(verdict.reasons)


def test_recordings_are_counted_in_place_of_their_windows() -> None:
    words = Words(6)
    model = Model(settings())
    verdict = learn(model, of_recordings(model, words, 12)).verdict
    assert verdict.proven
    assert {one.samples for one in verdict.classes.values()} == {12}


def of_people(model: Model, *, alike: float, people: int = 3, clips: int = 8) -> Lesson:
    """Six classes by several people; `alike` is what they have in common, 0 to 1."""
    words = Words(6 * (people + 1))
    latents, given = {}, {}
    for index, label in enumerate(words.labels[:6]):
        own = [words.say(words.labels[6 + index * people + person], clips) for person in range(people)]
        common = [words.say(label, clips) for _ in range(people)]
        latents[label] = np.concatenate([alike * one + (1 - alike) * two for one, two in zip(common, own, strict=True)])
        given[label] = [f"person {row // clips}" for row in range(people * clips)]
    return replace(as_lesson(model, latents), people=given)


def test_what_holds_for_each_person_alone_is_not_proven() -> None:
    model = Model(settings())
    lesson = of_people(model, alike=0.0)
    assert learn(model, replace(lesson, people={})).verdict.proven  # each clip has others by its person
    verdict = learn(model, lesson).verdict
    assert verdict.accepted
    assert not verdict.proven
    assert "right for 0 of 3 groups (people, objects or sessions) by what" in " ".join(verdict.reasons)


def test_what_people_have_in_common_proves_a_class() -> None:
    model = Model(settings())
    verdict = learn(model, of_people(model, alike=0.8)).verdict
    assert verdict.proven
    assert {(one.samples, one.people, one.people_right) for one in verdict.classes.values()} == {(24, 3, 3)}


def test_two_people_prove_a_class_only_if_each_is_right_by_what_the_other_taught() -> None:
    model = Model(settings())
    assert learn(model, of_people(model, alike=0.8, people=2)).verdict.proven
    verdict = learn(model, of_people(model, alike=0.0, people=2)).verdict
    assert (verdict.accepted, verdict.proven) == (True, False)


def test_a_person_is_left_out_of_each_class_that_others_gave_too() -> None:
    model = Model(settings())
    lesson = of_people(model, alike=0.8)
    single, *others = lesson.people
    people = {label: lesson.people[label] for label in others}
    verdict = learn(model, replace(lesson, people={**people, single: ["person 0"] * 24})).verdict
    assert verdict.proven
    assert verdict.classes[single].people == 0
    assert {verdict.classes[label].people for label in others} == {3}


def test_a_copy_of_a_clip_under_another_person_does_not_vouch_for_it() -> None:
    model = Model(settings())
    lesson = of_people(model, alike=0.0, people=2)
    copied = {label: rows.take(np.tile(np.arange(8), 2)) for label, rows in lesson.rows.items()}
    takes = {label: [f"take {row % 8}" for row in range(16)] for label in copied}
    verdict = learn(model, replace(lesson, rows=copied, recordings=takes)).verdict
    assert {one.people for one in verdict.classes.values()} == {0}  # nothing is left without both


def test_a_known_class_is_judged_without_the_recording_of_each_sample() -> None:
    words = Words(3, apart=0.2)
    model = Model(settings())
    objects = MemoryObjects()
    lesson = of_recordings(model, words, 4)
    numbers = np.repeat(np.arange(1, 5), 6).astype(np.uint8)
    known = {label: replace(rows, recordings=numbers) for label, rows in lesson.rows.items()}
    alone, together = (
        learn(model, replace(lesson, rows=rows), objects=objects, force=True).model for rows in (lesson.rows, known)
    )
    assert alone is not None
    assert together is not None
    rights = [
        np.mean([one.correct.mean() for one in found.seen.values()])
        for found in map(Known.of, (alone, together))
        if found is not None
    ]
    assert rights[0] == 1  # each sample has its twins
    assert rights[1] < 0.8


def test_a_class_of_one_recording_is_judged_sample_by_sample() -> None:
    words = Words(3)
    lesson = of_recordings(Model(settings()), words, 1)
    rows = {label: replace(one, recordings=np.full(24, 7, np.uint8)) for label, one in lesson.rows.items()}
    model = learn(Model(settings()), replace(lesson, rows=rows), objects=MemoryObjects(), force=True).model
    assert model is not None
    known = Known.of(model)
    assert known is not None
    assert all(len(one.correct) == 24 for one in known.seen.values())
    assert all(one.correct.all() for one in known.seen.values())


def test_a_twin_in_the_lesson_does_not_vouch_for_a_kept_sample() -> None:
    words = Words(6, apart=0.0)  # labels without meaning
    model = learn(Model(settings()), as_lesson(Model(settings()), words.lesson(6)), objects=MemoryObjects(), force=True)
    assert model.model is not None
    after = {}
    for like in (2.0, 0.999):
        lesson = Lesson(model.model.exemplars, like=like)
        classes = learn(model.model, lesson, force=True, objects=MemoryObjects()).verdict.classes
        after[like] = np.mean([one.after for one in classes.values()])
    before = np.mean([one.before for one in classes.values()])
    assert after[2.0] > before + 0.3
    assert after[0.999] <= before + 0.05


def test_who_gave_too_many_to_be_left_out_whole_is_no_evidence_by_people() -> None:
    model = Model(settings())
    lesson = of_people(model, alike=0.0, people=2, clips=MOST_OF_GROUP + 1)
    assert {one.people for one in learn(model, lesson).verdict.classes.values()} == {0}
    few = of_people(model, alike=0.0, people=2, clips=MOST_OF_GROUP)
    assert {(one.people, one.people_right) for one in learn(model, few).verdict.classes.values()} <= {(2, 0), (2, 1)}
