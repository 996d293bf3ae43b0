"""The lessons that tools/gate_rates plays: good ones and bad ones, with a clean counterpart of each.

A lesson is clips by the name that they are given; its clean counterpart is the same clips under their right names, and
for noise as many real clips of that class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgecl.gate.gather import Known
from edgecl.model.model import Model
from edgecl.model.settings import Settings
from measure.cases import Case

MISLABELLED = (0.1, 0.25, 0.5, 1.0)
FEW = 20  # clips of a class that a poor model is taught
AGAIN = " again"  # a second name of a class

FIRST = 5  # clips of the first person

Latents = NDArray[np.float32]  # (n, D)


class TooFewClipsError(Exception):
    """No class of the scene has as many clips as a lesson asks for."""


@dataclass(frozen=True)
class Setting:
    """One sort of scene."""

    people: str  # who gives the lessons: "others" than taught the model, or "the same"
    most: int | None  # clips of a class that the model is taught; None: all there are


SETTINGS = (Setting("others", None), Setting("the same", FEW), Setting("the same", None), Setting("others", FEW))


@dataclass(frozen=True)
class Scene:
    """A model, and clips that it has not seen."""

    case: Case
    setting: Setting
    settings: Settings
    model: Model
    old: tuple[str, ...]
    new: tuple[str, ...]
    clips: Mapping[str, Latents]  # for lessons, by what they truly are
    people: Mapping[str, NDArray[np.str_]]  # who gives each of them
    noise: Latents  # of signals of noise
    spread: tuple[Latents, Latents]  # mean and standard deviation, (D,), of the latents that taught the model

    @cached_property
    def known(self) -> Known | None:
        """The model as lessons are compared with it; factored once."""
        return Known.of(self.model)

    def draw(
        self, among: Sequence[str], classes: int, clips: int, generator: np.random.Generator
    ) -> dict[str, Latents]:
        """Clips of some classes; fewer classes where there are no more, but never fewer clips.

        Raises
        ------
        TooFewClipsError
            When no class has so many.
        """
        able = [label for label in among if len(self.clips[label]) >= clips]
        if not able:
            raise TooFewClipsError
        chosen = generator.permutation(able)[:classes].tolist()
        return {label: generator.permutation(self.clips[label])[:clips] for label in sorted(chosen)}

    def other(self, label: str, generator: np.random.Generator) -> str:
        """A known class other than this one."""
        return str(generator.choice([one for one in self.old if one != label]))


@dataclass(frozen=True)
class Script:
    """What a lesson says of its clips, and what they are."""

    said: Sequence[tuple[str, Latents]]
    clean: Sequence[tuple[str, Latents]] | None = None  # None: it is clean
    before: Sequence[tuple[str, Latents]] | None = None  # taught before, to the scene's model


Kind = Callable[[Scene, int, np.random.Generator], Script]


# Lessons, good and harmful


def new_class(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    return Script([*scene.draw(scene.new, 1, clips, generator).items()])


def new_classes(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    return Script([*scene.draw(scene.new, len(scene.new), clips, generator).items()])


def known_class(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    return Script([*scene.draw(scene.old, 1, clips, generator).items()])


def mislabelled(share: float) -> Kind:
    def kind(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
        """Three known classes and a new one, with some names exchanged for another of the lesson."""
        drawn = scene.draw(scene.old, 3, clips, generator)
        drawn |= scene.draw(scene.new, 1, clips, generator) if scene.new else {}
        if len(drawn) < 2:
            raise TooFewClipsError
        clean = [(label, clip[None]) for label, latents in drawn.items() for clip in latents]
        said = list(clean)
        for index in generator.permutation(len(clean))[: max(1, round(share * len(clean)))]:
            label, clip = clean[index]
            said[index] = (str(generator.choice([one for one in drawn if one != label])), clip)
        return Script(said, clean)

    return kind


def another_known_class(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    [(label, latents)] = scene.draw(scene.old, 1, clips, generator).items()
    return Script([(scene.other(label, generator), latents)], [(label, latents)])


def an_unknown_class(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    [(label, latents)] = scene.draw(scene.new, 1, clips, generator).items()
    return Script([(scene.other(label, generator), latents)], [(label, latents)])


def renamed(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    [(label, latents)] = scene.draw(scene.old, 1, clips, generator).items()
    return Script([(label + AGAIN, latents)], [(label, latents)])


def near_duplicate(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    """Half of the samples of a known class under a second name."""
    [(label, latents)] = scene.draw(scene.old, 1, 2 * clips, generator).items()
    return Script([(label, latents[::2]), (label + AGAIN, latents[1::2])], [(label, latents)])


def noise_latents(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    """Independent columns, each with the mean and the spread of real latents, at unit length."""
    [(label, latents)] = scene.draw(scene.old, 1, clips, generator).items()
    mean, deviation = scene.spread
    noise = mean + deviation * generator.standard_normal(latents.shape).astype(np.float32)
    return Script([(label, noise / np.linalg.norm(noise, axis=1, keepdims=True))], [(label, latents)])


def noise_signals(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    if not len(scene.noise):
        raise TooFewClipsError
    [(label, latents)] = scene.draw(scene.old, 1, clips, generator).items()
    return Script([(label, generator.permutation(scene.noise)[:clips])], [(label, latents)])


def one_stray(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    """Clips of one new word, one of which is something else that is known."""
    [(label, latents)] = scene.draw(scene.new, 1, clips, generator).items()
    [(other, stray)] = scene.draw(scene.old, 1, 1, generator).items()
    return Script([(label, latents[1:]), (label, stray)], [(label, latents[1:]), (other, stray)])


def two_swapped(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    """Two known classes, each in the folder of the other, beside a third one."""
    drawn = scene.draw(scene.old, 3, clips, generator)
    if len(drawn) < 2:
        raise TooFewClipsError
    first, second, *others = drawn
    said = [(first, drawn[second]), (second, drawn[first]), *((label, drawn[label]) for label in others)]
    return Script(said, [*drawn.items()])


def other_at_the_end(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    """More of a known class, of which the last third is another known class."""
    drawn = scene.draw(scene.old, 2, clips, generator)
    if len(drawn) < 2:
        raise TooFewClipsError
    (label, latents), (other, others) = [*drawn.items()]
    last = max(clips // 3, 1)
    clean = [(label, latents[last:]), (other, others[:last])]
    return Script([(label, latents[last:]), (label, others[:last])], clean)


def second_person(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    """A new class by one person, after five clips of it by another."""
    label, own, first = _two_people(scene, clips, generator)
    return Script([(label, own)], before=[(label, first)])


def other_after_five(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    """A known class, called by the name of a new one that five clips by one person taught."""
    label, _, first = _two_people(scene, FIRST, generator)
    [(other, latents)] = scene.draw(scene.old, 1, clips, generator).items()
    return Script([(label, latents)], [(other, latents)], before=[(label, first)])


def _two_people(scene: Scene, clips: int, generator: np.random.Generator) -> tuple[str, Latents, Latents]:
    """A new class, clips of it by one person, and FIRST by another."""
    able = []
    for label in scene.new:
        people, counts = np.unique(scene.people[label], return_counts=True)
        able += [
            (label, one, other)
            for one, many in zip(people, counts, strict=True)
            if many >= clips
            for other in people
            if other != one and (scene.people[label] == other).sum() >= FIRST
        ]
    if not able:
        raise TooFewClipsError
    label, one, other = able[int(generator.integers(len(able)))]
    own, first = (generator.permutation(scene.clips[label][scene.people[label] == who]) for who in (one, other))
    return label, own[:clips], first[:FIRST]


KINDS: dict[str, tuple[bool, Kind]] = {  # name: whether it is good, what plays it
    "a new class": (True, new_class),
    "several new classes at once": (True, new_classes),
    "more of a known class": (True, known_class),
    "a new class by a second person": (True, second_person),
    **{f"{share:.0%} of the labels wrong": (False, mislabelled(share)) for share in MISLABELLED},
    "another known class's clips": (False, another_known_class),
    "an unknown class's clips": (False, an_unknown_class),
    "an old class under a new name": (False, renamed),
    "half of a class under a second name": (False, near_duplicate),
    "noise as latents": (False, noise_latents),
    "noise as signals": (False, noise_signals),
    "one stray clip among those of a new class": (False, one_stray),
    "two folders swapped": (False, two_swapped),
    "more of a class, the last third of another": (False, other_at_the_end),
    "a known class as one of five clips": (False, other_after_five),
}
