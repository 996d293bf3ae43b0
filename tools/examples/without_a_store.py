#!/usr/bin/env python3
"""Learn from arrays alone: no store, no extractor, no file. The latents are drawn at random around a mean by class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import edgecl

DIMENSION = 32
LABELS = ("red", "green", "blue", "white")


def latents(label: str, count: int, *, seed: int) -> NDArray[np.float32]:
    """Return latents (count, 32) of one class."""
    mean = np.random.default_rng(LABELS.index(label)).normal(size=DIMENSION)
    return (mean + np.random.default_rng(seed).normal(size=(count, DIMENSION))).astype(np.float32)


def accuracy(model: edgecl.Model, labels: tuple[str, ...]) -> float:
    """Return the share of fresh latents that is answered right."""
    right = [model.predict(latents(label, 50, seed=99)).labels.count(label) for label in labels]
    return sum(right) / (50 * len(labels))


def main() -> None:
    settings = edgecl.Settings(
        memory_bytes=1 << 20, disk_bytes=1 << 24, max_classes=8, latent_dimension=DIMENSION, shrinkage_floor=0.1
    )
    objects = edgecl.MemoryObjects()
    model = edgecl.Model(settings)
    for taught in (LABELS[:3], LABELS[3:]):
        lesson = edgecl.Lesson.of({label: latents(label, 20, seed=1) for label in taught}, settings)
        outcome = edgecl.learn(model, lesson, objects=objects)
        assert outcome.model is not None
        model = outcome.model
        print(f"taught {', '.join(taught)}: accepted, {outcome.strategy}")
    print(f"accuracy on {len(LABELS)} classes: {accuracy(model, LABELS):.1%}")

    wrong = edgecl.Lesson.of({"red": latents("green", 20, seed=2), "green": latents("red", 20, seed=2)}, settings)
    outcome = edgecl.learn(model, wrong, objects=objects)
    print(f"red and green swapped: accepted {outcome.verdict.accepted}, because {outcome.verdict.reasons[0]}")
    print(f"accuracy of the model that stays: {accuracy(model, LABELS):.1%}")


if __name__ == "__main__":
    main()
