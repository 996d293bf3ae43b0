"""Pictures of ten classes under seven kinds of weather, and their latents.

`signs` are the road signs that edgecl draws itself; `digits` are the 1,797 handwritten digits of scikit-learn (8 by 8
pixels), widened and laid under the same weather. No package was found that brings CIFAR-10 or other photos.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgecl.demo.pictures import SIGNS, SIZE, WEATHER, scene, weathered
from edgecl.extractors.base import FileExtractor

TAUGHT, ASKED = 20, 20  # pictures of each class under each weather; no scene is under two
DOMAINS = tuple(WEATHER)
Draw = Callable[[int, int, str], NDArray[np.uint8]]


@dataclass(frozen=True)
class Part:
    """Latents (n, D) and classes (n,) of one weather."""

    x: NDArray[np.float32]
    y: NDArray[np.intp]


@dataclass(frozen=True)
class PictureSet:
    """A set by weather."""

    name: str
    classes: tuple[str, ...]
    taught: dict[str, Part]
    asked: dict[str, Part]
    whole: dict[int, tuple[Part, Part]]
    """Clear pictures, taught and asked, by the columns of another extractor."""


@lru_cache(maxsize=4000)
def _scene(label: int, number: int) -> NDArray[np.float32]:
    return scene(tuple(SIGNS)[label], number).astype(np.float32)


def sign(label: int, number: int, weather: str) -> NDArray[np.uint8]:
    """Return a drawn sign; its scene is drawn once for all weather."""
    return weathered(_scene(label, number), weather, np.random.default_rng([6, label, number, DOMAINS.index(weather)]))


def digits() -> Draw:
    """Return what draws a handwritten digit under weather, in an order of its own."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    rows = {label: [row for row in order if found.target[row] == label] for label in range(10)}

    def drawn(label: int, number: int, weather: str) -> NDArray[np.uint8]:
        row = rows[label][number % len(rows[label])]
        grey = _widened(found.images[row] * (255 / 16))
        scene = np.repeat(grey[..., None], 3, axis=2)
        return weathered(scene, weather, np.random.default_rng([5, label, number]))

    return drawn


def _widened(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a picture (8, 8) as (128, 128), by straight lines between its pixels."""
    at = (np.arange(SIZE) + 0.5) * len(grey) / SIZE - 0.5
    rows = np.stack([np.interp(at, np.arange(len(grey)), row) for row in grey])
    return np.stack([np.interp(at, np.arange(len(grey)), column) for column in rows.T], axis=1)


def read(name: str, extractor: FileExtractor, others: dict[int, FileExtractor]) -> PictureSet:
    """Return a set through an extractor, and its clear pictures through others."""
    draw = {"signs": lambda: sign, "digits": digits}[name]()
    classes = tuple(SIGNS) if name == "signs" else tuple(map(str, range(10)))
    taught, asked = {}, {}
    for index, weather in enumerate(DOMAINS):
        first = index * TAUGHT
        taught[weather] = _part(draw, extractor, range(first, first + TAUGHT), weather)
        # the same scenes under every weather are asked for, and none of them is taught
        held = len(DOMAINS) * TAUGHT
        asked[weather] = _part(draw, extractor, range(held, held + ASKED), weather)
    held = len(DOMAINS) * TAUGHT
    whole = {
        columns: (
            _part(draw, other, range(4 * TAUGHT), "clear"),
            _part(draw, other, range(held, held + ASKED), "clear"),
        )
        for columns, other in {extractor.contract.dimension: extractor, **others}.items()
    }
    return PictureSet(name, classes, taught, asked, whole)


def _part(draw: Draw, extractor: FileExtractor, numbers: range, weather: str) -> Part:
    latents, labels = [], []
    for label in range(10):
        for number in numbers:
            signal = draw(label, number, weather).reshape(-1, 3).astype(np.float32)
            latents.append(extractor.latents([signal]))
            labels.append(label)
    return Part(np.concatenate(latents), np.array(labels))
