"""Pictures of ten classes under seven kinds of weather, and their latents.

`signs` are the road signs that edgecl draws itself; `digits` are the 1,797 handwritten digits of scikit-learn (8 by 8
pixels), widened and laid under the same weather. No package was found that brings CIFAR-10 or other photos.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import edgecl.demo.pictures
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


def read(name: str, extractor: FileExtractor, others: dict[int, FileExtractor], *, cache: Path) -> PictureSet:
    """Return a set through an extractor, and its clear pictures through others; latents are kept in `cache`."""
    draw = {"signs": lambda: sign, "digits": digits}[name]()
    classes = tuple(SIGNS) if name == "signs" else tuple(map(str, range(10)))
    held = len(DOMAINS) * TAUGHT  # the same scenes under every weather are asked for, and none of them is taught
    asked_numbers = range(held, held + ASKED)
    taught, asked = {}, {}
    for index, weather in enumerate(DOMAINS):
        numbers = range(index * TAUGHT, (index + 1) * TAUGHT)
        taught[weather] = _kept(cache, f"{name} {weather} taught", draw, extractor, numbers, weather)
        asked[weather] = _kept(cache, f"{name} {weather} asked", draw, extractor, asked_numbers, weather)
    whole = {
        columns: (
            _kept(cache, f"{name} clear whole", draw, other, range(4 * TAUGHT), "clear"),
            _kept(cache, f"{name} clear asked", draw, other, asked_numbers, "clear"),
        )
        for columns, other in others.items()
    }
    return PictureSet(name, classes, taught, asked, whole)


def _kept(cache: Path, what: str, draw: Draw, extractor: FileExtractor, numbers: range, weather: str) -> Part:
    """Return latents from the cache where extractor and drawing are the same, else compute and keep them."""
    drawing = Path(edgecl.demo.pictures.__file__).read_bytes() + Path(__file__).read_bytes()
    key = hashlib.sha256(drawing + extractor.digest.encode() + what.encode()).hexdigest()[:16]
    file = cache / f"{what.replace(' ', '-')}-{key}.npz"
    if not file.exists():
        part = _part(draw, extractor, numbers, weather)
        np.savez(file.with_suffix(".part.npz"), x=part.x, y=part.y)
        file.with_suffix(".part.npz").replace(file)
    with np.load(file) as arrays:
        return Part(arrays["x"], arrays["y"])


def _part(draw: Draw, extractor: FileExtractor, numbers: range, weather: str) -> Part:
    latents, labels = [], []
    for label in range(10):
        for number in numbers:
            signal = draw(label, number, weather).reshape(-1, 3).astype(np.float32)
            latents.append(extractor.latents([signal]))
            labels.append(label)
    return Part(np.concatenate(latents), np.array(labels))
