"""What proves new classes that several people gave; run by tools/proof_table where edgecl is installed.

Lessons of one new class and of several are those of tools/gate_rates: the same splits and scenes, every number of
clips. A class holds if at least half of what people say who taught nothing is answered right.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.splits import SETS, data_root
from edgecl.gate.judge import is_above_floor, is_proven_by
from edgecl.gate.verdict import Policy
from measure.cases import Case, cases
from measure.gate_lessons import Scene, TooFewClipsError, new_class, new_classes
from measure.gate_rates import CLIPS, POLICIES, SCENES, SHIPPED, Player, right, settings_of
from measure.gate_scenes import lesson_of, scene_of

HOLDS = 0.5  # share of what unseen people say
RULES: dict[str, Callable[[NDArray[np.bool_], NDArray[np.bool_]], bool]] = {
    "by samples": lambda taught, people: is_above_floor(taught, Policy()),
    "as it ships": lambda taught, people: is_above_floor(taught, Policy()) and is_proven_by(people, Policy()),
    "by people alone": lambda taught, people: is_above_floor(people, Policy()),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=[*SETS], default=list(SETS))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="edgecl-proof-") as folder:
        for name in given.sets:
            where = {"root": data_root(), "cache": given.cache, "scratch": Path(folder)}
            for number, case in enumerate(cases(SETS[name], quick=False, **where)):
                found += proofs(case, number, np.random.default_rng([number, *name.encode()]))
    rows = [row(name, [one for one in found if one["set"] == name]) for name in given.sets]
    for name, chosen in (("of two people", {2}), ("of three", {3}), ("of more", set(range(4, 99)))):
        rows.append(row(name, [one for one in found if one["people"] in chosen]))
    given.json.write_text(json.dumps([*rows, row("all", found)]))


def proofs(case: Case, number: int, generator: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield the new classes of several people that lessons teach: what proves each, and whether it holds."""
    noise = np.zeros((0, case.latents.x.shape[1]), np.float32)
    for setting in settings_of(number, scenes=SCENES):
        scene = scene_of(case, setting, noise, generator)
        for kind in (new_class, new_classes):
            for clips in CLIPS:
                try:
                    script = kind(scene, clips, generator)
                except TooFewClipsError:
                    continue
                yield from played(scene, Player(scene.model, lesson_of(case, scene.settings, script.said), scene.known))


def played(scene: Scene, player: Player) -> Iterator[dict[str, Any]]:
    """Yield the new classes of one lesson that goes live."""
    outcome = player.play(POLICIES[SHIPPED])
    if outcome.live is None:
        return
    live = player.candidates[outcome.live]
    for label, people in live.evidence.people.items():
        tested = len(scene.case.tested([label]))
        if tested:
            holds = right(scene, live.candidate, [label])[label] >= HOLDS * tested
            proven = [name for name, rule in RULES.items() if rule(live.evidence.taught[label], people)]
            yield {"set": scene.case.data.name, "people": len(people), "holds": holds, "proven": proven}


def row(name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how many of the classes that hold, and of those that do not, each rule proves."""
    held, failed = ([one for one in found if one["holds"] == holds] for holds in (True, False))
    cells: dict[str, Any] = {"new classes": name, "hold": len(held), "do not": len(failed)}
    for rule in RULES:
        proven = (sum(rule in one["proven"] for one in some) for some in (held, failed))
        cells[f"proven {rule}: of these, of those"] = ", ".join(map(str, proven))
    return cells


if __name__ == "__main__":
    main()
