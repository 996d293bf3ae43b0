"""Small latents and lessons that several tests learn from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecl.gate.verdict import Policy
from edgecl.learning.collector import LessonCollector
from edgecl.learning.loop import Outcome, learn
from edgecl.learning.strategies import RefineSettings
from edgecl.model.loading import load_model
from edgecl.model.model import Arrays, Lesson, MemoryObjects, Model, Objects
from edgecl.model.settings import Settings

DIMENSION = 24
ANYTHING = Policy(
    allowed_pooled_loss=9,
    allowed_class_loss=0.9999,
    allowed_pooled_confusion=9,
    allowed_class_confusion=0.9999,
    new_class_floor=-1,
    contradiction_share=2,
    foreign_distance=1e9,
    noise_distance=1e9,
    doubted_below=0,
    ask_above=float("inf"),
)
GENTLE = RefineSettings(smallest_steps=50, largest_steps=100)


class Words:
    """Classes with a mean of their own and one scatter for all, drawn from a seed."""

    def __init__(self, classes: int, *, seed: int = 0, dimension: int = DIMENSION, apart: float = 3.0) -> None:
        self._generator = np.random.default_rng(seed)
        self.labels = [f"word {index:02d}" for index in range(classes)]
        self._means = apart * self._generator.standard_normal((classes, dimension)) / np.sqrt(dimension)
        self._mixing = self._generator.standard_normal((dimension, dimension)) / dimension

    def say(self, label: str, count: int) -> NDArray[np.float32]:
        """`count` latents of a word, (count, D)."""
        mean = self._means[self.labels.index(label)]
        noise = self._generator.standard_normal((count, len(mean))) @ self._mixing
        return (mean + noise).astype(np.float32)

    def lesson(self, count: int, labels: list[str] | None = None) -> dict[str, NDArray[np.float32]]:
        return {label: self.say(label, count) for label in (labels or self.labels)}


class Uneven(Words):
    """Classes that each reach out along a direction of their own, which a scatter common to all does not see."""

    def __init__(self, classes: int, *, seed: int = 0, dimension: int = DIMENSION, apart: float = 1.5) -> None:
        super().__init__(classes, seed=seed, dimension=dimension, apart=apart)
        self._along = self._generator.standard_normal(self._means.shape) / np.sqrt(dimension)

    def say(self, label: str, count: int) -> NDArray[np.float32]:
        reach = self._generator.exponential(4.0, (count, 1)) * self._along[self.labels.index(label)]
        return (super().say(label, count) + reach).astype(np.float32)


def settings(*, dimension: int = DIMENSION, memory_bytes: int = 1 << 20, **more: object) -> Settings:
    plain = {"disk_bytes": 64 << 20, "max_classes": 32, "shrinkage_floor": 0.03}
    return Settings(memory_bytes=memory_bytes, latent_dimension=dimension, **{**plain, **more})  # type: ignore[arg-type]


def as_lesson(model: Model, latents: Mapping[str, NDArray[np.float32]], *, spool: Path | None = None) -> Lesson:
    collector = LessonCollector(model.settings.features, limit_bytes=model.plan().lesson, spool=spool)
    for label, rows in latents.items():
        collector.add(label, rows)
    return collector.finish()


def teach(
    model: Model,
    latents: Mapping[str, NDArray[np.float32]],
    *,
    objects: Objects,
    strategy: str = "auto",
    policy: Policy | None = None,
    seed: int = 0,
) -> Outcome:
    lesson = as_lesson(model, latents)
    return learn(model, lesson, objects=objects, strategy=strategy, policy=policy, seed=seed, settings=GENTLE)


def taught(model: Model, *lessons: Mapping[str, NDArray[np.float32]], strategy: str = "closed-form") -> Model:
    """The model after lessons that are let in whatever the gate would say."""
    objects = MemoryObjects()
    for latents in lessons:
        outcome = teach(model, latents, objects=objects, strategy=strategy, policy=ANYTHING)
        assert outcome.model is not None, outcome.verdict.reasons
        model = outcome.model
    return model


def accuracy(model: Model, latents: Mapping[str, NDArray[np.float32]]) -> float:
    """Balanced accuracy."""
    return float(
        np.mean([np.mean([said == label for said in model.predict(rows).labels]) for label, rows in latents.items()])
    )


def head_arrays(model: Model) -> NDArray[np.float32]:
    assert model.head is not None
    return np.concatenate([model.head.weights.ravel(), model.head.bias])


def known(words: Words, objects: MemoryObjects, count: int = 30) -> Model:
    model = teach(Model(settings()), words.lesson(count), objects=objects).model
    assert model is not None
    return model


class FileObjects:
    """Objects as files whose arrays are pages, as a store has them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def put(self, arrays: Arrays) -> str:
        self._count += 1
        place = self._folder / str(self._count)
        place.mkdir()
        for name, array in arrays.items():
            np.save(place / f"{name}.npy", array)
        return str(self._count)

    def read(self, digest: str) -> Mapping[str, NDArray[np.generic]]:
        return {one.stem: np.load(one, mmap_mode="r") for one in (self._folder / digest).iterdir()}


def reloaded(model: Model, objects: FileObjects) -> Model:
    parts = {role: objects.read(digest) for role, digest in model.digests.items()}
    return load_model(model.settings, model.digests, model.body(), parts)


def settled(words: Words, model: Model, label: str, count: int) -> dict[str, NDArray[np.float32]]:
    """Samples of a class that the model is as sure of as of its mean."""
    mean = model.statistics[label].mean.astype(np.float32)
    said = words.say(label, count)
    return {label: mean + 0.1 * (said - said.mean(axis=0))}
