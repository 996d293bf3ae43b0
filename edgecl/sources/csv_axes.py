"""Columns of movement by what their names state: the kind of sensor and the axis."""

from __future__ import annotations

import re

_KINDS = {"gyr": "gyro", "rotation": "gyro", "omega": "gyro", "mag": "mag", "acc": "acc", "grav": "grav"}
_UNIT = re.compile(r"[(\[].*?[)\]]|(?<=[xyz])[\s_.-]+(g|ms2|m/s2|m/s\^2|rad|rad/s|dps|deg/s|ut)$")
_AXIS = re.compile(r"(?:^|[^a-z]|[a-z]*?)([xyz])$")


def found_by_axis(names: list[str], wanted: list[str], *, is_axis_known: bool = False) -> list[int] | None:
    """Return the index among `names` of each wanted channel, by sensor and axis; None where that does not settle all.

    Parameters
    ----------
    is_axis_known
        Return an empty list as soon as any name states an axis that contradicts the order.

    >>> found_by_axis(["accel_z", "accel_y", "accel_x"], ["x", "y", "z"])
    [2, 1, 0]
    """
    given, asked = [_key(name) for name in names], [_key(name) for name in wanted]
    if is_axis_known:
        pairs = zip(given, asked, strict=False)
        return [] if any(one and other and one[1] != other[1] for one, other in pairs) else None
    if None in asked or len(set(asked)) < len(asked):
        return None
    has_kinds = any(one and one[0] for one in asked)
    keys = given if has_kinds else [one and ("", one[1]) for one in given]
    if any(keys.count(one) != 1 for one in asked):
        return None
    return [keys.index(one) for one in asked]


def _key(name: str) -> tuple[str, str] | None:
    """Return sensor and axis of a name; None where it ends in no axis."""
    text = _UNIT.sub("", name.lower()).strip(" _.-")
    if not text or text[-1] not in "xyz":
        return None
    before = text[:-1]
    kind = next((kind for part, kind in _KINDS.items() if part in before), before.strip(" _.-"))
    return {"a": "acc", "w": "gyro", "g": "gyro", "m": "mag"}.get(kind, kind), text[-1]
