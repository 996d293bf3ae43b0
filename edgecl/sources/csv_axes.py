"""Columns of movement by what their names state: the kind of sensor and the axis."""

from __future__ import annotations

import re

_KINDS = {"gyr": "gyro", "rotation": "gyro", "omega": "gyro", "mag": "mag", "acc": "acc", "grav": "grav"}
_UNIT = re.compile(r"[(\[].*?[)\]]|(?<=[xyz])[\s_.-]+(g|ms2|m/s2|m/s\^2|rad|rad/s|dps|deg/s|ut)$")
_AXIS = re.compile(r"(?:^|[^a-z]|[a-z]*?)([xyz])$")


_SAME = {
    **dict.fromkeys(("m/s2", "m/s^2", "m/s\u00b2", "ms2", "ms-2", "m/s/s"), "m/s2"),
    **dict.fromkeys(("g", "gs", "g's"), "g"),
    **dict.fromkeys(("rad/s", "rad", "rads", "rad/sec"), "rad/s"),
    **dict.fromkeys(("deg/s", "dps", "\u00b0/s", "deg/sec", "degrees/s"), "deg/s"),
}
FACTORS = {
    ("g", "m/s2"): 9.80665,
    ("m/s2", "g"): 1 / 9.80665,
    ("deg/s", "rad/s"): 0.0174533,
    ("rad/s", "deg/s"): 57.2958,
}


def other_unit(name: str, unit: str) -> tuple[str, float] | None:
    """Return the unit that a column's name states and the factor to `unit`, where that is another one.

    >>> other_unit("accelerometer x (g)", "m/s2"), other_unit("gyro_x_dps", "deg/s")
    (('g', 9.80665), None)
    """
    found = _UNIT.search(name.lower().strip())
    stated = _SAME.get(found[0].strip(" _.-()[]")) if found else None
    wanted = _SAME.get(unit.lower())
    if stated is None or wanted is None or (stated, wanted) not in FACTORS:
        return None
    return stated, FACTORS[stated, wanted]


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
