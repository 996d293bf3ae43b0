"""Columns of measurements by what their names state: the kind of sensor, the axis and the unit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from edgecl.errors import DataError
from edgecl.units import SPELLINGS, factor_between, sensor_unit

_KINDS = {
    "gyr": "gyro",
    "rotation": "gyro",
    "omega": "gyro",
    "mag": "mag",
    "acc": "acc",
    "grav": "grav",
    "angular": "gyro",
}
_SEPARATORS = re.compile(r"[\s_.-]+")
_SENSORS = frozenset(_KINDS.values())
_SUFFIXES = "|".join(re.escape(one) for one in SPELLINGS)
_UNIT = re.compile(rf"[(\[].*?[)\]]|(?<=[xyz])[\s_.-]+({_SUFFIXES}|ut)$")


def other_unit(name: str, unit: str) -> tuple[str, float] | None:
    """Return the unit that a column's name states and the factor to `unit`, where that is another one.

    >>> other_unit("accelerometer x (g)", "m/s2"), other_unit("gyro_x_dps", "deg/s")
    (('g', 9.80665), None)
    """
    found = _UNIT.search(name.lower().strip())
    stated, wanted = sensor_unit(found[0].strip(" _.-()[]") if found else ""), sensor_unit(unit)
    factor = None if stated == wanted else factor_between(stated, wanted)
    return None if factor is None else (stated, factor)


def channel_columns(
    path: Path, names: list[str], left: list[int], wanted: list[str], settled: Mapping[str, str]
) -> list[int]:
    """Return the column of each channel: as settled, by name, by axis, or by order where no axis is named.

    Parameters
    ----------
    names
        Of all columns, in lower case.
    left
        Columns that may be channels.
    wanted
        Names of the channels, in lower case.
    settled
        Column of each channel, by its name, where the user has said so.

    Raises
    ------
    DataError
        When there are too few or too many, or they are another sensor's, or not all of those in `settled` are there.
    """
    place = {name: column for column, name in enumerate(names)}
    settled = {channel.lower(): name.lower() for channel, name in settled.items()}
    if unknown := [name for name in settled if name not in wanted]:
        raise DataError(f"{unknown[0]} is no channel, only {', '.join(wanted)}", parameter="columns")
    chosen = [settled.get(name, name) for name in wanted]
    if settled or all(name in place for name in chosen):
        return [named_column(path, place, name, "columns") for name in chosen]
    given = [names[column] for column in left]
    found = found_by_axis(given, wanted)
    if found is None:
        found = found_by_spelling(given, wanted)
    if found is not None:
        return [left[index] for index in found]
    is_smaller = 3 <= len(left) < len(wanted) and all(map(_key, wanted))  # no gyroscope, which no choice makes up for
    if len(left) != len(wanted) or found_by_axis(wanted, given, is_axis_known=True) is not None:
        raise DataError(
            f"{path} has {len(left)} columns of measurements ({', '.join(given)}), "
            f"the extractor takes {len(wanted)} ({', '.join(wanted)})",
            parameter="" if is_smaller else "columns",
            remedy="like" if is_smaller else "",
        )
    lacking = [name for name in wanted if name not in given]
    if len(lacking) < len(wanted):  # where some have the extractor's names, the others are not what is lacking
        others = ", ".join(name for name in given if name not in wanted)
        raise DataError(
            f"{path}: there is no column {', '.join(lacking)}, and {others} is none that the extractor takes",
            parameter="columns",
        )
    return left


def named_column(path: Path, place: Mapping[str, int], name: str, parameter: str) -> int:
    """Return the place of a column that the user has named; raises DataError where there is none."""
    if name.lower() not in place:
        raise DataError(f"{path} has no column {name}, only {', '.join(place)}", parameter=parameter)
    return place[name.lower()]


def found_by_axis(names: list[str], wanted: list[str], *, is_axis_known: bool = False) -> list[int] | None:
    """Return the index among `names` of each wanted channel, by sensor and axis; None where that does not settle all.

    Parameters
    ----------
    is_axis_known
        Return an empty list as soon as any name states an axis or a sensor that contradicts the order.

    >>> found_by_axis(["accel_z", "accel_y", "accel_x"], ["x", "y", "z"])
    [2, 1, 0]
    """
    given, asked = [_key(name) for name in names], [_key(name) for name in wanted]
    if is_axis_known:
        pairs = zip(given, asked, strict=False)
        return [] if any(one and other and _contradict(one, other) for one, other in pairs) else None
    if None in asked or len(set(asked)) < len(asked):
        return None
    has_kinds = any(one and one[0] for one in asked)
    keys = given if has_kinds else [one and ("", one[1]) for one in given]
    if any(keys.count(one) != 1 for one in asked):
        return None
    return [keys.index(one) for one in asked]


def found_by_spelling(names: list[str], wanted: list[str]) -> list[int] | None:
    """Return the index among `names` of each wanted one in other separators, or where all have one prefix; else None.

    >>> found_by_spelling(["data.hour of day", "data.amount"], ["amount", "hour_of_day"])
    [1, 0]
    """
    given, asked = ([_SEPARATORS.sub("", name) for name in some] for some in (names, wanted))
    prefixes = {""}
    if len(names) == len(wanted) > 1:
        prefixes |= {one.removesuffix(asked[0]) for one in given if one.endswith(asked[0])}
    whole = [[one + name for name in asked] for one in prefixes]
    found = [names for names in whole if all(given.count(name) == 1 for name in names)]
    return [given.index(name) for name in found[0]] if len(found) == 1 else None


def _contradict(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Test whether two names state different axes, or different sensors."""
    return one[1] != other[1] or (one[0] != other[0] and {one[0], other[0]} <= _SENSORS)


def _key(name: str) -> tuple[str, str] | None:
    """Return sensor and axis of a name; None where it ends in no axis."""
    text = _UNIT.sub("", name.lower()).strip(" _.-")
    if not text or text[-1] not in "xyz":
        return None
    before = text[:-1]
    kind = next((kind for part, kind in _KINDS.items() if part in before), before.strip(" _.-"))
    return {"a": "acc", "w": "gyro", "g": "gyro", "m": "mag"}.get(kind, kind), text[-1]
