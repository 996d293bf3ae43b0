"""Teach ten classes of pictures under one weather after another; `tools/image_table` runs this in an environment.

For every set (tools/measure/image_sets.py) and three orders of weather, clear first: seven lessons through the learn
loop at the default budget, all weather evaluated after each; joint logistic regression on all lessons at once, its
penalty by cross-validation over weather; other people's learners on the same latents (tools/peers/domains.py); what
subtracting the mean of each weather and a head for each weather add, with the weather known and found; and on clear
pictures alone 80 of each class, five of each, and columns of the extractor. All settings are the defaults of the code.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from edgecl_export import export_image
from numpy.typing import NDArray

from edgecl.compare.joint import choose_penalty, fit_joint
from edgecl.demo.pictures import picture
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.opening import open_extractor
from edgecl.learner import Learner
from edgecl.learning.collector import LessonCollector
from edgecl.metrics import forgetting
from edgecl.model.model import Model
from edgecl.model.settings import Settings
from edgecl.model.unknown import DistanceMeasure
from edgecl.sources.pictures import decode_picture
from measure.cases import UNLIMITED, note
from measure.image_sets import DOMAINS, Part, PictureSet, read
from measure.pupils import Pupil

SETS = ("signs", "digits")
ORDERS = 3
STRATEGIES = ("auto", "closed-form", "replay", "ewc", "naive")
SHOTS, DRAWS = 5, 5
TIMED, SIZES = 60, (96, 128, 160)


def orders(count: int) -> list[list[str]]:
    """Return orders of the weather, clear first."""
    rest = np.array(DOMAINS[1:])
    return [
        [DOMAINS[0], *np.random.default_rng(seed).permutation(rest).tolist()] if seed else list(DOMAINS)
        for seed in range(count)
    ]


def accuracy(answers: NDArray[np.intp], part: Part) -> float:
    """Return the share of right answers; every class has as many pictures."""
    return float(np.mean(answers == part.y))


class Bench:
    """One set, with what is needed to teach it."""

    def __init__(self, data: PictureSet, settings: Settings, scratch: Path) -> None:
        self.data, self.settings, self._scratch = data, settings, scratch

    def teach(self, pupil: Pupil, part: Part, strategy: str) -> None:
        """Teach one part as a lesson."""
        collector = LessonCollector(self.settings.features, limit_bytes=UNLIMITED, spool=self._scratch)
        for row, label in zip(part.x, part.y, strict=True):
            collector.add(self.data.classes[label], row[None])
        pupil.learn(collector.finish(), strategy=strategy)

    def taught(self, part: Part) -> Model:
        """Return a model of one lesson."""
        pupil = Pupil(self.settings)
        self.teach(pupil, part, "closed-form")
        return pupil.model

    def answers(self, model: Model, x: NDArray[np.float32]) -> NDArray[np.intp]:
        where = {label: index for index, label in enumerate(self.data.classes)}
        return np.array([where[label] for label in model.predict(x).labels])

    def matrix(self, order: Sequence[str], strategy: str) -> tuple[NDArray[np.float64], int]:
        """Return R[i, j], the accuracy on weather j after lesson i, and the lessons that were refused."""
        pupil, rows = Pupil(self.settings), []
        for domain in order:
            self.teach(pupil, self.data.taught[domain], strategy)
            parts = [self.data.asked[one] for one in order]
            rows.append([accuracy(self.answers(pupil.model, part.x), part) for part in parts])
        return np.array(rows), pupil.rejected


def summary(matrix: NDArray[np.float64]) -> dict[str, float]:
    """Return the figures of a matrix in percent; clear is the first column."""
    shown = {"clear first": matrix[0, 0], "clear last": matrix[-1, 0], "all first": matrix[0].mean()}
    shown |= {"all last": matrix[-1].mean(), "forgetting": forgetting(matrix)}
    return {name: 100 * float(value) for name, value in shown.items()}


def joint(data: PictureSet) -> dict[str, float]:
    """Return the accuracy of logistic regression on all lessons at once."""
    x = np.concatenate([data.taught[one].x for one in DOMAINS])
    y = np.concatenate([data.taught[one].y for one in DOMAINS])
    groups = np.repeat(np.arange(len(DOMAINS)), [len(data.taught[one].y) for one in DOMAINS])
    head = fit_joint(x, y, penalty=choose_penalty(x, y, groups, seed=0))
    each = [accuracy(head.answers(data.asked[one].x), data.asked[one]) for one in DOMAINS]
    return {"clear last": 100 * each[0], "all last": 100 * float(np.mean(each))}


def by_domain(bench: Bench) -> dict[str, dict[str, float]]:
    """Return what is gained by the mean of each weather, and by a head for each, known or found."""
    data = bench.data
    means = {one: data.taught[one].x.mean(axis=0) for one in DOMAINS}
    heads = {one: bench.taught(data.taught[one]) for one in DOMAINS}
    centred = {one: Part(data.taught[one].x - means[one], data.taught[one].y) for one in DOMAINS}
    together = bench.taught(_joined(list(centred.values())))
    whole = bench.taught(_joined(list(data.taught.values())))

    def found(x: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the weather whose head finds each picture least novel."""
        novelty = np.stack([_novelty(bench, heads[one], x) for one in DOMAINS])
        return np.asarray(novelty.argmin(axis=0))

    def centred_by(which: NDArray[np.intp], x: NDArray[np.float32]) -> NDArray[np.intp]:
        return bench.answers(together, x - np.stack([means[one] for one in DOMAINS])[which])

    def head_of(which: NDArray[np.intp], x: NDArray[np.float32]) -> NDArray[np.intp]:
        each = np.stack([bench.answers(heads[one], x) for one in DOMAINS])
        return np.asarray(each[which, np.arange(len(x))])

    def over(answer: Callable[[int, NDArray[np.float32]], NDArray[np.intp]]) -> dict[str, float]:
        each = [accuracy(answer(index, data.asked[one].x), data.asked[one]) for index, one in enumerate(DOMAINS)]
        return {"clear last": 100 * each[0], "all last": 100 * float(np.mean(each))}

    right = [np.mean(found(data.asked[one].x) == index) for index, one in enumerate(DOMAINS)]
    known = [np.full(len(data.asked[one].y), index) for index, one in enumerate(DOMAINS)]
    return {
        "one head of all weather, in one lesson": over(lambda _, x: bench.answers(whole, x)),
        "mean of the weather, known": over(lambda index, x: centred_by(known[index], x)),
        "mean of the weather, found by novelty": over(lambda _, x: centred_by(found(x), x)),
        "a head each, weather known": over(lambda index, x: head_of(known[index], x)),
        "a head each, found by novelty": {
            **over(lambda _, x: head_of(found(x), x)),
            "weather found": 100 * float(np.mean(right)),
        },
    }


def _novelty(bench: Bench, model: Model, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the distance to the nearest class in the units of the store's own measure."""
    answers = np.array([model.labels.index(bench.data.classes[one]) for one in bench.answers(model, x)])
    return DistanceMeasure(model).novelty(model.features(x), answers)


def _joined(parts: Sequence[Part]) -> Part:
    return Part(np.concatenate([one.x for one in parts]), np.concatenate([one.y for one in parts]))


def clear_only(bench: Bench, columns: int) -> dict[str, float]:
    """Return the accuracy on clear pictures: 80 of each class, five of each, and joint."""
    data, (taught, asked) = bench.data, bench.data.whole[columns]
    shots = []
    for seed in range(DRAWS):
        draw = np.random.default_rng(seed)
        rows = np.concatenate([draw.choice(np.flatnonzero(taught.y == k), SHOTS, replace=False) for k in range(10)])
        few = bench.taught(Part(taught.x[rows], taught.y[rows]))
        shots.append(accuracy(bench.answers(few, asked.x), asked))
    folds = np.arange(len(taught.y)) % 5
    head = fit_joint(taught.x, taught.y, penalty=choose_penalty(taught.x, taught.y, folds, seed=0))
    whole = accuracy(bench.answers(bench.taught(taught), asked.x), asked)
    note(f"{data.name}: {columns} columns, {100 * whole:.1f} %")
    together = accuracy(head.answers(asked.x), asked)
    return {"closed form": 100 * whole, "joint": 100 * together, "five shots": 100 * float(np.mean(shots))}


def timings(scratch: Path) -> list[dict[str, float]]:
    """Return CPU milliseconds of a picture in one thread, and of decoding a JPEG of 640 by 480, by size."""
    from PIL import Image

    rows = []
    stream = io.BytesIO()
    Image.fromarray(picture("stop", 0)).resize((640, 480)).save(stream, "JPEG")
    for size in SIZES:
        extractor = _exported(scratch / f"{size}.onnx", size=size)
        signal = decode_picture(stream.getvalue(), size).reshape(-1, 3).astype(np.float32)
        rows.append(
            {
                "size": size,
                "extract_ms": _cpu_ms(partial(extractor.latents, [signal])),
                "decode_ms": _cpu_ms(partial(decode_picture, stream.getvalue(), size)),
                "bytes": (scratch / f"{size}.onnx").stat().st_size,
            }
        )
    return rows


def _cpu_ms(call: Callable[[], object]) -> float:
    call()
    spent = []
    for _ in range(TIMED):
        started = time.process_time()
        call()
        spent.append(time.process_time() - started)
    return 1000 * float(np.median(spent))


def _exported(path: Path, **more: int) -> FileExtractor:
    export_image(path, **more)
    return open_extractor(path)


def settings_for(extractor: Path, scratch: Path) -> Settings:
    """Return the settings of `edgecl init` without options."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        return Learner.create(Path(folder, "store"), extractor=extractor).settings


def peers(python: Path, data: PictureSet, every: Sequence[Sequence[str]], scratch: Path) -> dict[str, Any]:
    """Return the matrices of other people's learners, one for each order."""
    arrays = {f"{kind}_{one}": value for name in DOMAINS for kind, value, one in _arrays(data, name)}
    np.savez(scratch / f"{data.name}.npz", **arrays)  # type: ignore[arg-type]
    jobs = {"file": str(scratch / f"{data.name}.npz"), "orders": list(every)}
    (scratch / "jobs.json").write_text(json.dumps(jobs))
    script = Path(__file__).resolve().parents[1] / "peers" / "domains.py"
    done = subprocess.run([python, script, scratch / "jobs.json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{script.name} failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _arrays(data: PictureSet, name: str) -> list[tuple[str, NDArray[Any], str]]:
    taught, asked = data.taught[name], data.asked[name]
    return [("tx", taught.x, name), ("ty", taught.y, name), ("ax", asked.x, name), ("ay", asked.y, name)]


def measured(bench: Bench, every: Sequence[Sequence[str]], python: Path | None, scratch: Path) -> dict[str, Any]:
    """Return all figures of a set."""
    data, found = bench.data, {}
    for strategy in STRATEGIES:
        played = [bench.matrix(order, strategy) for order in every]
        found[f"edgecl {strategy}"] = [
            {**summary(matrix), "refused": refused, "matrix": matrix.tolist()} for matrix, refused in played
        ]
        note(f"{data.name}: {strategy} {found[f'edgecl {strategy}'][0]['all last']:.1f} %")
    others = peers(python, data, every, scratch) if python else {}
    for name, matrices in others.get("matrices", {}).items():
        found[name] = [summary(np.array(one)) for one in matrices]
    clear = {str(columns): clear_only(_of_columns(bench, columns, scratch), columns) for columns in data.whole}
    return {
        "strategies": found,
        "joint": joint(data),
        "by domain": by_domain(bench),
        "clear": clear,
        "chosen": others.get("chosen", {}),
    }


def _of_columns(bench: Bench, columns: int, scratch: Path) -> Bench:
    """Return the bench with settings for another width, whose memory is not limited."""
    if columns == bench.settings.latent_dimension:
        return bench
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        made = Learner.create(
            Path(folder, "store"),
            extractor=scratch / f"columns{columns}.onnx",
            memory_bytes=64 << 20,
            disk_bytes=1 << 30,
        )
        return Bench(bench.data, made.settings, scratch)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--quick", action="store_true", help="without clear pictures alone")
    parser.add_argument("--orders", type=int, default=ORDERS, help="of the weather")
    parser.add_argument("--cache", type=Path, required=True, help="folder for latents")
    parser.add_argument("--peers-python", type=Path, help="the interpreter of an environment with tools/peers")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args()
    started = time.perf_counter()
    every = orders(chosen.orders)
    chosen.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="edgecl-pictures-") as folder:
        scratch = Path(folder)
        figures: dict[str, Any] = {"sets": {}, "orders": every, "timings": timings(scratch)}
        extractor = _exported(scratch / "image.onnx")
        wide = {384: extractor, 1280: _exported(scratch / "columns1280.onnx", columns=1280)}
        settings = settings_for(scratch / "image.onnx", scratch)
        for name in chosen.sets:
            note(f"{name}: pictures through the extractor")
            bench = Bench(read(name, extractor, {} if chosen.quick else wide, cache=chosen.cache), settings, scratch)
            figures["sets"][name] = measured(bench, every, chosen.peers_python, scratch)
    figures["seconds"] = time.perf_counter() - started
    chosen.json.write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
