"""What was never taught, and how much of it is refused: run by tools/unknown_table where edgecl is installed.

Of each set some classes are taught by the people of a split who are not tested, one clip after another or five of one
person; the people who are tested do what was taught, and what was not. Words that are not taught are the commands of
tools/common/sounds.py that the background which ships has never met, and for "all other words" those that it has.
Thresholds are those of the code. They were chosen on fsdd and on half of the intents of clinc150; of the other half
some are taught here.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.sounds import COMMANDS
from common.splits import OUT_OF_SCOPE, SETS, TEXT_SETS, data_root
from edgecl.learner import Learner
from edgecl.operations.evaluating import Evaluation
from measure.cases import cases, command, note
from measure.text_table import read

POSTURES = ("SITTING", "STANDING", "LAYING")
WALKS = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS")
FEW = 5
TEXTS = 20  # of an intent
SEEDS = 3
INTENTS_SEED = 0  # of the half of the intents that thresholds were not chosen on
SIGNALS = ("fsdd", "speech_commands", "hapt_uci_har", "spar_watch")


@dataclass(frozen=True)
class Asked:
    """Latents by label that are taught, asked about and never taught."""

    name: str
    taught: dict[str, NDArray[np.float32]]
    known: dict[str, NDArray[np.float32]]
    unknown: NDArray[np.float32]


def measured(extractor: Path, asked: Asked, scratch: Path) -> Evaluation:
    """Teach a store of its own and ask it."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        classes = max(len(asked.taught), 8)
        learner = Learner.create(Path(folder, "store"), extractor=extractor, max_classes=classes, memory_bytes=4 << 20)
        learner.learn(asked.taught, latents=True, force=True)
        return learner.evaluate(asked.known, latents=True, unknown=asked.unknown)


def row_of(data: str, name: str, found: Sequence[Evaluation]) -> dict[str, Any]:
    """Return a row of the table: means over the splits."""

    def mean(values: Sequence[float | None]) -> float:
        return float(np.mean([one for one in values if one is not None]))

    told = [one.as_dict() for one in found]
    return {
        "set": data,
        "taught": name,
        "threshold": f"{mean([one.unknown_above for one in found]):.2f}",
        "best class": f"{mean([one['balanced_accuracy'] for one in told]):.1%}",
        "with unknown": f"{mean([one['with_unknown']['balanced_accuracy'] for one in told]):.1%}",
        "known refused": f"{mean([one['with_unknown']['taught_refused'] for one in told]):.1%}",
        "untaught refused": f"{mean([one['unknown']['refused'] for one in told]):.1%}",
        "AUROC": f"{mean([one['unknown']['auroc'] for one in told]):.3f}",
    }


def _choices(data: str, classes: Sequence[str], seed: int) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield names, classes that are taught, and classes that are not."""
    draw = np.random.default_rng(seed)
    if data == "hapt_uci_har":
        yield "three ways to walk", list(WALKS), list(POSTURES)
        yield "walking", ["WALKING"], [*POSTURES]
        yield "six activities", [*WALKS, *POSTURES], [one for one in classes if "_TO_" in one]
        return
    usable = [one for one in classes if not one.startswith("_")]
    mixed = [str(one) for one in draw.permutation([one for one in usable if one in COMMANDS])]
    if data == "speech_commands":
        half = len(mixed) // 2
        yield "one command", mixed[:1], mixed[half:]
        yield f"{half} commands", mixed[:half], mixed[half:]
        yield f"{half} commands; all other words", mixed[:half], [one for one in usable if one not in COMMANDS]
        return
    mixed = [str(one) for one in draw.permutation(usable)]
    yield "one class", mixed[:1], mixed[1:]
    yield f"{len(mixed) // 2} classes", mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]


def of_a_set(data: str, *, cache: Path, scratch: Path) -> list[dict[str, Any]]:
    """Return the rows of a set of sound or movement."""
    found: dict[str, list[Evaluation]] = {}
    for seed, case in enumerate(cases(SETS[data], root=data_root(), cache=cache, scratch=scratch, quick=False)[:SEEDS]):
        x, groups = case.latents.x, case.latents.groups
        for name, known, never in _choices(data, case.classes, seed):
            tested = {one: x[case.tested([one])] for one in known}
            asked = {one: rows for one, rows in tested.items() if len(rows)}
            unknown = x[case.tested(never)]
            whole = {one: x[case.taught([one])] for one in known}
            few = {one: x[_five(case.taught([one]), groups)] for one in known}
            for how, taught in ((name, whole), (f"{name}, {FEW} of each", few)):
                found.setdefault(how, []).append(
                    measured(case.latents.extractor, Asked(how, taught, asked, unknown), scratch)
                )
    return [row_of(data, name, ones) for name, ones in found.items()]


def _five(rows: NDArray[np.intp], groups: NDArray[np.str_]) -> NDArray[np.intp]:
    """Return five rows of the person who has most."""
    names, counts = np.unique(groups[rows], return_counts=True)
    five: NDArray[np.intp] = rows[groups[rows] == names[counts.argmax()]][:FEW]
    return five


def of_texts(*, cache: Path, scratch: Path) -> list[dict[str, Any]]:
    """Return the rows of clinc150: the half of the intents that no threshold was chosen on."""
    extractor = scratch / "text.onnx"
    command("export", "text", "-o", extractor, "--json")
    data = read(TEXT_SETS["clinc150"], extractor, cache=cache, scratch=scratch)
    intents = [str(one) for one in np.random.default_rng(INTENTS_SEED).permutation(data.classes)][75:]
    rows = []
    for known in (intents[:10], intents[:50], intents):
        for count in (FEW, TEXTS):
            taught = {one: data.x[data.rows("train", [one])[:count]] for one in known}
            asked = {one: data.x[data.rows("test", [one])] for one in known}
            for name, never in (("out of scope", [OUT_OF_SCOPE]), ("other intents", intents[len(known) :])):
                if never:
                    what = f"{len(known)} intents, {count} texts of each; {name}"
                    unknown = data.x[data.rows("test", never)]
                    rows.append(
                        row_of("clinc150", what, [measured(extractor, Asked(what, taught, asked, unknown), scratch)])
                    )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=[*SIGNALS, "clinc150"])
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for data in arguments.sets:
            note(f"{data}: what was never taught")
            places = {"cache": arguments.cache, "scratch": Path(folder)}
            rows += of_a_set(data, **places) if data in SIGNALS else of_texts(**places)
    arguments.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
