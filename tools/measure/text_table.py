"""Teach intents month by month; `tools/text_table` runs this in an environment of its own.

For every set and class order (tools/common/splits.py): the first intents in one lesson, then a few new ones a month,
through the learn loop of the command line at the default budget; joint logistic regression on everything at once, its
penalty by cross-validation over the training texts; on each intent once, five samples of it and two others to a model
of the rest; smaller and larger budgets; other people's learners on the same latents (tools/peers); and for one order
the same through `edgecl init`, `learn`, `eval` and `predict` on files. All settings are the defaults of the code. What
the gate asks about is answered as by a user who means every new intent (`--distinct`), and counted; texts that are out
of scope are asked about and never taught.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.splits import OUT_OF_SCOPE, TEXT_SETS, TextSet, class_orders, data_root, months, new_classes
from edgecl.compare.joint import choose_penalty, fit_joint
from edgecl.errors import SettingError
from edgecl.extractors.opening import open_extractor
from edgecl.learner import Learner
from edgecl.learning.collector import LessonCollector
from edgecl.metrics import balanced_accuracy
from edgecl.model.settings import Settings
from edgecl.units import parse_bytes
from measure.cases import BUDGETS, SHOTS, UNLIMITED, command, note
from measure.pupils import Peers, Pupil

STRATEGIES = ("auto", "closed-form")
DISK = 1 << 40  # budgets are compared by memory alone


@dataclass(frozen=True)
class Texts:
    """The texts of a set and their latents."""

    about: TextSet
    extractor: Path
    x: NDArray[np.float32]  # (n, D)
    texts: Sequence[str]
    labels: NDArray[np.str_]  # (n,)
    parts: NDArray[np.str_]  # (n,) "train", "val" or "test"
    scratch: Path

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.labels.tolist()) - {OUT_OF_SCOPE}))

    def rows(self, part: str, of: Sequence[str]) -> NDArray[np.intp]:
        return np.flatnonzero((self.parts == part) & np.isin(self.labels, of))

    def numbers(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Labels as indices into `classes`."""
        return np.searchsorted(self.classes, self.labels[rows])

    def settings(self, **given: Any) -> Settings:
        """Return the settings of `edgecl init --max-classes`; raises SettingError if the budget cannot work."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            made = Learner.create(
                Path(folder, "store"), extractor=self.extractor, max_classes=len(self.classes), **given
            )
            return made.settings

    def teach(self, pupil: Pupil, rows: NDArray[np.intp], strategy: str = "auto") -> None:
        collector = LessonCollector(pupil.model.settings.features, limit_bytes=UNLIMITED, spool=self.scratch)
        for row in rows:
            collector.add(str(self.labels[row]), self.x[row : row + 1])
        lesson = replace(collector.finish(), time=f"{len(pupil.used):04}")
        pupil.learn(lesson, strategy=strategy)

    def accuracy(self, pupil: Pupil, of: Sequence[str]) -> float:
        """Balanced accuracy on test texts of some intents, among all that were taught."""
        rows = self.rows("test", of)
        if pupil.model.head is None:
            return 0.0
        said = pupil.model.predict(self.x[rows]).labels
        return balanced_accuracy(self.numbers(rows), np.searchsorted(self.classes, said))


def read(about: TextSet, extractor: Path, *, cache: Path, scratch: Path) -> Texts:
    """A set with its latents, from the cache where the extractor and the data are the same."""
    path = about.path(data_root())
    content = path.read_bytes()
    lines = [json.loads(line) for line in content.decode().splitlines()]
    key = hashlib.sha256(extractor.read_bytes() + content).hexdigest()[:16]
    file = cache / f"{about.name}-{key}.npy"
    if not file.exists():
        note(f"{about.name}: {len(lines)} texts through the extractor")
        opened = open_extractor(extractor)
        signals = (np.frombuffer(line["text"].encode(), np.uint8).astype(np.float32)[:, None] for line in lines)
        latents = np.concatenate([opened.latents([signal]) for signal in signals])
        part = file.with_suffix(".part.npy")
        np.save(part, latents)
        part.replace(file)
    texts, labels, parts = ([line[name] for line in lines] for name in ("text", "label", "split"))
    return Texts(about, extractor, np.load(file), texts, np.array(labels), np.array(parts), scratch)


# What is measured


def measure_months(data: Texts, order: Sequence[str], strategy: str) -> dict[str, Any]:
    """The first intents, then a few a month.

    `old` is the change of the intents known before a month, `new` the accuracy of the month's own after it; months
    that the gate refuses count in `rejected` alone, and their intents are wrong at the end. `asked` counts the intents
    that the gate asked about.
    """
    pupil = Pupil(data.settings())
    known: list[str] = []
    figures: dict[str, Any] = {"old": [], "new": [], "lesson_ms": []}
    for part in months(order, data.about):
        before = data.accuracy(pupil, known) if known else None
        started = time.perf_counter()
        data.teach(pupil, data.rows("train", part), strategy)
        spent = 1000 * (time.perf_counter() - started)
        if pupil.used[-1] == "rejected":
            continue
        if before is not None:
            figures["old"].append(data.accuracy(pupil, known) - before)
            figures["new"].append(data.accuracy(pupil, part))
            figures["lesson_ms"].append(spent)
        known += part
    figures |= {"first": data.accuracy(pupil, order[: data.about.first]), "all": data.accuracy(pupil, data.classes)}
    figures |= {"used": pupil.used, "rejected": pupil.rejected, "asked": pupil.asked}
    return {**figures, "out_of_scope": out_of_scope(data, pupil), "bytes": pupil.model.bytes()["total"]}


def out_of_scope(data: Texts, pupil: Pupil) -> float | None:
    """AUROC of novelty between test texts of no intent and those of one; None where the set has none."""
    outside, inside = data.rows("test", [OUT_OF_SCOPE]), data.rows("test", data.classes)
    if not len(outside):
        return None
    novelty = [pupil.model.predict(data.x[rows]).novelty for rows in (outside, inside)]
    return auroc(*novelty)


def auroc(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> float:
    """Return how often a positive score is above a negative one; ties count half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return float(below.mean() / 2 / len(negative))


def measure_joint(data: Texts) -> dict[str, Any]:
    """Class-balanced logistic regression on all training texts."""
    rows, asked = data.rows("train", data.classes), data.rows("test", data.classes)
    x, y = data.x[rows].astype(np.float64), data.numbers(rows)
    penalty = choose_penalty(x, y, np.arange(len(rows)), seed=0)
    answers = fit_joint(x, y, penalty=penalty).answers(data.x[asked].astype(np.float64))
    return {"accuracy": balanced_accuracy(data.numbers(asked), answers), "penalty": penalty}


def measure_five_shot(data: Texts, of: Sequence[str], *, strategy: str = "auto") -> dict[str, Any]:
    """SHOTS training texts each of a few intents, added to a model of all others; every intent of `of` is new once."""
    generator, settings = np.random.default_rng(0), data.settings()
    new: list[float] = []
    change: list[float] = []
    rejected, asked, rounds = 0, 0, new_classes(of)
    for fresh in rounds:
        pupil, old = Pupil(settings), [one for one in data.classes if one not in fresh]
        data.teach(pupil, data.rows("train", old), strategy)
        before, asked_before = data.accuracy(pupil, old), pupil.asked
        drawn = [generator.choice(data.rows("train", [one]), SHOTS, replace=False) for one in fresh]
        data.teach(pupil, np.concatenate(drawn), strategy)
        rejected += pupil.rejected
        asked += pupil.asked - asked_before
        new.append(data.accuracy(pupil, fresh))
        change.append(data.accuracy(pupil, old) - before)
    return {
        "new": float(np.mean(new)),
        "old": float(np.mean(change)),
        "rounds": len(rounds),
        "rejected": rejected,
        "asked": asked,
    }


def measure_budgets(data: Texts, order: Sequence[str]) -> dict[str, float | None]:
    """Accuracy on all intents after the last month, by memory; None where init refuses."""
    found: dict[str, float | None] = {}
    for budget in BUDGETS:
        try:
            pupil = Pupil(data.settings(memory_bytes=parse_bytes(budget), disk_bytes=DISK))
        except SettingError:
            found[budget] = None
            continue
        for part in months(order, data.about):
            data.teach(pupil, data.rows("train", part))
        found[budget] = data.accuracy(pupil, data.classes)
    return found


def measure_command_line(data: Texts, order: Sequence[str]) -> float:
    """`init`, `learn` month by month and `eval`, on files."""
    with tempfile.TemporaryDirectory(dir=data.scratch) as folder:
        store = Path(folder, "desk")
        command("init", store, "--extractor", data.extractor, "--max-classes", str(len(data.classes)), "--json")
        for number, part in enumerate(months(order, data.about)):
            file = write_texts(data, data.rows("train", part), Path(folder, f"month-{number}.jsonl"))
            command("learn", store, file, "--distinct", "--json", refusable=True)
        asked = write_texts(data, data.rows("test", data.classes), Path(folder, "test.jsonl"))
        return float(command("eval", store, asked, "--json")["balanced_accuracy"])


def write_texts(data: Texts, rows: NDArray[np.intp], file: Path) -> Path:
    lines = [json.dumps({"text": data.texts[row], "label": str(data.labels[row])}) for row in rows]
    file.write_text("\n".join(lines) + "\n")
    return file


def peer_job(data: Texts, orders: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return the job for tools/peers/run.py."""
    file = data.scratch / f"{data.about.name}.npz"
    taught, asked = data.rows("train", data.classes), data.rows("test", data.classes)
    x, y, number = data.x, data.numbers, data.classes.index
    np.savez(file, train_x=x[taught], train_y=y(taught), test_x=x[asked], test_y=y(asked))
    return {
        "set": data.about.name,
        "split": "test",
        "modality": "text",
        "file": str(file),
        "memory_bytes": data.settings().memory_bytes,
        "lessons": [[[number(label) for label in part] for part in months(order, data.about)] for order in orders],
    }


def measure_set(data: Texts, orders: Sequence[Sequence[str]], *, quick: bool) -> dict[str, Any]:
    """All of ours on one set."""
    started = time.perf_counter()
    months_by_strategy = {name: [measure_months(data, order, name) for order in orders] for name in STRATEGIES}
    found = {
        "classes": len(data.classes),
        "taught": len(data.rows("train", data.classes)),
        "asked": len(data.rows("test", data.classes)),
        "first": data.about.first,
        "monthly": data.about.monthly,
        "memory_bytes": data.settings().memory_bytes,
        "months": months_by_strategy,
        "joint": measure_joint(data),
        "five_shot": None if quick else measure_five_shot(data, orders[0]),
        "budgets": {} if quick else measure_budgets(data, orders[0]),
        "command_line": {
            "eval": measure_command_line(data, orders[0]),
            "in_process": months_by_strategy["auto"][0]["all"],
        },
        "peers": {},
    }
    reached = 100 * months_by_strategy["auto"][0]["all"]
    note(f"{data.about.name}: {reached:.1f} % in {time.perf_counter() - started:.0f} s")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=TEXT_SETS, default=list(TEXT_SETS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peers-python", type=Path, help="the interpreter of an environment with tools/peers")
    parser.add_argument("--river-python", type=Path, help="the interpreter of an environment with River")
    parser.add_argument("--cache", type=Path, required=True, help="folder for latents")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args()
    started = time.perf_counter()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="edgecl-texts-") as folder:
        scratch = Path(folder)
        extractor = scratch / "text.onnx"
        command("export", "text", "-o", extractor, "--json")
        every = [read(TEXT_SETS[name], extractor, cache=chosen.cache, scratch=scratch) for name in chosen.sets]
        orders = {data.about.name: class_orders(data.classes)[: 1 if chosen.quick else None] for data in every}
        jobs = [peer_job(data, orders[data.about.name]) for data in every]
        pythons = {"run.py": chosen.peers_python, "texts_in_river.py": chosen.river_python}
        peers = [Peers(python, jobs, scratch=scratch, script=script) for script, python in pythons.items() if python]
        sets = {data.about.name: measure_set(data, orders[data.about.name], quick=chosen.quick) for data in every}
        for result in (one for some in peers for one in some.results()):
            sets[result["set"]]["peers"][result["peer"]] = result["accuracies"]
    whole = {"quick": chosen.quick, "seconds": time.perf_counter() - started, "sets": sets}
    chosen.json.write_text(json.dumps(whole, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
