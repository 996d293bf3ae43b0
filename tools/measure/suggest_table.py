"""What suggestions gain for the person who is heard, and cost the others: run by tools/suggest_table.

Five clips of each word are taught by one person (fsdd) or by five (speech_commands, where each says a word once or
twice); a person who taught nothing is then detected. Of the first 5, 20 and 100 detections those that the listener
would suggest are accepted in one lesson. The person's other clips are tested, those of people who neither taught nor
were heard, and those of who taught. The listener's thresholds were chosen on fsdd; speech_commands was measured once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.splits import SETS, data_root
from edgecl.extractors.opening import builtin_extractor
from edgecl.learning.loop import learn
from edgecl.live.suggesting import is_suggestion
from edgecl.model.model import Lesson, MemoryObjects, Model
from edgecl.operations.suggestions import WEIGHT
from measure.cases import Case, Latents, cases, note

CHOICES = ("fsdd", "speech_commands")
DETECTED = 0.5  # confidence
AFTER = (5, 20, 100)  # detections
SHOTS = 5
OTHERS = 10  # clips of a word
LEAST_WORDS = 8  # that a person says twice


@dataclass(frozen=True)
class Scene:
    """Rows of a set: what is taught, what is heard in its order, and what is tested, by whom."""

    taught: NDArray[np.intp]
    heard: NDArray[np.intp]
    tested: dict[str, NDArray[np.intp]]


def scenes(latents: Latents, words: tuple[str, ...], *, teachers: int) -> Iterator[Scene]:
    """Yield one scene for each person who says enough words twice."""
    draw = np.random.default_rng(0)
    people = [one for one in sorted(set(latents.groups)) if len(_twice(latents, words, one)) >= LEAST_WORDS]
    for number, person in enumerate(people):
        said = _twice(latents, words, person)
        others = [one for one in people if one != person]
        teaching = {others[(number + step) % len(others)] for step in range(teachers)}
        everyone = np.flatnonzero(np.isin(latents.groups, [*others]) & np.isin(latents.labels, said))
        by_teachers = everyone[np.isin(latents.groups[everyone], [*teaching])]
        taught = _first(latents, by_teachers, said, SHOTS)
        if len(set(latents.labels[taught])) < len(said):
            continue
        mine = [np.flatnonzero((latents.groups == person) & (latents.labels == word)) for word in said]
        strangers = everyone[~np.isin(latents.groups[everyone], [*teaching])]
        tested = {
            "heard": np.concatenate([rows[1::2] for rows in mine]),
            "others": _first(latents, draw.permutation(strangers), said, OTHERS),
            "teachers": np.setdiff1d(by_teachers, taught),
        }
        yield Scene(taught, draw.permutation(np.concatenate([rows[::2] for rows in mine])), tested)


def _twice(latents: Latents, words: tuple[str, ...], person: str) -> list[str]:
    """Return the words that a person says at least twice."""
    said = latents.labels[latents.groups == person]
    return [word for word in words if np.count_nonzero(said == word) > 1]


def _first(latents: Latents, rows: NDArray[np.intp], words: list[str], most: int) -> NDArray[np.intp]:
    return np.concatenate([rows[latents.labels[rows] == word][:most] for word in words])


def play(latents: Latents, case: Case, scene: Scene) -> Iterator[dict[str, Any]]:
    """Yield what a scene's suggestions do, after each number of detections."""
    settings = case.settings()
    objects, x, labels = MemoryObjects(), latents.x, latents.labels
    lesson = Lesson.of({word: x[rows] for word, rows in _by_label(labels, scene.taught).items()}, settings)
    model = learn(Model(settings), lesson, objects=objects, force=True).model
    assert model is not None
    before = _right(model, latents, scene)
    answers = model.predict(x[scene.heard])
    detected = np.flatnonzero(answers.confidence >= DETECTED)
    for most in AFTER:
        first = detected[:most]
        kept = [at for at in first if is_suggestion(model, x[scene.heard[at]][None], answers.labels[at])]
        after, verdict = before, None
        if kept:
            named = np.array([answers.labels[at] for at in kept])
            rows = scene.heard[kept]
            given = Lesson.of({word: x[rows[named == word]] for word in sorted(set(named))}, settings)
            verdict = learn(model, replace(given, weight=WEIGHT), objects=objects)
            after = _right(verdict.model or model, latents, scene)
        wrong = sum(answers.labels[at] != labels[scene.heard[at]] for at in kept)
        yield {
            "after": most,
            "detections": len(first),
            "suggested": len(kept),
            "wrong": int(wrong),
            "refused": verdict is not None and verdict.model is None,
            "before": before,
            "change": {who: after[who] - before[who] for who in before},
        }


def _by_label(labels: NDArray[np.str_], rows: NDArray[np.intp]) -> dict[str, NDArray[np.intp]]:
    return {word: rows[labels[rows] == word] for word in sorted(set(labels[rows].tolist()))}


def _right(model: Model, latents: Latents, scene: Scene) -> dict[str, float]:
    """Return the balanced accuracy of each group of people, %."""
    found = {}
    for who, rows in scene.tested.items():
        is_right = np.array(model.predict(latents.x[rows]).labels) == latents.labels[rows]
        words = _by_label(latents.labels[rows], np.arange(len(rows))).values()
        found[who] = 100 * float(np.mean([is_right[some].mean() for some in words]))
    return found


def summary(name: str, played: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the rows of a set: means over people with 95 % intervals of the mean."""
    rows = []
    for most in AFTER:
        some = [one for one in played if one["after"] == most]
        suggested = sum(one["suggested"] for one in some)
        rows.append(
            {
                "set": name,
                "people": str(len(some)),
                "detections": f"{np.mean([one['detections'] for one in some]):.1f} (at most {most})",
                "suggested": f"{suggested / len(some):.1f}",
                "of them wrong": f"{100 * sum(one['wrong'] for one in some) / max(suggested, 1):.1f} %",
                "lessons refused": str(sum(one["refused"] for one in some)),
                "right before": f"{np.mean([one['before']['heard'] for one in some]):.1f} %",
                **{f"points, {who}": _interval([one["change"][who] for one in some]) for who in some[0]["change"]},
            }
        )
    return rows


def _interval(changes: list[float]) -> str:
    half = 1.96 * np.std(changes, ddof=1) / np.sqrt(len(changes))
    return f"{np.mean(changes):+.1f} ± {half:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=CHOICES)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    for name in arguments.sets:
        note(f"{name}: suggestions")
        case = cases(SETS[name], root=data_root(), cache=arguments.cache, scratch=arguments.cache, quick=True)[0]
        assert case.latents.extractor == builtin_extractor("voice")
        found = scenes(case.latents, case.classes, teachers=1 if name == "fsdd" else 5)
        rows += summary(name, [row for scene in found for row in play(case.latents, case, scene)])
    arguments.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
