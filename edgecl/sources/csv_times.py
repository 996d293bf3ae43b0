"""Timestamps in CSV files: seconds to nanoseconds, the days of spreadsheets, ISO 8601 or the time of day."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

TIME_UNITS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9, "days": 86400.0}
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds", "d": "days"}
# What loggers call their clock, in the order in which one is taken where there are several.
TIME_NAMES = (
    "timestamp", "time", "ts", "seconds_elapsed", "elapsed", "datetime", "time_stamp", "epoch", "t",
    "uptime", "seconds", "millis", "micros", "zeit", "zeitstempel", "tiempo",
)  # fmt: skip
_UNITS = {"seconds_elapsed": "seconds", "seconds": "seconds", "millis": "milliseconds", "micros": "microseconds"}
_LONGER = re.compile(  # sensor_timestamp, SampleTimeFine, time_since_boot
    r"((sensor|system|unix|epoch|boot|device|utc|host|phone|elapsed|logging|sample|relative|local)[\s_-]?time"
    r"([\s_-]?stamp)?(fine)?|time([\s_-]?stamp)?(?=[\s_-](since|of|from)))([\s_-](since|of|from)[\s_-]?[a-z0-9]+)?"
)
_UNIT_IN_NAME = re.compile(r"[\s_]*[(\[]?(s|sec|seconds|ms|us|\u00b5s|\u03bcs|ns)[)\]]?")
_SPELLINGS = {"sec": "s", "seconds": "s", "\u00b5s": "us", "\u03bcs": "us"}
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d):([0-5]\d(?:[.,]\d+)?)")
# Numbers below the first are seconds of any age, below the second milliseconds since 1970, and so on.
_EPOCH_BORDERS = {"seconds": 1e11, "milliseconds": 1e14, "microseconds": 1e17, "nanoseconds": math.inf}


def time_name(column: str) -> tuple[int, str] | None:
    """Return the rank of a column among those of times and the unit in its name; None for another column.

    >>> time_name("time (ms)"), time_name("acc_x")
    ((1, 'milliseconds'), None)
    """
    for rank, name in enumerate(TIME_NAMES):
        if column.startswith(name) and (unit := _unit_after(column, len(name))) is not None:
            return rank, unit or _UNITS.get(name, "")
    longer = _LONGER.match(column)
    if longer and (unit := _unit_after(column, longer.end())) is not None:
        return len(TIME_NAMES), unit
    return None


def _unit_after(column: str, end: int) -> str | None:
    """Return the unit that the rest of a column's name states, "" where nothing is left; None: it is another name."""
    if end == len(column):
        return ""
    found = _UNIT_IN_NAME.fullmatch(column, end)
    return UNIT_NAMES[_SPELLINGS.get(found[1], found[1])] if found else None


def guess_unit(first: float, step: float, wanted_hz: float) -> str:
    """Return the unit that makes the rate nearly right; failing that, the one that makes the first a recent date."""
    for unit, scale in TIME_UNITS.items():
        if 0.1 <= step * scale * wanted_hz <= 10:
            return unit
    return next(unit for unit, border in _EPOCH_BORDERS.items() if abs(first) < border)


def time_or_none(text: str, delimiter: str, *, iso: bool) -> float | None:
    """Return the time as a number; ISO times without a zone are taken as UTC, a time of day as its seconds."""
    try:
        if iso and (clock := _CLOCK.fullmatch(text.strip())):
            return 3600 * int(clock[1]) + 60 * int(clock[2]) + float(clock[3].replace(",", "."))
        if iso:
            moment = datetime.fromisoformat(text.strip())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        number = float(text if delimiter == "," else text.replace(",", "."))
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def is_number(text: str, delimiter: str) -> bool:
    return time_or_none(text, delimiter, iso=False) is not None
