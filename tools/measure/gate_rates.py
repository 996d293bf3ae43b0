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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np

from common.splits import SETS, data_root
from edgecl.gate.gather import Before, Known
from edgecl.gate.judge import judge
from edgecl.gate.verdict import Evidence, Policy
from edgecl.learning.admission import Admission, admit
from edgecl.learning.candidates import evidence_of, ladder, update
from edgecl.learning.loop import suffices, take_in
from edgecl.learning.replay import correct_answers
from edgecl.model.model import Lesson, MemoryObjects, Model
from measure.cases import Case, cases, note
from measure.gate_lessons import AGAIN, KINDS, Scene, Script, Setting, TooFewClipsError
from measure.gate_scenes import SETTINGS, lesson_of, noise_of, scene_of
from measure.gate_sets import MORE_SETS, more_cases

CLIPS = (3, 5, 10, 40)
SCENES = 2  # of each split
ALLOWED_FALL = 0.02  # of accuracy on the kept samples: the plain threshold that the gate is set beside
SHIPPED = "as it ships"
GATE_ALONE = "the gate alone: nothing set aside, nothing asked"
STRICT = Policy(contradiction_share=0.1, ask_above=0.0, new_class_floor=0.7)
POLICIES = {
    SHIPPED: Policy(),
    GATE_ALONE: Policy(doubted_below=0.0, ask_above=np.inf),
    "nothing set aside": Policy(doubted_below=0.0),
    "nothing asked": Policy(ask_above=np.inf),
    "lax: pooled_certainty 0.95, certainty 0.99, contradiction_share 0.5, ask_above 1.4": Policy(
        pooled_certainty=0.95, certainty=0.99, contradiction_share=0.5, ask_above=1.4
    ),
    **{f"contradiction_share {one}": Policy(contradiction_share=one) for one in (0.05, 0.1, 0.3, 0.5)},
    **{f"ask_above {one}": Policy(ask_above=one) for one in (0.0, 1.4, 2.0)},
    **{f"certainty {one}": Policy(certainty=one) for one in (0.5, 0.8)},
    **{f"pooled_certainty {one}": Policy(pooled_certainty=one) for one in (0.4, 0.6)},
    **{f"allowed_class_confusion {one}": Policy(allowed_class_confusion=one) for one in (0.1, 0.2)},
    **{f"new_class_floor {one}": Policy(new_class_floor=one) for one in (0.7, 0.9)},
    "strict: contradiction_share 0.1, ask_above 0, new_class_floor 0.7": STRICT,
    "strictest: also certainty 0.5, pooled_certainty 0.6, allowed_class_confusion 0.1": replace(
        STRICT, certainty=0.5, pooled_certainty=0.6, allowed_class_confusion=0.1
    ),
}

COMPARED = (SHIPPED, GATE_ALONE, "nothing set aside", "nothing asked", "ask_above 0.0", "ask_above 1.4")
CURVE_CLIPS = 5  # clips at which the other policies are judged too: the trade is shown there alone

# Measuring


@dataclass(frozen=True)
class Attempt:
    """A candidate and what it would be judged by."""

    candidate: Model
    evidence: Evidence


def attempts(model: Model, lesson: Lesson, known: Known | None = None) -> Iterator[Attempt]:
    """All that `learn` would try with what it judges of a lesson, if everything were rejected.

    Parameters
    ----------
    known
        Of the model, where it has been factored already: half of the time.
    """
    taught = take_in(model, lesson, objects=MemoryObjects())
    before = Before.of(model, lesson, known)
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


@dataclass(frozen=True)
class Played:
    """What became of a lesson under one policy."""

    outcome: str  # "taught", "asked" where something waits for an answer, or "refused"
    live: int | None  # which candidate goes live
    admission: Admission

    def waiting(self, lesson: Lesson) -> dict[str, set[int]]:
        """Rows by label that are not taught: set aside, or asked about."""
        rows: dict[str, set[int]] = {}
        for one in self.admission.set_aside:
            rows.setdefault(one.label, set()).add(one.row)
        return rows | {one.label: set(range(len(lesson.rows[one.label]))) for one in self.admission.asks}


class Player:
    """Plays one lesson under many policies; what they have in common is computed once."""

    def __init__(self, model: Model, lesson: Lesson, known: Known | None = None) -> None:
        self.model, self.lesson = model, lesson
        self.candidates: list[Attempt] = []
        self._known = known or Known.of(model)
        self._admitted: dict[tuple[float, ...], Admission] = {}
        self._tried: dict[tuple[object, ...], list[int]] = {}
        self._attempts(lesson)  # the first candidate is what accept-always makes of it

    def play(self, policy: Policy) -> Played:
        key = (policy.doubted_below, policy.most_doubted, policy.ask_above)
        if key not in self._admitted:
            self._admitted[key] = admit(self.model, self._known, self.lesson, policy)
        admission = self._admitted[key]
        if admission.verdict is not None:
            return Played("asked" if admission.verdict.waits else "refused", None, admission)
        where = self._attempts(admission.lesson)
        index = accepted_by(policy, [self.candidates[one] for one in where])
        outcome = "asked" if admission.asks else "refused" if index is None else "taught"
        return Played(outcome, None if index is None else where[index], admission)

    def _attempts(self, lesson: Lesson) -> list[int]:
        """Where in `candidates` those of a lesson are."""
        key = tuple((label, rows.rows.tobytes()) for label, rows in sorted(lesson.rows.items()))
        if key not in self._tried:
            found = list(attempts(self.model, lesson, self._known))
            self._tried[key] = [len(self.candidates) + index for index in range(len(found))]
            self.candidates += found
        return self._tried[key]


def passes_threshold(model: Model, candidate: Model, labels: Sequence[str]) -> bool:
    """Whether balanced accuracy on the kept samples of the old classes falls by no more than ALLOWED_FALL."""
    kept = {label: model.exemplars[label] for label in labels if len(model.exemplars[label])}
    before, after = (
        float(np.mean([correct_answers(one, rows, label).mean() for label, rows in kept.items()]))
        for one in (model, candidate)
    )
    return before - after <= ALLOWED_FALL


def right(scene: Scene, model: Model, classes: Sequence[str], *, merged: bool = False) -> dict[str, int]:
    """How many test samples of each class are answered right; merged: a second name counts as the first."""
    rows = scene.case.tested(classes)
    truth = scene.case.latents.labels[rows]
    answers = np.array(model.predict(scene.case.latents.x[rows]).labels)
    if merged:
        answers = np.char.replace(answers, AGAIN, "")
    is_right = answers == truth
    return {label: int(is_right[truth == label].sum()) for label in classes}


def wrong_rows(script: Script, lesson: Lesson) -> dict[str, set[int]]:
    """Rows by label that are not what they are called; a second name of a class is not wrong in this sense."""
    true = {latent.tobytes(): label for label, latents in script.clean or script.said for latent in latents}
    found: dict[str, set[int]] = {}
    counts: dict[str, int] = dict.fromkeys(lesson.rows, 0)
    for label, latents in script.said:
        for latent in latents:
            if true.get(latent.tobytes()) != label.removesuffix(AGAIN):
                found.setdefault(label, set()).add(counts[label])
            counts[label] += 1
    return found


def counted(rows: Mapping[str, set[int]]) -> int:
    return sum(map(len, rows.values()))


def measure_lesson(scene: Scene, kind: str, clips: int, generator: np.random.Generator) -> dict[str, Any]:
    """One lesson: what it does to the test samples, and what each judge says of it.

    Raises
    ------
    TooFewClipsError
        When the scene has too few for it.
    """
    is_good, make = KINDS[kind]
    script = make(scene, clips, generator)
    model, known = scene.model, scene.known
    if script.before:
        first = lesson_of(scene.case, scene.settings, script.before)
        model = next(attempts(model, first, known)).candidate
        known = Known.of(model)
    player = Player(model, lesson_of(scene.case, scene.settings, script.said), known)
    clean = player.candidates[0]
    if script.clean is not None:
        clean = next(attempts(model, lesson_of(scene.case, scene.settings, script.clean), known))
    chosen = POLICIES if clips == CURVE_CLIPS else {name: POLICIES[name] for name in COMPARED}
    played = {name: player.play(policy) for name, policy in chosen.items()}
    live = played[SHIPPED].live
    verdict = judge(player.candidates[0].evidence, Policy())
    old, candidates = [*scene.old], [one.candidate for one in player.candidates]
    taught = sorted({label for label, _ in script.clean or script.said} | set(old))
    tested = [label for label in taught if len(scene.case.tested([label]))]
    wrong = wrong_rows(script, player.lesson)
    return {
        **vars(scene.setting),
        "kind": kind,
        "is_good": is_good,
        "clips": clips,
        "samples": {label: len(scene.case.tested([label])) for label in old},
        "before": right(scene, model, old),
        "clean": right(scene, clean.candidate, old),
        "after": [right(scene, one, old) for one in candidates],
        "merged": [right(scene, one, old, merged=True) for one in candidates],
        "points": [accuracy(scene, one, tested) for one in [clean.candidate, *candidates]],
        "accepted": {name: one.live for name, one in played.items()},
        "outcome": {name: one.outcome for name, one in played.items()},
        "lesson": player.lesson.count,
        "wrong": counted(wrong),
        "doubles": {name: is_doubled(candidates, one.live) for name, one in played.items()},
        "waiting": {name: counted(one.waiting(player.lesson)) for name, one in played.items()},
        "set_aside": {name: len(one.admission.set_aside) for name, one in played.items()},
        "wrong_taught": {name: wrong_taught(wrong, one, player.lesson) for name, one in played.items()},
        "is_proven": live is not None and judge(player.candidates[live].evidence, Policy()).proven,
        "reasons": reasons(played[SHIPPED], verdict.reasons),
        "passes_threshold": passes_threshold(model, candidates[0], old),
    }


def reasons(played: Played, judged: Sequence[str]) -> list[str]:
    """Why nothing went live."""
    if played.live is not None:
        return []
    return list(played.admission.verdict.reasons if played.admission.verdict else judged)


def is_doubled(candidates: Sequence[Model], live: int | None) -> bool:
    """Whether a class is live under a second name."""
    return live is not None and any(label.endswith(AGAIN) for label in candidates[live].labels)


def wrong_taught(wrong: Mapping[str, set[int]], played: Played, lesson: Lesson) -> int:
    """Samples that went live and are not what they are called."""
    if played.live is None:
        return 0
    waiting = played.waiting(lesson)
    return sum(len(rows - waiting.get(label, set())) for label, rows in wrong.items())


def accuracy(scene: Scene, model: Model, classes: Sequence[str]) -> float:
    """Balanced accuracy over classes, a second name counted as the first."""
    found = right(scene, model, classes, merged=True)
    return float(np.mean([found[label] / len(scene.case.tested([label])) for label in classes]))


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
    parser.add_argument("--sets", nargs="+", choices=[*SETS, *MORE_SETS], default=list(SETS))
    parser.add_argument("--quick", action="store_true", help="two splits of a set, one scene of each")
    parser.add_argument("--cache", type=Path, required=True, help="folder for extractors and latents")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    started, lessons = time.perf_counter(), []
    with tempfile.TemporaryDirectory(prefix="edgecl-gate-") as folder:
        for name in chosen.sets:
            where = {"root": data_root(), "cache": chosen.cache, "scratch": Path(folder)}
            found = cases(SETS[name], quick=chosen.quick, **where) if name in SETS else more_cases(name, **where)
            for number, case in enumerate(found):
                generator = np.random.default_rng([number, *name.encode()])
                lessons += measure_case(
                    case,
                    settings_of(number, scenes=1 if chosen.quick else SCENES if name in SETS else len(SETTINGS)),
                    generator,
                )
                note(f"{name}, {case.split.name}: {len(lessons)} lessons, {time.perf_counter() - started:.0f} s")
    whole = {"quick": chosen.quick, "seconds": time.perf_counter() - started, "lessons": lessons}
    chosen.json.write_text(json.dumps(whole))
    return 0


if __name__ == "__main__":
    sys.exit(main())
