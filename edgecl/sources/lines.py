"""Lines of bounded length, their number, and the delimiter of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, AnyStr

from edgecl.errors import DataError
from edgecl.sources.folders import require_file

LONGEST_LINE = 1 << 20  # characters of a row
LONGEST_DOCUMENT = 1 << 26  # bytes of a line that is a whole window
LONGEST_HEADER = 1 << 16  # characters
DELIMITERS = ",;\t|"


def bounded_lines(file: IO[AnyStr], *, limit: int, error: Callable[[int, str], Exception]) -> Iterator[AnyStr]:
    """Yield lines shorter than `limit`, so that no file fills the memory.

    Parameters
    ----------
    error
        The exception to raise at a longer line, from its number and what is wrong with it.
    """
    at_first = min(limit, LONGEST_LINE)
    for number, line in enumerate(iter(lambda: file.readline(at_first), file.readline(0)), start=1):
        if at_first < limit and len(line) == at_first and line[-1:] not in (b"\n", "\n"):
            if not _is_shorter(file, limit - at_first):
                raise error(number, f"line is longer than {limit >> 20} MiB")
            line += file.readline(limit - at_first)
        if len(line) == limit:
            raise error(number, f"line is longer than {limit >> 20} MiB")
        yield line


def _is_shorter(file: IO[AnyStr], limit: int) -> bool:
    """Look whether a line ends within `limit`, a block at a time: to read it takes twice its length of memory."""
    start, left, end = file.tell(), limit, b"\n"
    while left > 0:
        block = file.read(min(left, LONGEST_LINE))
        if not block or end in (block if isinstance(block, bytes) else block.encode()):
            break
        left -= len(block)
    file.seek(start)
    return left > 0


def count_lines(path: Path) -> int:
    """Return the number of line ends.

    Raises
    ------
    DataError
        The file is unreadable.
    """
    try:
        require_file(path)
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error


def guess_delimiter(header: str) -> str:
    """Return the delimiter that occurs most often in the first line of a table.

    >>> guess_delimiter("timestamp;acc_x;acc_y")
    ';'
    """
    return max(DELIMITERS, key=header.count)
