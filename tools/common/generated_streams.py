"""Streams of rows that are made up, with drift at known places: SEA, a rotating hyperplane, moving clusters, concepts
that come back, rules about loans.

Every stream is a function of its seed: (n, p) float32 rows and n labels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

ROWS = 20_000
NOISE = 0.1  # share of labels that are drawn at random

Stream = tuple[NDArray[np.float32], list[str]]


def sea(seed: int, rows: int = ROWS) -> Stream:
    """Two of three columns count, and the sum that divides the classes changes three times (Street and Kim 2001)."""
    draw = np.random.default_rng([seed, 1])
    x = draw.uniform(0, 10, (rows, 3))
    threshold = np.array([8.0, 9.0, 7.0, 9.5])[np.arange(rows) * 4 // rows]
    return _labelled(draw, x, (x[:, 0] + x[:, 1] <= threshold).astype(int), 2)


def hyperplane(seed: int, rows: int = ROWS, columns: int = 10) -> Stream:
    """A plane through a cube that turns a little at every row (Hulten, Spencer and Domingos 2001)."""
    draw = np.random.default_rng([seed, 2])
    x = draw.uniform(0, 1, (rows, columns))
    start, speed = draw.uniform(0, 1, columns), draw.choice([-1, 1], columns) * 1e-3 * (np.arange(columns) < 5)
    weights = start + speed * np.arange(rows)[:, None]
    return _labelled(draw, x, ((weights * (x - 0.5)).sum(axis=1) > 0).astype(int), 2)


def clusters(seed: int, rows: int = ROWS, columns: int = 10, classes: int = 4, centres: int = 20) -> Stream:
    """Round clusters of several classes, which drift through a cube (the random RBF generator of MOA)."""
    draw = np.random.default_rng([seed, 3])
    place = draw.uniform(0, 1, (centres, columns))
    step = draw.normal(size=(centres, columns))
    step *= 1e-3 / np.linalg.norm(step, axis=1, keepdims=True)
    label, width = np.arange(centres) % classes, draw.uniform(0.02, 0.12, centres)
    chosen = draw.integers(centres, size=rows)
    moved = place[chosen] + step[chosen] * np.arange(rows)[:, None]
    folded = 1 - np.abs(1 - np.mod(moved, 2))  # clusters turn round at the walls
    x = folded + draw.normal(size=(rows, columns)) * width[chosen, None]
    return _labelled(draw, x, label[chosen], classes, noise=0.0)


def recurring(seed: int, rows: int = ROWS, columns: int = 6) -> Stream:
    """Three concepts, each a random rule of two pieces, in turn, each twice."""
    draw = np.random.default_rng([seed, 4])
    x = draw.normal(size=(rows, columns))
    planes = draw.normal(size=(3, 2, columns))
    side = np.einsum("ni,kji->nkj", x, planes) > 0
    concept = (np.arange(rows) * 6 // rows) % 3
    return _labelled(draw, x, (side[:, :, 0] ^ side[:, :, 1])[np.arange(rows), concept].astype(int), 2)


def steps(seed: int, rows: int = ROWS) -> Stream:
    """Three concepts of axis-parallel rules (the STAGGER concepts, on numbers), changed abruptly."""
    draw = np.random.default_rng([seed, 5])
    x = draw.uniform(0, 1, (rows, 5))
    small, red, round_ = x[:, 0] < 0.4, x[:, 1] < 0.4, x[:, 2] < 0.4
    concepts = np.stack([small & red, red | round_, ~small], axis=1)
    return _labelled(draw, x, concepts[np.arange(rows), np.arange(rows) * 3 // rows].astype(int), 2)


def loans(seed: int, rows: int = ROWS) -> Stream:
    """Three of six rules about who gets a loan, by ranges of up to three of nine columns (Agrawal et al. 1993).

    The rules are functions 1 to 6 of the paper, three in turn by the seed, changed abruptly.
    """
    draw = np.random.default_rng([seed, 7])
    salary, age = draw.uniform(20e3, 150e3, rows), draw.uniform(20, 80, rows)
    commission = np.where(salary >= 75e3, 0, draw.uniform(10e3, 75e3, rows))
    education, car, area = (draw.integers(low, high, rows) for low, high in ((0, 5), (1, 21), (0, 9)))
    house = draw.uniform(0.5, 1.5, rows) * (9 - area) * 100e3
    years, loan = draw.uniform(1, 30, rows), draw.uniform(0, 500e3, rows)
    x = np.stack([salary, commission, age, education, car, area, house, years, loan], axis=1)
    stage = np.digitize(age, (40, 60))

    def between(value: NDArray[np.float64], lows: tuple[float, ...], width: float = 50e3) -> NDArray[np.bool_]:
        """Test a value against the range that belongs to the age."""
        low = np.array(lows)[stage]
        return (low <= value) & (value <= low + width)

    taught = (education >= np.array([0, 1, 2])[stage]) & (education <= np.array([1, 3, 4])[stage])
    usual = (50e3, 75e3, 25e3)
    paid = between(salary, usual)
    rules = (
        stage != 1,
        paid,
        taught,
        np.where(taught, between(salary, (25e3, 50e3, 50e3)), paid),
        np.where(paid, between(loan, (100e3, 200e3, 300e3), 200e3), between(loan, (200e3, 300e3, 100e3), 200e3)),
        between(salary + commission, usual),
    )
    concepts = np.stack([rules[(seed + at) % len(rules)] for at in range(3)], axis=1)
    return _labelled(draw, x, concepts[np.arange(rows), np.arange(rows) * 3 // rows].astype(int), 2)


def _labelled(
    draw: np.random.Generator, x: NDArray[np.float64], y: NDArray[np.int_], classes: int, noise: float = NOISE
) -> Stream:
    stray = draw.random(len(y)) < noise
    y = np.where(stray, draw.integers(classes, size=len(y)), y)
    return x.astype(np.float32), [f"class {one}" for one in y]


GENERATORS: dict[str, Callable[..., Stream]] = {
    "SEA": sea,
    "hyperplane": hyperplane,
    "clusters": clusters,
    "recurring": recurring,
    "steps": steps,
    "loans": loans,
}
