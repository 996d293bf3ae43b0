"""Sizes in bytes: formatted and parsed."""

from __future__ import annotations

from edgecl.errors import SettingError

UNITS = {"": 1, "B": 1, "KIB": 1024, "KB": 1000, "MIB": 1024**2, "MB": 1000**2, "GIB": 1024**3, "GB": 1000**3}
LARGEST_BYTES = 2**50


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
