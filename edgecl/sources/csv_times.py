"""Timestamps in CSV files: their unit, seconds to nanoseconds or ISO 8601."""

from __future__ import annotations

import math
from datetime import UTC, datetime

TIME_UNITS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
# Numbers below the first are seconds of any age, below the second milliseconds since 1970, and so on.
_EPOCH_BORDERS = {"seconds": 1e11, "milliseconds": 1e14, "microseconds": 1e17, "nanoseconds": math.inf}


def guess_unit(first: float, step: float, wanted_hz: float) -> str:
    """Return the unit that makes the rate nearly right; failing that, the one that makes the first a recent date."""
    for unit, scale in TIME_UNITS.items():
        if 0.1 <= step * scale * wanted_hz <= 10:
            return unit
    return next(unit for unit, border in _EPOCH_BORDERS.items() if abs(first) < border)


def time_or_none(text: str, delimiter: str, *, iso: bool) -> float | None:
    """Return the time as a number; ISO times without a zone are taken as UTC."""
    try:
        if iso:
            moment = datetime.fromisoformat(text.strip())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        number = float(text if delimiter == "," else text.replace(",", "."))
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def is_number(text: str, delimiter: str) -> bool:
    return time_or_none(text, delimiter, iso=False) is not None
