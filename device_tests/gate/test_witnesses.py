"""Samples of one recording: they are left out together and count as one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgecl.learning.loop import learn
from edgecl.model.model import Lesson, Model

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
