"""The process of `tools/soak` that writes: it carries out orders, one per line, until it is killed.

python measure/soak_writer.py STORE --samples N --lessons N --classes N --kills N --seed N

Latents are drawn from a seed, class by class, and go through an extractor that returns its input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from edgecl.learner import Learner
from edgecl.learning.loop import Stage
from edgecl.operations.teaching import Report
from edgecl.sources.samples import Sample

DIMENSION = 32
APART = 6.0  # length of a class's mean, in standard deviations of its samples


@dataclass(frozen=True)
class Size:
    """The size of a soak."""

    samples: int
    lessons: int
    classes: int
    kills: int
    seed: int


@dataclass(frozen=True)
class Portion:
    """Samples of one class in one lesson, said to be of `label`."""

    label: str
    source: int  # the class that they are drawn from
    count: int
    draw: int  # the step in which they were drawn


@dataclass(frozen=True)
class Order:
    """One step: "teach", "swap" (labels that are wrong), "forget" or "rollback"."""

    number: int
    kind: str
    portions: tuple[Portion, ...] = ()
    labels: tuple[str, ...] = ()
    target: int = 0  # the revision to go back to


def label_of(index: int) -> str:
    return f"class {index:03d}"


class Latents:
    """Classes with a mean of their own on a sphere and one spherical scatter."""

    def __init__(self, size: Size) -> None:
        self._seed = size.seed
        means = np.random.default_rng(size.seed).standard_normal((size.classes, DIMENSION))
        self._means = APART * means / np.linalg.norm(means, axis=1, keepdims=True)

    def rows(self, portion: Portion) -> NDArray[np.float32]:
        """Return the latents of a portion, (count, D): the same at each call."""
        generator = np.random.default_rng([self._seed, portion.draw, portion.source])
        noise = generator.standard_normal((portion.count, DIMENSION))
        rows: NDArray[np.float32] = (self._means[portion.source] + noise).astype(np.float32)
        return rows

    def samples(self, portions: tuple[Portion, ...]) -> Iterator[Sample]:
        for portion in portions:
            for row in self.rows(portion):
                yield Sample(f"step {portion.draw}", portion.label, row[None], None)


def serve(path: Path, size: Size) -> None:
    """Carry out orders, one per line; report each stage and each end."""
    device, latents = Learner.open(path), Latents(size)
    say(ready=True)
    for line in sys.stdin:
        order = order_from(json.loads(line))
        say(**carried_out(device, order, latents))


def carried_out(device: Learner, order: Order, latents: Latents) -> dict[str, Any]:
    if order.kind == "forget":
        device.forget(order.labels)
    elif order.kind == "rollback":
        device.rollback(order.target)
    else:
        report = taught(device, order, latents)
        return {"done": order.number, "accepted": report.is_accepted, "bytes": report.bytes["total"]}
    return {"done": order.number, "accepted": True, "bytes": device.status()["bytes"]["total"]}


def taught(device: Learner, order: Order, latents: Latents) -> Report:
    run = device.run.learn(latents.samples(order.portions))
    for event in run:
        if isinstance(event, Stage):
            say(stage=event.name)
    return run.report


def say(**told: Any) -> None:
    print(json.dumps(told), flush=True)


def order_from(values: dict[str, Any]) -> Order:
    portions = tuple(Portion(**one) for one in values["portions"])
    return Order(values["number"], values["kind"], portions, tuple(values["labels"]), values["target"])


def add_size(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of `Size`."""
    for name in Size.__dataclass_fields__:
        parser.add_argument(f"--{name}", type=int, required=True)


def size_from(arguments: argparse.Namespace) -> Size:
    return Size(**{name: getattr(arguments, name) for name in Size.__dataclass_fields__})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("store", type=Path)
    add_size(parser)
    arguments = parser.parse_args()
    serve(arguments.store, size_from(arguments))


if __name__ == "__main__":
    main()
