"""Samples of one recording: they are left out together and count as one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgecl.gate.gather import Known
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
