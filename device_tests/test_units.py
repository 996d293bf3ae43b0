"""Sizes in bytes, read and written."""

from __future__ import annotations

import pytest

from edgecl.errors import SettingError
from edgecl.units import format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("300000", 300000),
        ("512KiB", 524288),
        ("1 MiB", 1 << 20),
        ("64kb", 64000),
        ("1.5MiB", 1572864),
        ("2GiB", 2 << 30),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "lots", "-1MiB", "0", "1XB", "nan", "inf", "1e99"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="size"):
        parse_bytes(text)


def test_sizes_are_written_short() -> None:
    assert [format_bytes(one) for one in (0, 900, 1536, 1 << 20, 5 << 30)] == [
        "0 B",
        "900 B",
        "1.5 KiB",
        "1 MiB",
        "5 GiB",
    ]
