"""Measure accuracy on real recordings; `tools/accuracy_table` runs this in an environment of its own.

For every set and split (tools/common/splits.py): the latents of an extractor that knows nothing of the unseen groups;
the training data in five lessons, in each class order, through the learn loop of the command line for every strategy at
the default budget; joint logistic regression on everything at once, its penalty chosen on training groups; a few new
classes from five samples each; smaller and larger budgets; other people's learners on the same latents (tools/peers);
and for one split of each set the same through `edgecl init`, `learn` and `eval` on files, which must agree exactly.
All settings are the defaults of the code.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.splits import (
    SETS,
    class_orders,
    data_root,
    lessons,
    new_classes,
)
from edgecl.compare.joint import choose_penalty, fit_joint
from edgecl.errors import SettingError
from edgecl.learning.centring import fit_centre
from edgecl.metrics import balanced_accuracy
from edgecl.units import parse_bytes
from measure.cases import BUDGETS, SHOTS, Case, cases, command, note
from measure.pupils import DEFAULT, Peers, Pupil, accuracy, collect, play, stream

STRATEGIES = ("naive", "ewc", "replay", "ewc-replay", "closed-form", "auto")


def measure_strategies(case: Case, orders: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Every strategy in every class order, at the default budget."""
    settings, rows = case.settings(), case.tested()
    measured: dict[str, Any] = {one: {"accuracies": [], "used": [], "asked": 0, "seconds": 0.0} for one in STRATEGIES}
    for order in orders:
        taught = stream(case, settings, order)
        for strategy, figures in measured.items():
            started = time.perf_counter()
            pupil = play(settings, taught, strategy=strategy)
            figures["seconds"] += time.perf_counter() - started
            figures["accuracies"].append(accuracy(case, pupil.model, rows))
            figures["used"].append(pupil.used)
            figures["asked"] += pupil.asked
    return measured


def measure_joint(case: Case) -> dict[str, Any]:
    """Class-balanced logistic regression on all that is taught, its penalty chosen on groups that teach."""
    rows, unseen = case.taught(), case.tested()
    x, y = case.latents.x[rows].astype(np.float64), case.numbers(rows)
    _, groups = np.unique(case.latents.groups[rows], return_inverse=True)
    penalty = choose_penalty(x, y, groups, seed=0)
    head = fit_joint(x, y, penalty=penalty)
    answers = head.answers(case.latents.x[unseen].astype(np.float64))
    found = balanced_accuracy(case.numbers(unseen), answers)
    return {"accuracy": found, "penalty": penalty, "converged": head.has_converged}


def measure_five_shot(case: Case, *, quick: bool) -> dict[str, Any]:
    """New classes from SHOTS samples each, added to a model of all others; every class is new once.

    The shots are drawn from all taught groups. `new` and `old` weigh every class alike, over the rounds.
    """
    settings, generator = case.settings(), np.random.default_rng(0)
    rounds = new_classes(class_orders(case.classes)[0])
    fresh, before, after, rejected = [], [], [], 0
    for new in rounds[:2] if quick else rounds:
        old = [label for label in case.classes if label not in new]
        drawn = [generator.choice(case.taught([label]), SHOTS, replace=False) for label in new]
        pupil = Pupil(settings)
        pupil.learn(collect(case, settings, case.taught(old)))
        before.append(accuracy(case, pupil.model, case.tested(old)))
        pupil.learn(collect(case, settings, np.sort(np.concatenate(drawn))))
        after.append(accuracy(case, pupil.model, case.tested(old)))
        fresh += [accuracy(case, pupil.model, case.tested([label])) for label in new]
        rejected += pupil.rejected
    new_accuracy, old_change = float(np.mean(fresh)), float(np.mean(np.subtract(after, before)))
    return {"new": new_accuracy, "old_change": old_change, "rounds": len(after), "rejected": rejected}


def measure_frontier(case: Case, order: Sequence[str]) -> dict[str, float | None]:
    """Accuracy at BUDGETS, of a store made for as many classes as there are; None where init refuses."""
    found: dict[str, float | None] = {}
    for budget in BUDGETS:
        try:
            settings = case.settings(memory_bytes=parse_bytes(budget), max_classes=len(case.classes))
        except SettingError:
            found[budget] = None
            continue
        pupil = play(settings, stream(case, settings, order))
        found[budget] = accuracy(case, pupil.model, case.tested())
    return found


def measure_centring(case: Case) -> list[dict[str, Any]]:
    """Measure centring on each unseen subject: the first half of each class without labels, tested on the second.

    `skewed`: the samples of two classes alone, as of a person who did nothing else.
    """
    settings = case.settings()
    model = play(settings, [collect(case, settings, case.taught())], strategy="closed-form").model
    found = []
    tested = case.tested()
    for group in np.unique(case.latents.groups[tested]):
        rows = tested[case.latents.groups[tested] == group]
        by_class = [rows[case.latents.labels[rows] == label] for label in case.classes]
        given, asked = (
            np.sort(np.concatenate([half[part] for half in (np.array_split(one, 2) for one in by_class)]))
            for part in (0, 1)
        )
        two = np.concatenate([np.array_split(one, 2)[0] for one in by_class if len(one) > 1][:2])
        whole, skewed = fit_centre(model, case.latents.x[given]), fit_centre(model, case.latents.x[two])
        after, shifted = (replace(model, centre=one.centre) for one in (whole, skewed))
        found.append(
            {
                "before": accuracy(case, model, asked),
                "after": accuracy(case, after if whole.verdict.accepted else model, asked),
                "accepted": whole.verdict.accepted,
                "skewed_accepted": skewed.verdict.accepted,
                "skewed_forced": accuracy(case, shifted, asked),
            }
        )
    return found


# The real command line


def measure_command_line(case: Case, order: Sequence[str]) -> dict[str, float]:
    """`init`, `learn` lesson by lesson and `eval`, on files: right by the best class, and with "unknown"."""
    with tempfile.TemporaryDirectory(dir=case.scratch) as folder:
        store, files = Path(folder, "store"), Path(folder, "files")
        command("init", store, "--extractor", case.latents.extractor, "--json")
        for number, part in enumerate(lessons(order)):
            lesson = write_samples(case, case.taught(part), files / f"lesson-{number}")
            command("learn", store, lesson, "--distinct", "--json", refusable=True)
        unseen = write_samples(case, case.tested(), files / "unseen")
        told = command("eval", store, unseen, "--json")
        known = told["with_unknown"]
        return {
            "eval": float(told["balanced_accuracy"]),
            "with_unknown": float(known["balanced_accuracy"]),
            "refused": float(known["taught_refused"]),
        }


def write_samples(case: Case, rows: NDArray[np.intp], target: Path) -> Path:
    """Write the input of `edgecl learn`, a folder of links to clips or a file of windows; return its path."""
    if case.data.modality == "voice":
        for row in rows:
            link = target / case.latents.labels[row] / Path(case.latents.sources[row]).name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(case.latents.sources[row])
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    file = target.with_suffix(".npz")
    with np.load(case.data.path(data_root()), allow_pickle=False) as windows:
        np.savez(
            file,
            X=windows["X"][[int(one.rpartition("[")[2][:-1]) for one in case.latents.sources[rows]]],
            y=case.latents.labels[rows],
            subject=case.latents.groups[rows],
            channels=windows["channels"],
            rate_hz=windows["rate_hz"],
        )
    return file


# Other people's learners


def peer_job(case: Case, *, quick: bool) -> dict[str, Any]:
    """Return the job for tools/peers/run.py: latents in a file, and lessons of each class order as class numbers."""
    file = case.scratch / f"{case.data.name}-{case.split.name}.npz"
    taught, tested = case.taught(), case.tested()
    x, y = case.latents.x, case.numbers
    np.savez(file, train_x=x[taught], train_y=y(taught), test_x=x[tested], test_y=y(tested))
    number = case.classes.index
    return {
        "set": case.data.name,
        "split": case.split.name,
        "modality": case.data.modality,
        "file": str(file),
        "memory_bytes": case.settings().memory_bytes,
        "lessons": [
            [[number(label) for label in part] for part in lessons(order)] for order in orders(case, quick=quick)
        ],
    }


# The whole


def orders(case: Case, *, quick: bool) -> Sequence[Sequence[str]]:
    return class_orders(case.classes)[: 1 if quick else None]


def measure_case(case: Case, *, quick: bool) -> dict[str, Any]:
    """All of ours on one split."""
    chosen = orders(case, quick=quick)
    return {
        "name": case.split.name,
        "strategies": measure_strategies(case, chosen),
        "joint": measure_joint(case),
        "five_shot": measure_five_shot(case, quick=quick),
        "frontier": {} if quick else measure_frontier(case, chosen[0]),
        "centring": [] if case.data.modality == "voice" else measure_centring(case),
        "peers": {},
    }


def measure_set(found: Sequence[Case], *, quick: bool) -> dict[str, Any]:
    """All of ours on one set."""
    case, measured = found[0], []
    for one in found:
        started = time.perf_counter()
        measured.append(measure_case(one, quick=quick))
        spent = time.perf_counter() - started
        note(f"{one.data.name}, {one.split.name}: {100 * _default_accuracy(measured[-1]):.1f} % in {spent:.0f} s")
    settings = case.settings()
    return {
        "modality": case.data.modality,
        "classes": len(case.classes),
        "samples": len(case.latents.x),
        "dimension": settings.latent_dimension,
        "features": settings.features.dimension,
        "memory_bytes": settings.memory_bytes,
        "splits": measured,
        "command_line": {
            "split": case.split.name,
            **measure_command_line(case, class_orders(case.classes)[0]),
            "in_process": measured[0]["strategies"][DEFAULT]["accuracies"][0],
        },
    }


def _default_accuracy(measured: dict[str, Any]) -> float:
    return float(np.mean(measured["strategies"][DEFAULT]["accuracies"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peers-python", type=Path, help="the interpreter of an environment with tools/peers")
    parser.add_argument("--cache", type=Path, required=True, help="folder for extractors and latents")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args()
    root, started = data_root(), time.perf_counter()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="edgecl-accuracy-") as folder:
        scratch = Path(folder)
        found = {}
        for name in chosen.sets:
            note(f"{name}: latents")
            found[name] = cases(SETS[name], root=root, cache=chosen.cache, scratch=scratch, quick=chosen.quick)
        every = [case for one in found.values() for case in one]
        peers = None
        if chosen.peers_python:
            peers = Peers(chosen.peers_python, [peer_job(case, quick=chosen.quick) for case in every], scratch=scratch)
        sets = {name: measure_set(one, quick=chosen.quick) for name, one in found.items()}
        for result in peers.results() if peers else []:
            split = next(one for one in sets[result["set"]]["splits"] if one["name"] == result["split"])
            split["peers"][result["peer"]] = {"accuracies": result["accuracies"], "seconds": result["seconds"]}
    whole = {"quick": chosen.quick, "seconds": time.perf_counter() - started, "sets": sets}
    chosen.json.write_text(json.dumps(whole, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
