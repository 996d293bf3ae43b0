"""Lines are bounded."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from edgecl.errors import DataError
from edgecl.sources.lines import LONGEST_LINE, bounded_lines
from edgecl.sources.reading import read_samples

from ..support.recordings import WRIST


def test_a_table_without_line_ends_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("timestamp,x,y,z\n" + "1," * (1 << 20))
    with pytest.raises(DataError, match="a line is longer than 1 MiB"):
        read_samples(tmp_path / "t.csv", WRIST)


def lines_of(text: bytes, limit: int) -> list[bytes]:
    return list(bounded_lines(io.BytesIO(text), limit=limit, error=lambda number, why: ValueError(f"{number}: {why}")))


@pytest.mark.parametrize("length", [0, 1, LONGEST_LINE - 2, LONGEST_LINE - 1, LONGEST_LINE, 2 * LONGEST_LINE - 2])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_lines_below_the_limit_come_whole(length: int, end: bytes) -> None:
    text = b"a\n" + b"x" * length + end
    expected = text.splitlines(keepends=True)
    assert lines_of(text + (b"b\n" if end else b""), 2 * LONGEST_LINE) == expected + ([b"b\n"] if end else [])


@pytest.mark.parametrize("limit", [8, 2 * LONGEST_LINE])
def test_a_longer_line_is_an_error_with_its_number(limit: int) -> None:
    with pytest.raises(ValueError, match="2: line is longer"):
        lines_of(b"a\n" + b"x" * limit + b"\nb\n", limit)
