"""Units and numbers: sizes in bytes, what sensors of movement measure in, and numbers of requests."""

from __future__ import annotations

from edgecl.errors import SettingError

UNITS = {"": 1, "B": 1, "KIB": 1024, "KB": 1000, "MIB": 1024**2, "MB": 1000**2, "GIB": 1024**3, "GB": 1000**3}
LARGEST_BYTES = 2**50
# each spelling of a unit of a sensor, in lower case, to the unit
SPELLINGS = {
    **dict.fromkeys(
        ("m/s2", "m/s^2", "m/s**2", "m/s\u00b2", "m/s/s", "ms2", "ms-2", "ms^-2", "m.s-2"),
        "m/s2",
    ),
    **dict.fromkeys(("g", "gs", "g's"), "g"),
    **dict.fromkeys(("mg", "milli-g", "millig"), "mg"),
    **dict.fromkeys(("rad/s", "rad", "rads", "rad/sec"), "rad/s"),
    **dict.fromkeys(("deg/s", "dps", "\u00b0/s", "deg/sec", "degrees/s"), "deg/s"),
}
GRAVITY = {"m/s2": 9.80665, "g": 1.0, "mg": 1000.0}
_ANGLE = {"rad/s": 1.0, "deg/s": 57.29577951308232}


def sensor_unit(text: str) -> str:
    """Return the unit of acceleration or angular rate that a text spells, or nothing.

    >>> sensor_unit("M/S^2"), sensor_unit("dps"), sensor_unit("uT")
    ('m/s2', 'deg/s', '')
    """
    return SPELLINGS.get(text.strip().lower(), "")


def factor_between(unit: str, wanted: str) -> float | None:
    """Return what values in one unit of a sensor are multiplied by to be in another; None where they do not compare.

    >>> factor_between("g", "m/s2"), factor_between("g", "deg/s")
    (9.80665, None)
    """
    return next((one[wanted] / one[unit] for one in (GRAVITY, _ANGLE) if unit in one and wanted in one), None)


def format_bytes(count: int) -> str:
    """Format bytes with a binary unit.

    >>> format_bytes(1536), format_bytes(1 << 20), format_bytes(8_100_000)
    ('1.5 KiB', '1 MiB', '7.7 MiB')
    """
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def parse_bytes(text: str) -> int:
    """Turn "1MiB", "64 KB" or "300000" into bytes.

    Raises
    ------
    SettingError
        On anything else.

    >>> parse_bytes("64 KB")
    64000
    """
    compact = text.replace(" ", "").upper()
    number = compact.rstrip("BIKMG")
    try:
        value = float(number) * UNITS[compact[len(number) :]]
    except (ValueError, KeyError) as error:
        raise SettingError(f"{text!r} is not a size: write it as 300000, 512KiB or 1MiB") from error
    if not 0 < value < LARGEST_BYTES:
        raise SettingError(f"{text!r} is not a size that can be used")
    return int(value)


def whole_number(given: object, parameter: str, *, least: int | None = 0) -> int:
    """Return a whole number as an `int`, which files state, whatever type of number it came in.

    Raises
    ------
    SettingError
        On anything else.

    >>> whole_number(20.0, "max_classes")
    20
    """
    found: object = given
    if hasattr(given, "is_integer") and given.is_integer():
        found = int(given)  # type: ignore[call-overload]  # of a float, and of numpy's numbers
    if not isinstance(found, int) or isinstance(given, bool) or (least is not None and found < least):
        what = "a whole number of bytes, as 1 << 20" if parameter.endswith("_bytes") else "a whole number"
        bound = "" if least is None else f", {least} at least"
        raise SettingError(f"{parameter} {given!r}: wanted {what}{bound}", parameter=parameter)
    return found


def number_of(text: str, *, digits: int = 12) -> int | None:
    """Return a number of ASCII digits; None for another text, and for one of more digits (Python reads some thousands).

    >>> number_of("17"), number_of("\N{SUPERSCRIPT TWO}"), number_of("-1"), number_of("9" * 5000)
    (17, None, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None
