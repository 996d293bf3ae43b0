"""Card payments that are made up: classic patterns of fraud that persist, new ones that appear and go."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

COLUMNS = ("amount", "hour", "minutes", "distance", "abroad", "card_present", "merchant_days", "last_hour")
FAIR = "fair"
CLASSIC = ("stolen card", "card test")
# a pattern and the share of the stream at which it appears and goes
NEW = (("gift cards", 0.2, 0.45), ("young merchants", 0.45, 0.7), ("night refunds", 0.7, 0.95))


def fraud_stream(
    rows: int, *, one_in: int = 500, missing: float = 0.0, seed: int = 0
) -> tuple[NDArray[np.float64], list[str], NDArray[np.bool_]]:
    """Make rows (n, 8), the pattern of each, and whether its label ever comes.

    Half of the fraud is of a new pattern while there is one.
    """
    draw = np.random.default_rng([seed, 500])
    patterns = []
    for at in range(rows):
        if draw.random() >= 1 / one_in:
            patterns.append(FAIR)
            continue
        new = [name for name, first, last in NEW if first <= at / rows < last]
        patterns.append(new[0] if new and draw.random() < 0.5 else CLASSIC[draw.integers(2)])
    values = np.array([_payment(draw, pattern) for pattern in patterns]).reshape(rows, len(COLUMNS))
    return values, patterns, draw.random(rows) >= missing


def _payment(draw: np.random.Generator, pattern: str) -> list[float]:
    """Draw one payment; a pattern changes some columns of a fair one."""
    fair = {
        "amount": float(draw.lognormal(3.2, 0.9)),
        "hour": float(np.clip(draw.normal(14, 4.5), 0, 23.9)),
        "minutes": float(draw.exponential(600)),
        "distance": float(draw.exponential(8)),
        "abroad": float(draw.random() < 0.04),
        "card_present": float(draw.random() < 0.7),
        "merchant_days": float(draw.exponential(1500)),
        "last_hour": float(draw.poisson(0.3)),
    }
    values = {**fair, **(_CHANGES[pattern](draw) if pattern != FAIR else {})}
    return [values[name] for name in COLUMNS]


_CHANGES: dict[str, Callable[[np.random.Generator], dict[str, float]]] = {
    "stolen card": lambda draw: {
        "amount": float(draw.lognormal(5.0, 0.5)),
        "abroad": float(draw.random() < 0.9),
        "distance": float(draw.exponential(900)),
    },
    "card test": lambda draw: {
        "amount": float(draw.uniform(0.5, 3)),
        "minutes": float(draw.exponential(2)),
        "card_present": 0.0,
        "last_hour": float(2 + draw.poisson(3)),
    },
    "gift cards": lambda draw: {
        "amount": float(draw.choice([50, 100, 200]) * draw.uniform(0.99, 1.01)),
        "card_present": 0.0,
        "minutes": float(draw.exponential(15)),
    },
    "young merchants": lambda draw: {"merchant_days": float(draw.uniform(0, 20)), "card_present": 0.0},
    "night refunds": lambda draw: {
        "hour": float(draw.uniform(1, 4)),
        "amount": float(draw.lognormal(4.2, 0.4)),
        "distance": float(draw.exponential(1)),
    },
}
