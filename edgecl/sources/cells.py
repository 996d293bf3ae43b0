"""Cells of rows of CSV, line by line: a stray quotation mark costs its own row, and no cell is too long."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

JOINED_LINES = 16  # of one cell in quotation marks
# Numbers below zero as typesetters, accountants and SAP write them: a minus that is none of ASCII, brackets, one behind
_BELOW_ZERO = r"[\u2212\u2013]\s?(?P<sign>[\d.].*)|\((?P<brackets>[\d.].*)\)|(?P<behind>[\d.].*)[-\u2212]"


class Unended(list[str]):
    """Cells of a line that has no end, as the last one of a file that is being written: the last cell may be cut."""


def csv_cells(
    lines: Iterable[str], delimiter: str, *, width: int = 0, joined: int = JOINED_LINES
) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each line that is not empty, with its number; what is no row of CSV has no cells.

    Where the `width` is known, a line that begins as a comment does is a row if it has as many cells as the header, not
    all of them empty after the first; with one column, if no blank follows the mark.

    A cell in quotation marks goes on over at most `joined` lines, where these are one row of `width` cells. Any other
    quotation mark that is not closed, or a carriage return within a line, costs its own line and no other.
    """
    source, number, waiting = iter(lines), 0, deque[str]()
    while (line := waiting.popleft() if waiting else next(source, None)) is not None:
        number += 1
        if joined and line.count('"') % 2:
            waiting.extend(islice(source, max(joined - len(waiting), 0)))
            length, cells = _joined(line, waiting, delimiter, width)
            for _ in range(length):
                waiting.popleft()
            number += length
        else:
            cells = _parsed(line, delimiter)
        if cells is not None and (not width or not is_comment(line) or _is_row(cells, width)):
            yield number, cells if line.endswith(("\n", "\r")) else Unended(cells)


def number_of(text: str) -> float:
    """Return a number from its text; raises ValueError where it is none.

    >>> number_of("1.5"), number_of("(1.5)"), number_of("1.5-"), number_of("\u22121.5")
    (1.5, -1.5, -1.5, -1.5)
    """
    try:
        return float(text)
    except ValueError:
        found = re.fullmatch(_BELOW_ZERO, text.strip())
        if found is None:
            raise
        return -float(found["sign"] or found["brackets"] or found["behind"])


def is_comment(line: str) -> bool:
    """Test whether a line of a table begins as a comment does."""
    return line.startswith(("#", "%", "//"))


def ends_in_delimiter(rows: Collection[list[str]], width: int) -> bool:
    """Test whether most of the first rows have a delimiter after their last cell, which the header has not."""
    return len(rows) > 1 and 2 * sum(without_end(row, width) is not row for row in rows) > len(rows)


def without_end(row: list[str], width: int) -> list[str]:
    """Return a row without the empty cell after the last delimiter; the row itself where there is none."""
    return row[:-1] if len(row) == width + 1 and not row[-1].strip() else row


def _is_row(cells: Sequence[str], width: int) -> bool:
    """Test whether a line that begins as a comment does is a row."""
    if width == 1:
        return len(cells) == 1 and not cells[0].lstrip("#%/")[:1].isspace()
    return len(cells) == width and any(map(str.strip, cells[1:]))


def _joined(line: str, after: Iterable[str], delimiter: str, width: int) -> tuple[int, list[str] | None]:
    """Return how many lines more a row has, and its cells."""
    text = line
    for length, more in enumerate(after, start=1):
        text += more
        if more.count('"') % 2:
            cells = _parsed(text, delimiter)
            return (length, cells) if cells and len(cells) == width else (0, _parsed(line, delimiter))
    return 0, _parsed(line, delimiter)


def _parsed(text: str, delimiter: str) -> list[str] | None:
    """Return the cells of a row: None where it is empty, no cells where it is not CSV, or more than one row."""
    content = text.rstrip("\r\n")
    if not content:
        return None
    if '"' not in content and "\r" not in content:
        return content.split(delimiter)
    try:
        rows = list(csv.reader(io.StringIO(content, newline=""), delimiter=delimiter))
    except csv.Error:
        return []
    return rows[0] if len(rows) == 1 else []
