"""The scenarios of `edgecl demo`: lessons, new classes from a user, a lesson with swapped labels, a rollback."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgecl.demo import movement, pictures
from edgecl.demo.clips import KNOWN_WORDS, NEW_WORDS, voice_clips
from edgecl.metrics import forgetting
from edgecl.operations.creation import create
from edgecl.operations.evaluating import evaluate
from edgecl.operations.open_store import OpenStore
from edgecl.operations.recovery import rollback
from edgecl.operations.status import status
from edgecl.operations.teaching import teach
from edgecl.sources.samples import Sample

ROAD_SIGNS = ("stop", "give way", "priority", "parking", "danger", "ahead")
SIGNS_EACH = 20  # pictures of each sign in a lesson
SECONDS = 20.0  # of each exercise by each subject


@dataclass(frozen=True)
class Lesson:
    """Samples that are taught together."""

    title: str
    samples: Sequence[Sample]


@dataclass(frozen=True)
class Scenario:
    """Lessons one after another, then one with wrong labels."""

    name: str
    about: str
    extractor: str
    lessons: Sequence[Lesson]
    mislabelled: Lesson
    heldout: Sequence[Sample]
    """Of all classes, by people who teach nothing or from other recordings."""


@dataclass(frozen=True)
class Step:
    """What one lesson or rollback did, measured on held-out samples."""

    title: str
    samples: int
    verdict: str
    """One of "accepted", "unproven", "rejected" or "rolled back"."""
    reasons: tuple[str, ...]
    revision: int
    """Number of the revision that is live now."""
    taught: tuple[str, ...]
    """Classes that are new."""
    per_class: Mapping[str, float]
    """Accuracy, 0 to 1, of all classes known now."""
    old_accuracy: float | None
    """Balanced, 0 to 1, on classes that were known before; None where none were."""
    new_accuracy: float | None
    """On the classes of the lesson; None where it brought none."""
    state_bytes: int
    elapsed_ms: float
    """Milliseconds of the whole lesson, extractor included."""
    learn_ms: float
    """Milliseconds without reading and extracting."""


def spoken_commands() -> Scenario:
    """Ten words in five lessons, then two new words by one user."""
    taught, user = voice_clips("teach"), voice_clips("new")
    heldout = [*voice_clips("test"), *voice_clips("new-test")]
    lessons = [_pick(taught, words) for words in zip(KNOWN_WORDS[::2], KNOWN_WORDS[1::2], strict=True)]
    lessons += [_pick(user, [word], by="one user") for word in NEW_WORDS]
    return Scenario(
        name="voice",
        about="Spoken commands. The clips are synthetic (espeak-ng): 20 voices teach, 10 others are predicted.",
        extractor="voice",
        lessons=lessons,
        mislabelled=_swapped(heldout, KNOWN_WORDS[:2]),
        heldout=heldout,
    )


def exercises() -> Scenario:
    """Six exercises in three lessons, then a new one by one user."""
    names, new = tuple(movement.EXERCISES), tuple(movement.NEW_EXERCISES)
    taught = movement.windows(names, movement.TEACHING_SUBJECTS, seconds=SECONDS)
    heldout = movement.windows(names, movement.TESTING_SUBJECTS, seconds=SECONDS)
    user, later = _sets(new, range(3)), _sets(new, range(3, 6))
    lessons = [_pick(taught, names[first : first + 2]) for first in range(0, len(names), 2)]
    lessons += [_pick(user, [name], by="one user") for name in new]
    return Scenario(
        name="fitness",
        about="Exercises. The movement is simulated: 12 bodies teach, 8 others are predicted; no person moved.",
        extractor="imu",
        lessons=lessons,
        mislabelled=_swapped(heldout, names[:2]),
        heldout=[*heldout, *later],
    )


def road_signs() -> Scenario:
    """Six signs in three lessons in clear light, the same signs at night and in fog, then a new one by one user."""
    names, new = ROAD_SIGNS, tuple(pictures.NEW_SIGNS)[:1]
    taught = pictures.samples(names, range(SIGNS_EACH))
    lessons = [_pick(taught, names[first : first + 2]) for first in range(0, len(names), 2)]
    for weather in ("night", "fog"):
        seen = pictures.samples(names, range(100, 100 + SIGNS_EACH // 2), weather=weather)
        lessons.append(Lesson(f"the same in {weather}", seen))
    lessons.append(_pick(pictures.samples(new, range(SIGNS_EACH // 2)), new, by="one user"))
    numbers = range(1000, 1012)
    heldout = [
        one for weather in ("clear", "night", "fog") for one in pictures.samples(names, numbers, weather=weather)
    ]
    return Scenario(
        name="pictures",
        about="Road signs. The pictures are drawn, under drawn weather; no camera took them.",
        extractor="",
        lessons=lessons,
        mislabelled=_swapped(heldout, names[:2]),
        heldout=[*heldout, *pictures.samples(new, numbers)],
    )


SCENARIOS = {"voice": spoken_commands, "fitness": exercises, "pictures": road_signs}


def run(scenario: Scenario, store: Path) -> Iterator[Step]:
    """Play a scenario in a new store, step by step."""
    opened = create(store, extractor=scenario.extractor)
    for number, lesson in enumerate([*scenario.lessons, scenario.mislabelled], start=1):
        yield _taught(opened, replace(lesson, title=f"{number}. {lesson.title}"), scenario.heldout)
    yield _rolled_back(opened, scenario.heldout)


def lasting(steps: Sequence[Step]) -> float:
    """What the lessons of a scenario lost on average between their best and the last lesson, as a share.

    Notes
    -----
    `edgecl.metrics.forgetting` of the accuracy matrix of the accepted lessons.
    """
    lessons = [step for step in steps if step.taught]
    matrix = np.zeros((len(lessons), len(lessons)))
    for i, j in zip(*np.tril_indices(len(lessons)), strict=True):
        matrix[i, j] = _mean(lessons[i].per_class, lessons[j].taught)
    return forgetting(matrix)


def _taught(opened: OpenStore, lesson: Lesson, heldout: Sequence[Sample]) -> Step:
    known = set(opened.live_body().classes)
    report = teach(opened, lesson.samples).finish()
    verdict = report.outcome.verdict
    measured = _per_class(opened, heldout)
    taught = report.new_classes if report.is_accepted else ()
    return Step(
        title=lesson.title,
        samples=report.samples,
        verdict=("accepted" if verdict.proven else "unproven") if report.is_accepted else "rejected",
        reasons=verdict.reasons,
        revision=opened.store.current().number,
        taught=taught,
        per_class=measured,
        old_accuracy=_mean(measured, known),
        new_accuracy=_mean(measured, taught),
        state_bytes=report.bytes["total"],
        elapsed_ms=report.elapsed_ms,
        learn_ms=report.learn_ms,
    )


def _rolled_back(opened: OpenStore, heldout: Sequence[Sample]) -> Step:
    """Back to the model before the last lesson."""
    known = set(opened.live_body().classes)
    started = time.perf_counter()
    now = rollback(opened)
    elapsed_ms = 1e3 * (time.perf_counter() - started)
    measured = _per_class(opened, heldout)
    gone = ", ".join(sorted(known - set(opened.live_body().classes)))
    return Step(
        title=f"rollback: {gone} is gone",
        samples=0,
        verdict="rolled back",
        reasons=(),
        revision=now.number,
        taught=(),
        per_class=measured,
        old_accuracy=_mean(measured, measured),
        new_accuracy=None,
        state_bytes=status(opened)["bytes"]["total"],
        elapsed_ms=elapsed_ms,
        learn_ms=elapsed_ms,
    )


def _per_class(opened: OpenStore, heldout: Sequence[Sample]) -> dict[str, float]:
    """Share of held-out samples answered right, for each class that the live model knows."""
    known = opened.live_body().classes
    evaluation = evaluate(opened, [one for one in heldout if one.label in known]).finish()
    return {label: one["accuracy"] for label, one in evaluation.as_dict()["per_class"].items()}


def _mean(per_class: Mapping[str, float], labels: Collection[str]) -> float | None:
    """Balanced accuracy over some classes."""
    return float(np.mean([per_class[label] for label in labels])) if labels else None


def _sets(names: Sequence[str], seeds: Iterable[int]) -> list[Sample]:
    """One user's recordings of some exercises, one for each seed: three make the minute that teaches one."""
    return [one for seed in seeds for one in movement.windows(names, [movement.USER], seconds=SECONDS, seed=seed)]


def _pick(samples: Sequence[Sample], labels: Sequence[str], *, by: str = "") -> Lesson:
    return Lesson(" and ".join(labels) + (f" by {by}" if by else ""), [one for one in samples if one.label in labels])


def _swapped(samples: Sequence[Sample], labels: Sequence[str]) -> Lesson:
    """Samples of two classes, each under the name of the other."""
    first, second = labels
    other = {first: second, second: first}
    wrong = [replace(one, label=other[one.label]) for one in samples if one.label in other]
    return Lesson(f"{first} and {second} swapped", wrong)
