"""The scenes in which tools/gate_rates plays lessons: a model, and clips that it was not shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecl.extractors.opening import open_extractor
from edgecl.learning.collector import LessonCollector
from edgecl.learning.loop import learn
from edgecl.model.model import Lesson, MemoryObjects, Model
from edgecl.model.settings import Settings
from measure.cases import UNLIMITED, Case
from measure.gate_lessons import FEW, Latents, Scene, Setting

FEWEST = 40  # clips that a class which a lesson is about should have, where there are such classes
FEWEST_CLASSES = 4  # of which some are new
NOISE_SIGNALS = 60
SETTINGS = (Setting("others", None), Setting("the same", FEW), Setting("the same", None), Setting("others", FEW))


def scene_of(case: Case, setting: Setting, noise: Latents, generator: np.random.Generator) -> Scene:
    settings, latents, rows = case.settings(), case.latents, case.taught()
    gives = by_others(case, rows, generator) if setting.people == "others" else later(case, rows)
    given = {label: rows[gives & (latents.labels[rows] == label)] for label in case.classes}
    clips = {label: latents.x[own] for label, own in given.items()}
    people = {label: latents.groups[own] for label, own in given.items()}
    old, new = divided(clips, generator)
    taught = shown(case, rows[~gives & np.isin(latents.labels[rows], old)], setting.most, generator)
    pairs = [(str(latents.labels[row]), latents.x[row : row + 1]) for row in taught]
    lesson = lesson_of(case, settings, pairs)
    outcome = learn(Model(settings), lesson, objects=MemoryObjects(), force=True)
    assert outcome.model is not None
    spread = (latents.x[taught].mean(axis=0), latents.x[taught].std(axis=0))
    return Scene(case, setting, settings, outcome.model, outcome.model.labels, new, clips, people, noise, spread)


def by_others(case: Case, rows: NDArray[np.intp], generator: np.random.Generator) -> NDArray[np.bool_]:
    """Which rows are by a third of the people, at least one, who then teach nothing else."""
    groups = case.latents.groups[rows]
    people = generator.permutation(np.unique(groups))
    return np.isin(groups, people[: max(1, round(len(people) / 3))])


def later(case: Case, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which rows are the last third of what a person gave of a class."""
    given = np.zeros(len(rows), bool)
    owners = np.char.add(np.char.add(case.latents.groups[rows], "/"), case.latents.labels[rows])
    for owner in np.unique(owners):
        where = np.flatnonzero(owners == owner)
        given[where[len(where) - len(where) // 3 :]] = True
    return given


def shown(case: Case, rows: NDArray[np.intp], most: int | None, generator: np.random.Generator) -> NDArray[np.intp]:
    """Rows that teach the model: no more of a class than `most`, drawn at random."""
    if most is None:
        return rows
    labels, mixed = case.latents.labels, generator.permutation(rows)
    return np.sort(np.concatenate([mixed[labels[mixed] == label][:most] for label in np.unique(labels[rows])]))


def divided(clips: Mapping[str, Latents], generator: np.random.Generator) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Old and new classes; new, if they can be, are those with clips enough for every lesson.

    At least three stay old; of few classes two are new, of many three; of fewer than FEWEST_CLASSES none.
    """
    if len(clips) < FEWEST_CLASSES:
        return tuple(sorted(clips)), ()
    order = generator.permutation(sorted(clips)).tolist()
    order.sort(key=lambda label: min(len(clips[label]), FEWEST), reverse=True)  # stable: as drawn among the rich
    new = 3 if len(order) > 8 else 2
    return tuple(sorted(order[new:])), tuple(order[:new])


def noise_of(case: Case, generator: np.random.Generator) -> Latents:
    """Latents of white and brown noise, half each, at levels from 1 % of a unit to a whole one."""
    extractor = open_extractor(case.latents.extractor)
    if not extractor.contract.sample_rate_hz:  # texts and rows: there is no signal that could be noise
        return np.zeros((0, case.latents.x.shape[1]), np.float32)
    shape = (extractor.contract.clip_samples, len(extractor.contract.channels))
    made = []
    for index in range(NOISE_SIGNALS):
        signal = generator.standard_normal(shape)
        if index % 2:
            signal = np.cumsum(signal, axis=0)
        level = 10 ** generator.uniform(-2, 0) / np.abs(signal).max()
        made.append(extractor.latents([(level * signal).astype(np.float32)])[0])
    return np.stack(made)


def lesson_of(case: Case, settings: Settings, said: Sequence[tuple[str, Latents]]) -> Lesson:
    """The lesson of latents by label, with who gave each; noise is given by nobody, and people of its label unknown."""
    collector, owners = LessonCollector(settings.features, limit_bytes=UNLIMITED, spool=case.scratch), case.owners
    people: dict[str, list[str]] = {}
    for label, latents in said:
        collector.add(label, latents)
        people.setdefault(label, []).extend(owners.get(latent.tobytes(), "") for latent in latents)
    return replace(collector.finish(), people=people)
