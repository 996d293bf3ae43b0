"""Two simulated years of lessons: what is kept when 200 classes come, go and come back, and 48 have room.

Latents are made up: a Gaussian of unit spread around a mean by class. A class is new in some week, is used for some
weeks, and in half of the cases comes back later. Popularity follows 1/rank. A class that is used and not known is
wrong each time; after `PATIENCE` of these its user teaches it again, with the same samples. Each way meets the same
weeks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecl import Lesson, MemoryObjects, Model, Settings, learn
from edgecl.learning.forgetting import without_classes
from edgecl.learning.priorities import WHILE_USED, giving_way, used

CLASSES, WEEKS, ROOM, DIMENSION = 200, 104, 48, 48
SAMPLES, EVENTS, PATIENCE, SPREAD = 10, 150, 3, 0.55
WAYS = ("use (keep --while-used)", "FIFO", "random", "equal shares, no more classes")


@dataclass(frozen=True)
class Years:
    """The weeks of one seed: what is used in each, and how much."""

    means: NDArray[np.float64]
    """(CLASSES, DIMENSION)."""
    active: NDArray[np.bool_]
    """(WEEKS, CLASSES)."""
    popularity: NDArray[np.float64]
    """(CLASSES,)."""

    @staticmethod
    def drawn(rng: np.random.Generator) -> Years:
        active = np.zeros((WEEKS, CLASSES), bool)
        for label in range(CLASSES):
            first, length = int(rng.integers(WEEKS)), int(rng.geometric(1 / 20))
            active[first : first + length, label] = True
            if rng.random() < 0.5:
                again = first + length + int(rng.geometric(1 / 15))
                active[again : again + int(rng.geometric(1 / 20)), label] = True
        popularity = 1 / rng.permutation(np.arange(1, CLASSES + 1))
        return Years(rng.normal(size=(CLASSES, DIMENSION)) * SPREAD, active, popularity)

    def samples(self, label: int, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = (self.means[label] + rng.normal(size=(count, DIMENSION))).astype(np.float32)
        return rows


class Device:
    """A model that makes room in one of the ways."""

    def __init__(self, way: str, rng: np.random.Generator) -> None:
        self.way, self._rng, self.lessons, self.gone = way, rng, 0, 0
        settings = Settings(
            memory_bytes=1 << 20, disk_bytes=1 << 30, max_classes=ROOM, latent_dimension=DIMENSION, shrinkage_floor=0.03
        )
        self.model = Model(settings)

    def teach(self, name: str, rows: NDArray[np.float32], events: Mapping[str, int]) -> bool:
        """Teach one class, making room for it; returns whether there was a lesson."""
        model = used(self.model, events, fresh=[name])
        if name not in model.statistics and len(model.statistics) >= ROOM:
            gone = self._giving_way(model)
            if not gone:
                return False
            objects = MemoryObjects()
            model, self.gone = without_classes(model, gone, objects=objects), self.gone + len(gone)
        outcome = learn(model, Lesson.of({name: rows}, model.settings), strategy="closed-form", force=True)
        assert outcome.model is not None
        said = {**outcome.model.priorities, name: WHILE_USED}
        self.model, self.lessons = replace(outcome.model, priorities=said), self.lessons + 1
        return True

    def _giving_way(self, model: Model) -> list[str]:
        if self.way == WAYS[0]:
            return giving_way(model, 1, today="")
        if self.way == "FIFO":
            return [next(label for label in model.taught if label in model.statistics)]
        return [str(self._rng.choice(model.labels))] if self.way == "random" else []


def lived(way: str, seed: int) -> dict[str, float]:
    """Return what one way made of two years: accuracy by use, lessons, classes that gave way."""
    years, rng = Years.drawn(np.random.default_rng(seed)), np.random.default_rng([seed, 1])
    device, waiting = Device(way, np.random.default_rng([seed, 2])), dict.fromkeys(range(CLASSES), 0)
    right, total, recent = 0, 0, dict[str, int]()
    for week in range(WEEKS):
        active: list[int] = np.flatnonzero(years.active[week]).tolist()
        if not active:
            continue
        for label in active:
            if week == 0 or not years.active[:week, label].any():
                rows = years.samples(label, SAMPLES, np.random.default_rng([seed, label, 0]))
                recent = {} if device.teach(f"{label:03d}", rows, recent) else recent
        shares = years.popularity[active] / years.popularity[active].sum()
        for label, count in zip(active, rng.multinomial(EVENTS, shares).tolist(), strict=True):
            if not count:
                continue
            name, rows = f"{label:03d}", years.samples(label, count, np.random.default_rng([seed, label, week + 1]))
            answers = device.model.predict(rows).labels
            total, right = total + count, right + answers.count(name)
            for answer in answers:
                recent[answer] = recent.get(answer, 0) + 1
            waiting[label] = 0 if name in device.model.statistics else waiting[label] + count
            if waiting[label] >= PATIENCE:
                rows = years.samples(label, SAMPLES, np.random.default_rng([seed, label, 0]))
                recent = {} if device.teach(name, rows, recent) else recent
                waiting[label] = 0
    return {"accuracy": right / total, "lessons": device.lessons, "gave way": device.gone}


def measured(seeds: int, progress: Callable[[str], object] = lambda line: None) -> dict[str, list[dict[str, float]]]:
    """Return the figures of each way, a row for each seed."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for seed in range(seeds):
        for way in WAYS:
            found[way].append(lived(way, seed))
        progress(f"seed {seed}: " + ", ".join(f"{way} {rows[-1]['accuracy']:.1%}" for way, rows in found.items()))
    return found


def as_markdown(found: Mapping[str, list[dict[str, float]]]) -> str:
    """Return the table: means over the seeds, and the paired difference to FIFO with its standard error."""
    lines = [
        "| what gives way | right, by use | against FIFO, points | lessons | classes that gave way |",
        "|---|---|---|---|---|",
    ]
    base = np.array([one["accuracy"] for one in found["FIFO"]])
    for way, rows in found.items():
        accuracy = np.array([one["accuracy"] for one in rows])
        apart = 100 * (accuracy - base)
        error = apart.std(ddof=1) / np.sqrt(len(apart)) if len(apart) > 1 else 0.0
        against = "–" if way == "FIFO" else f"{apart.mean():+.1f} ± {error:.1f}"
        means = {name: np.mean([one[name] for one in rows]) for name in ("lessons", "gave way")}
        lines.append(
            f"| {way} | {100 * accuracy.mean():.1f} | {against} | {means['lessons']:.0f} | {means['gave way']:.0f} |"
        )
    return "\n".join(lines)
