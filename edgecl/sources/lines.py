"""Lines of bounded length."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import IO

LONGEST_LINE = 1 << 20  # characters


def bounded_lines(file: IO[str]) -> Iterator[str]:
    """Lines of a bounded length: a file without line ends must not fill the memory."""
    for line in iter(lambda: file.readline(LONGEST_LINE), ""):
        if len(line) == LONGEST_LINE:
            raise csv.Error(f"a line is longer than {LONGEST_LINE >> 20} MiB")
        yield line
