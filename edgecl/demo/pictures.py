"""Drawn pictures: road signs under weather, each from a few formulas. No camera took them.

A sign is a shape and a mark in road-sign colours, seen turned, shrunk, sheared and off the middle, before a sky, a
ground and blots. Weather is laid over the finished picture.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.sources.samples import Sample

SIZE = 128  # pixels
Field = NDArray[np.float64]
RED, BLUE, YELLOW, WHITE, BLACK, GREEN = (
    (190, 25, 35), (25, 70, 170), (245, 190, 30), (240, 240, 238), (20, 20, 22), (20, 120, 70),
)  # fmt: skip


def _disc(x: Field, y: Field) -> Field:
    return np.asarray(np.hypot(x, y) - 1, np.float64)


def _polygon(corners: int, turn: float = 0.0) -> Callable[[Field, Field], Field]:
    """Return the distance outside of a regular polygon of apothem about 0.85."""
    angles = np.radians(turn) + 2 * np.pi * np.arange(corners) / corners

    def distance(x: Field, y: Field) -> Field:
        sides = np.stack([np.cos(a) * x + np.sin(a) * y for a in angles])
        return np.asarray(sides.max(axis=0) - (0.55 if corners == 3 else 0.85))

    return distance


def _bar(width: float, height: float, x0: float = 0.0, y0: float = 0.0) -> Callable[[Field, Field], Field]:
    return lambda x, y: np.maximum(np.abs(x - x0) - width, np.abs(y - y0) - height)


def _arrow(turn: float) -> Callable[[Field, Field], Field]:
    """Return an arrow; turned by 0 degrees it points up."""
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))

    def distance(x: Field, y: Field) -> Field:
        x, y = c * x + s * y, -s * x + c * y
        shaft = np.maximum(np.abs(x) - 0.12, np.abs(y - 0.1) - 0.5)
        tip = np.maximum(np.abs(x) - 0.67 * (y + 0.7), y + 0.1)
        return np.minimum(shaft, tip)

    return distance


def _across(x: Field, y: Field) -> Field:
    """Return a band across a disc."""
    return np.asarray(np.maximum(np.abs(x + y) - 0.2, _disc(x, y)))


def _any_of(*shapes: Callable[[Field, Field], Field]) -> Callable[[Field, Field], Field]:
    return lambda x, y: np.min([one(x, y) for one in shapes], axis=0)


_OCTAGON, _DIAMOND, _SQUARE = _polygon(8, 22.5), _polygon(4, 45), _polygon(4)
_UP, _DOWN = _polygon(3, 90), _polygon(3, -90)
_LETTER_P = _any_of(
    _bar(0.12, 0.5, -0.2), _bar(0.3, 0.1, 0.0, -0.4), _bar(0.3, 0.1, 0.0, 0.0), _bar(0.1, 0.28, 0.25, -0.2)
)
_EXCLAMATION = _any_of(_bar(0.08, 0.26, 0, 0.0), _bar(0.08, 0.07, 0, 0.42))
_FIVE = _any_of(
    _bar(0.3, 0.08, 0, -0.4), _bar(0.08, 0.2, -0.24, -0.25), _bar(0.3, 0.08, 0, -0.05), _bar(0.08, 0.2, 0.24, 0.15),
    _bar(0.3, 0.08, 0, 0.35),
)  # fmt: skip
Layer = tuple[Callable[[Field, Field], Field], float, tuple[int, int, int]]
# layers from back to front: a shape, its share of the sign's size, its colour
SIGNS: dict[str, tuple[Layer, ...]] = {
    "stop": ((_OCTAGON, 1.0, WHITE), (_OCTAGON, 0.92, RED), (_bar(0.62, 0.16), 1.0, WHITE)),
    "give way": ((_DOWN, 1.0, RED), (_DOWN, 0.6, WHITE)),
    "no entry": ((_disc, 1.0, RED), (_bar(0.68, 0.16), 1.0, WHITE)),
    "priority": ((_DIAMOND, 1.0, WHITE), (_DIAMOND, 0.75, YELLOW)),
    "parking": ((_SQUARE, 1.0, BLUE), (_LETTER_P, 1.0, WHITE)),
    "danger": ((_UP, 1.0, RED), (_UP, 0.68, WHITE), (_EXCLAMATION, 1.0, BLACK)),
    "ahead": ((_disc, 1.0, BLUE), (_arrow(0), 1.0, WHITE)),
    "right": ((_disc, 1.0, BLUE), (_arrow(90), 1.0, WHITE)),
    "limit": ((_disc, 1.0, RED), (_disc, 0.78, WHITE), (_FIVE, 1.0, BLACK)),
    "end": ((_disc, 1.0, WHITE), (_across, 1.0, BLACK)),
}
NEW_SIGNS: dict[str, tuple[Layer, ...]] = {
    "exit": ((_SQUARE, 1.0, GREEN), (_arrow(90), 0.9, WHITE)),
    "works": ((_UP, 1.0, BLACK), (_UP, 0.82, YELLOW), (_bar(0.3, 0.16, 0, 0.25), 1.0, BLACK)),
}


def _night(x: Field, rng: np.random.Generator) -> Field:
    lit = np.linspace(-1, 1, len(x))
    glow = np.exp(-(np.hypot(lit[:, None] - rng.uniform(0, 0.5), lit[None] - rng.uniform(-0.4, 0.4)) ** 2))
    return np.asarray(x * (0.12 + 0.2 * glow[..., None]) + rng.normal(0, 4, x.shape))


def _fog(x: Field, rng: np.random.Generator) -> Field:
    thick = rng.uniform(0.6, 0.78)
    return x * (1 - thick) + 205 * thick


def _rain(x: Field, rng: np.random.Generator) -> Field:
    drops = (rng.random(x.shape[:2]) < 0.012).astype(np.float64)
    streaks = np.max([np.roll(np.roll(drops, step, 0), step // 3, 1) for step in range(9)], axis=0)[..., None]
    return np.asarray(0.72 * x * (1 - 0.55 * streaks) + 190 * 0.55 * streaks)


def _noise(x: Field, rng: np.random.Generator) -> Field:
    return np.asarray(x + rng.normal(0, 42, x.shape))


def _blur(x: Field, rng: np.random.Generator) -> Field:
    length = int(rng.integers(9, 15))
    along = np.mean([np.roll(x, step - length // 2, axis=1) for step in range(length)], axis=0)
    return np.asarray(np.mean([np.roll(along, step, axis=0) for step in range(-2, 3)], axis=0))


def _low_contrast(x: Field, rng: np.random.Generator) -> Field:
    return (x - 128) * rng.uniform(0.15, 0.28) + rng.uniform(100, 150)


WEATHER: dict[str, Callable[[Field, np.random.Generator], Field]] = {
    "clear": lambda x, _rng: x,
    "night": _night,
    "fog": _fog,
    "rain": _rain,
    "noise": _noise,
    "blur": _blur,
    "low contrast": _low_contrast,
}


def picture(name: str, number: int, *, weather: str = "clear") -> NDArray[np.uint8]:
    """Return a drawn picture (128, 128, 3): the same for the same arguments.

    Parameters
    ----------
    name
        Of `SIGNS` or `NEW_SIGNS`.
    number
        Another number is another place, light and background.
    weather
        Of `WEATHER`; the scene below it depends on name and number alone.

    Raises
    ------
    DataError
        There is no such sign or weather.
    """
    return weathered(
        scene(name, number), weather, np.random.default_rng([4, number, zlib.crc32(f"{name} {weather}".encode())])
    )


def scene(name: str, number: int) -> Field:
    """Return what a picture (128, 128, 3) shows before any weather, 0 to 255 and a little beyond; raises DataError."""
    layers = {**SIGNS, **NEW_SIGNS}.get(name)
    if layers is None:
        raise DataError(f"there is no {name!r} in the demo, wanted one of {', '.join([*SIGNS, *NEW_SIGNS])}")
    return _scene(layers, np.random.default_rng([3, number, zlib.crc32(name.encode())]))


def weathered(clear: NDArray[Any], weather: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a picture (height, width, 3), 0 to 255, under one of `WEATHER`; raises DataError."""
    if weather not in WEATHER:
        raise DataError(f"there is no weather {weather!r} in the demo, wanted one of {', '.join(WEATHER)}")
    laid = WEATHER[weather](clear.astype(np.float64), rng)
    return np.asarray(laid.round().clip(0, 255).astype(np.uint8))


def samples(names: Iterable[str], numbers: Iterable[int], *, weather: str = "clear") -> list[Sample]:
    """Return one drawn picture of each name for each number, as signals (16384, 3)."""
    drawn = []
    for name, number in product(names, tuple(numbers)):
        signal = picture(name, number, weather=weather).reshape(-1, 3).astype(np.float32)
        drawn.append(Sample(f"demo/{weather}/{name}/{number}", name, signal, str(number)))
    return drawn


def _scene(layers: tuple[Layer, ...], rng: np.random.Generator) -> Field:
    """Return sky, ground and blots, and before them a sign."""
    v, u = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    scene = _background(u, v, rng)
    turn, size = np.radians(rng.normal(0, 9)), rng.uniform(0.32, 0.7)
    shear, squeeze = rng.normal(0, 0.1), rng.uniform(0.72, 1.05)
    du, dv = u - rng.uniform(-0.3, 0.3), v - rng.uniform(-0.3, 0.25)
    x = (np.cos(turn) * du + np.sin(turn) * dv) / (size * squeeze)
    y = (-np.sin(turn) * du + np.cos(turn) * dv + shear * du) / size
    _lay(scene, np.maximum(np.abs(du) - 0.035, -dv), (120, 122, 125), 1.0)
    fading = rng.uniform(0.65, 1.0)
    for shape, share, colour in layers:
        tint = np.array(colour) * fading + (1 - fading) * 150 + rng.normal(0, 8, 3)
        _lay(scene, share * shape(x / share, y / share) * size, tint, rng.uniform(0.92, 1.0))
    light = rng.uniform(0.6, 1.1) * (1 + 0.25 * rng.normal() * u + 0.15 * rng.normal() * v)
    return np.asarray(scene * light.clip(0.3, 1.4)[..., None] + rng.normal(0, 3, scene.shape))


def _background(u: Field, v: Field, rng: np.random.Generator) -> Field:
    horizon = rng.uniform(-0.2, 0.6)
    sky = np.array((150, 180, 215)) + rng.normal(0, 25, 3)
    ground = np.array(rng.choice([(95, 95, 98), (85, 110, 60), (150, 135, 110)])) + rng.normal(0, 15, 3)
    scene = np.where((v < horizon)[..., None], sky - 25 * v[..., None], ground + 20 * v[..., None])
    for _ in range(int(rng.integers(4, 12))):
        blot = np.hypot((u - rng.uniform(-1, 1)) / rng.uniform(0.6, 2.5), v - rng.normal(horizon, 0.4))
        _lay(scene, blot - rng.uniform(0.05, 0.3), rng.uniform(30, 220, 3), rng.uniform(0.5, 1.0))
    return np.asarray(scene, np.float64)


def _lay(scene: Field, distance: Field, colour: Any, opacity: float) -> None:
    """Paint a shape into a scene where its distance is negative, with an edge of about two pixels."""
    cover = (opacity * (0.5 - distance * SIZE / 4).clip(0, 1))[..., None]
    scene *= 1 - cover
    scene += cover * np.asarray(colour, np.float64)
