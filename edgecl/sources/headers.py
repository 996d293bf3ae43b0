"""The line of column names: where it is, and where it comes again in files that were put one behind the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import IO, NamedTuple

from edgecl.errors import DataError
from edgecl.sources.cells import JOINED_LINES, csv_cells, is_comment, without_end
from edgecl.sources.csv_times import is_number
from edgecl.sources.labels import valid_text
from edgecl.sources.lines import LONGEST_HEADER, guess_delimiter

FEWEST_KNOWN = 3  # names in a row by which it is another header
FEWEST_CELLS = 3  # of a line with a title, which spreadsheets fill up to the width of the table
MOST_TITLES = 8  # lines of titles above the names


class Header(NamedTuple):
    """The line of column names."""

    line: str
    delimiter: str
    rows: list[str]
    """The first row, where it had to be read to see that the names are in a comment before it."""
    before: int
    """Lines before the first row."""


def header_line(file: Iterator[str] | IO[str]) -> Header:
    """Return the line of column names; comments, empty lines, titles of a spreadsheet and Excel's `sep=;` come before.

    `numpy.savetxt` writes the names as a comment, and rows follow at once: a comment of as many cells, none of them a
    number, before a line that has one. The first name may be empty: the mark stands for it in `#,price`.
    """
    delimiter, comment, before, titles = "", "", 0, list[str]()
    read = getattr(file, "readline", None)
    while line := read(LONGEST_HEADER) if read else next(iter(file), ""):
        before += 1
        text = line.strip().strip('"')
        if text.lower().startswith("sep=") and len(text) <= 5:
            delimiter = text[4:] or "\t"
        elif text and is_comment(line):
            comment = line.lstrip("#%/ \t")
        elif text:
            found = delimiter or guess_delimiter(line)
            if _is_title(line, found) and len(titles) < MOST_TITLES:
                titles.append(line)
                continue
            if len(titles) == MOST_TITLES:
                break
            if _names_columns(comment, line, found):
                return Header(comment, found, [line], before - 1)
            return Header(line, found, [], before)
    if titles:  # and nothing else: a table of one column
        rows = [one for one in (*titles[1:], line) if one]
        return Header(titles[0], delimiter or guess_delimiter(titles[0]), rows, before - len(rows))
    return Header("", ",", [], before)


def _is_title(line: str, delimiter: str) -> bool:
    """Test whether a line has a title in its first cell, or nothing, and nothing in the others."""
    cells = line.split(delimiter)
    return len(cells) >= FEWEST_CELLS and not any(map(str.strip, cells[1:]))


def _names_columns(comment: str, line: str, delimiter: str) -> bool:
    """Test whether a comment has the names of the columns of a line, which is a row."""
    names, cells = comment.strip().split(delimiter), line.split(delimiter)
    if len(cells) < 2 or len(names) != len(cells) or not any(is_number(cell, delimiter) for cell in cells):
        return False
    return all(map(str.strip, names[1:])) and not any(is_number(name, delimiter) for name in names)


def rows_below(
    header: Header,
    lines: Iterator[str],
    names: Sequence[str],
    source: object,
    *,
    joined: int = JOINED_LINES,
    has_end: bool = False,
) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of the rows below a header with their lines in the file, as `csv_cells`, `without_headers`.

    With `has_end` an empty cell after the last delimiter is dropped.
    """
    found = csv_cells(chain(header.rows, lines), header.delimiter, width=len(names), joined=joined)
    rows = ((header.before + at, without_end(row, len(names)) if has_end else row) for at, row in found)
    return without_headers(rows, names, source)


def without_headers(
    rows: Iterator[tuple[int, list[str]]], names: Sequence[str], source: object
) -> Iterator[tuple[int, list[str]]]:
    """Pass rows with their lines; drop the header where it comes again.

    Parameters
    ----------
    names
        Of the columns, in lower case.
    source
        Name of the file, for the message.

    Raises
    ------
    DataError
        The columns are named again, in another order or with other names: what follows would be read under wrong ones.
    """
    known = {name for name in names if name}
    for number, cells in rows:
        if known.isdisjoint([cell.strip().lower() for cell in cells[-2:]]) or not _is_header(cells, names, known):
            yield number, cells
        elif (again := _again(cells)) != list(names):
            raise DataError(
                f"{source}: line {number} names the columns again, as {', '.join(again)}, and the first line as "
                f"{', '.join(names)}: cut the file in two there"
            )


def _is_header(cells: Sequence[str], names: Sequence[str], known: set[str]) -> bool:
    """Test whether a row is the header again, whatever the order, or another header of mostly the same names."""
    if len(cells) < 2:
        return False
    again = _again(cells)
    if sorted(again) == sorted(names):
        return True
    found = known.intersection(again)
    return len(found) >= FEWEST_KNOWN and 2 * len(found) > len(cells) and len(set(again)) == len(again)


def _again(cells: Sequence[str]) -> list[str]:
    """Return a row as names of columns; a mark of UTF-8 or of a comment may come before."""
    return plain_names([cells[0].lstrip("\ufeff#%/ "), *cells[1:]])


def plain_names(names: Iterable[str]) -> list[str]:
    """Return names of columns as they are compared."""
    return [valid_text(name).lower() for name in names]


def require_distinct(names: Sequence[str], source: object) -> None:
    """Raise DataError where two columns have one name; one without is an index, or follows a last delimiter."""
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        raise DataError(f"{source} has two columns of the same name: {', '.join(names)}")


def require_names(names: Sequence[str], source: object) -> None:
    """Raise DataError where a line of column names is a row of numbers."""
    numbers = [is_number(name, ",") for name in names]
    if len(names) > 1 and all(numbers) and not (len(set(names)) == len(names) and all(map(str.isdecimal, names))):
        raise DataError(
            f"{source} has no header: its first line is {', '.join(names)[:80]}, wanted the names of the columns"
        )
