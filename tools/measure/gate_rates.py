"""Play good and harmful lessons against the gate; `tools/gate_rates` runs this in an environment of its own.

In every split (tools/common/splits.py) scenes are drawn: a model is taught most of the classes by those who are not
left out; lessons are clips that it was not shown, by other people or by the same ones later; those left out test.
SETTINGS has the four sorts of scene. On each every kind of lesson (KINDS) is played with each number of clips (CLIPS),
beside its clean counterpart: the same clips under their right names; for noise, as many real clips of that class. Every
strategy that `learn` would try is judged, by the policy that ships and by others (POLICIES). What counts as harmful is
for report/gate_rates.py.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.splits import SETS, data_root
from edgecl.extractors.opening import open_extractor
from edgecl.gate.gather import Before, correct_answers, evidence_of
from edgecl.gate.judge import judge
from edgecl.gate.verdict import Evidence, Policy
from edgecl.learning.candidates import ladder, update
from edgecl.learning.collector import LessonCollector
from edgecl.learning.loop import learn, suffices, take_in
from edgecl.model.model import Lesson, MemoryObjects, Model
from edgecl.model.settings import Settings
from measure.cases import UNLIMITED, Case, cases, note

CLIPS = (3, 5, 10, 40)
FEWEST = max(CLIPS)  # clips that a class which a lesson is about should have, where there are such classes
SCENES = 2  # of each split
FEW = 20  # clips of a class that a poor model is taught
MISLABELLED = (0.1, 0.25, 0.5, 1.0)
NOISE_SIGNALS = 60
ALLOWED_FALL = 0.02  # of accuracy on the kept samples: the plain threshold that the gate is set beside
SHIPPED = "as it ships"
STRICT = Policy(contradiction_share=0.1, told_apart=2.6, new_class_floor=0.7)
POLICIES = {
    SHIPPED: Policy(),
    "lax: pooled_certainty 0.95, certainty 0.99, contradiction_share 0.5, told_apart 0.8": Policy(
        pooled_certainty=0.95, certainty=0.99, contradiction_share=0.5, told_apart=0.8
    ),
    **{f"contradiction_share {one}": Policy(contradiction_share=one) for one in (0.05, 0.1, 0.3, 0.5)},
    **{f"told_apart {one}": Policy(told_apart=one) for one in (0.8, 1.645, 2.6)},
    **{f"certainty {one}": Policy(certainty=one) for one in (0.5, 0.8)},
    **{f"pooled_certainty {one}": Policy(pooled_certainty=one) for one in (0.4, 0.6)},
    **{f"allowed_class_confusion {one}": Policy(allowed_class_confusion=one) for one in (0.1, 0.2)},
    **{f"new_class_floor {one}": Policy(new_class_floor=one) for one in (0.7, 0.9)},
    "strict: contradiction_share 0.1, told_apart 2.6, new_class_floor 0.7": STRICT,
    "strictest: also certainty 0.5, pooled_certainty 0.6, allowed_class_confusion 0.1": replace(
        STRICT, certainty=0.5, pooled_certainty=0.6, allowed_class_confusion=0.1
    ),
}

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
    noise: Latents  # of signals of noise
    spread: tuple[Latents, Latents]  # mean and standard deviation, (D,), of the latents that taught the model

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
        drawn = scene.draw(scene.old, 3, clips, generator) | scene.draw(scene.new, 1, clips, generator)
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
    return Script([(f"{label} again", latents)], [(label, latents)])


def near_duplicate(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    """Half of the samples of a known class under a second name."""
    [(label, latents)] = scene.draw(scene.old, 1, 2 * clips, generator).items()
    return Script([(label, latents[::2]), (f"{label} again", latents[1::2])], [(label, latents)])


def noise_latents(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    """Independent columns, each with the mean and the spread of real latents, at unit length."""
    [(label, latents)] = scene.draw(scene.old, 1, clips, generator).items()
    mean, deviation = scene.spread
    noise = mean + deviation * generator.standard_normal(latents.shape).astype(np.float32)
    return Script([(label, noise / np.linalg.norm(noise, axis=1, keepdims=True))], [(label, latents)])


def noise_signals(scene: Scene, clips: int, generator: np.random.Generator) -> Script:
    [(label, latents)] = scene.draw(scene.old, 1, clips, generator).items()
    return Script([(label, generator.permutation(scene.noise)[:clips])], [(label, latents)])


KINDS: dict[str, tuple[bool, Kind]] = {  # name: whether it is good, what plays it
    "a new class": (True, new_class),
    "several new classes at once": (True, new_classes),
    "more of a known class": (True, known_class),
    **{f"{share:.0%} of the labels wrong": (False, mislabelled(share)) for share in MISLABELLED},
    "another known class's clips": (False, another_known_class),
    "an unknown class's clips": (False, an_unknown_class),
    "an old class under a new name": (False, renamed),
    "half of a class under a second name": (False, near_duplicate),
    "noise as latents": (False, noise_latents),
    "noise as signals": (False, noise_signals),
}


# Scenes


def scene_of(case: Case, setting: Setting, noise: Latents, generator: np.random.Generator) -> Scene:
    settings, latents, rows = case.settings(), case.latents, case.taught()
    gives = by_others(case, rows, generator) if setting.people == "others" else later(case, rows)
    clips = {label: latents.x[rows[gives & (latents.labels[rows] == label)]] for label in case.classes}
    old, new = divided(clips, generator)
    taught = shown(case, rows[~gives & np.isin(latents.labels[rows], old)], setting.most, generator)
    pairs = [(str(latents.labels[row]), latents.x[row : row + 1]) for row in taught]
    lesson = lesson_of(case, settings, pairs)
    outcome = learn(Model(settings), lesson, objects=MemoryObjects(), force=True)
    assert outcome.model is not None
    spread = (latents.x[taught].mean(axis=0), latents.x[taught].std(axis=0))
    return Scene(case, setting, settings, outcome.model, outcome.model.labels, new, clips, noise, spread)


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

    At least three stay old; of few classes two are new, of many three.
    """
    order = generator.permutation(sorted(clips)).tolist()
    order.sort(key=lambda label: min(len(clips[label]), FEWEST), reverse=True)  # stable: as drawn among the rich
    new = 3 if len(order) > 8 else 2
    return tuple(sorted(order[new:])), tuple(order[:new])


def noise_of(case: Case, generator: np.random.Generator) -> Latents:
    """Latents of white and brown noise, half each, at levels from 1 % of a unit to a whole one."""
    extractor = open_extractor(case.latents.extractor)
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
    collector = LessonCollector(settings.features, limit_bytes=UNLIMITED, spool=case.scratch)
    for label, latents in said:
        collector.add(label, latents)
    return collector.finish()


# Measuring


@dataclass(frozen=True)
class Attempt:
    """A candidate and what it would be judged by."""

    candidate: Model
    evidence: Evidence


def attempts(model: Model, lesson: Lesson) -> Iterator[Attempt]:
    """All that `learn` would try if everything were rejected."""
    taught = take_in(model, lesson, objects=MemoryObjects())
    before = Before.of(model, lesson)
    for rung in ladder("auto", None, taught):
        candidate, after, _ = update(rung, model, taught, lesson, before, seed=0)
        yield Attempt(candidate, evidence_of(model, candidate, lesson, before, after))


def accepted_by(policy: Policy, tried: Sequence[Attempt]) -> int | None:
    """Which attempt goes live, as `learn` decides."""
    for index, one in enumerate(tried):
        verdict = judge(one.evidence, policy)
        if suffices(verdict, after_rejection=index > 0):
            return index
        if verdict.is_final:
            return None
    return None


def passes_threshold(model: Model, candidate: Model, labels: Sequence[str]) -> bool:
    """Test whether balanced accuracy on kept samples of the old classes falls by at most ALLOWED_FALL."""
    kept = {label: model.exemplars[label] for label in labels if len(model.exemplars[label])}
    before, after = (
        float(np.mean([correct_answers(one, rows, label).mean() for label, rows in kept.items()]))
        for one in (model, candidate)
    )
    return before - after <= ALLOWED_FALL


def right(scene: Scene, model: Model, rows: NDArray[np.intp]) -> dict[str, int]:
    """Count the test samples of each old class that are answered right."""
    truth = scene.case.latents.labels[rows]
    is_right = np.array(model.predict(scene.case.latents.x[rows]).labels) == truth
    return {label: int(is_right[truth == label].sum()) for label in scene.old}


def measure_lesson(scene: Scene, kind: str, clips: int, generator: np.random.Generator) -> dict[str, Any]:
    """One lesson: what it does to the test samples, and what each judge says of it.

    Raises
    ------
    TooFewClipsError
        When the scene has too few for it.
    """
    is_good, make = KINDS[kind]
    script = make(scene, clips, generator)
    tried = list(attempts(scene.model, lesson_of(scene.case, scene.settings, script.said)))
    clean = tried[0]
    if script.clean is not None:
        clean = next(attempts(scene.model, lesson_of(scene.case, scene.settings, script.clean)))
    rows = scene.case.tested(scene.old)
    verdict = judge(tried[0].evidence, Policy())
    accepted = {name: accepted_by(policy, tried) for name, policy in POLICIES.items()}
    live = accepted[SHIPPED]
    return {
        **vars(scene.setting),
        "kind": kind,
        "is_good": is_good,
        "clips": clips,
        "samples": {label: len(scene.case.tested([label])) for label in scene.old},
        "before": right(scene, scene.model, rows),
        "clean": right(scene, clean.candidate, rows),
        "after": [right(scene, one.candidate, rows) for one in tried],
        "accepted": accepted,
        "is_proven": live is not None and judge(tried[live].evidence, Policy()).proven,
        "reasons": [] if verdict.accepted else list(verdict.reasons),
        "passes_threshold": passes_threshold(scene.model, tried[0].candidate, scene.old),
    }


def measure_case(case: Case, settings: Sequence[Setting], generator: np.random.Generator) -> list[dict[str, Any]]:
    """Every kind of lesson at every number of clips, on each scene of a split."""
    noise, measured = noise_of(case, generator), []
    for setting in settings:
        scene = scene_of(case, setting, noise, generator)
        for kind in KINDS:
            for clips in CLIPS:
                try:
                    found = measure_lesson(scene, kind, clips, generator)
                except TooFewClipsError:
                    continue
                measured.append({"set": case.data.name, "split": case.split.name, **found})
    return measured


def settings_of(split: int, *, scenes: int) -> list[Setting]:
    """The settings of a split's scenes: one after another, so that all come equally often over the splits."""
    return [SETTINGS[(split * scenes + number) % len(SETTINGS)] for number in range(scenes)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--quick", action="store_true", help="two splits of a set, one scene of each")
    parser.add_argument("--cache", type=Path, required=True, help="folder for extractors and latents")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    started, lessons = time.perf_counter(), []
    with tempfile.TemporaryDirectory(prefix="edgecl-gate-") as folder:
        for name in chosen.sets:
            found = cases(SETS[name], root=data_root(), cache=chosen.cache, scratch=Path(folder), quick=chosen.quick)
            for number, case in enumerate(found):
                generator = np.random.default_rng([number, *name.encode()])
                lessons += measure_case(case, settings_of(number, scenes=1 if chosen.quick else SCENES), generator)
                note(f"{name}, {case.split.name}: {len(lessons)} lessons, {time.perf_counter() - started:.0f} s")
    whole = {"quick": chosen.quick, "seconds": time.perf_counter() - started, "lessons": lessons}
    chosen.json.write_text(json.dumps(whole))
    return 0


if __name__ == "__main__":
    sys.exit(main())
