"""Rows of a CSV file with line numbers, in order of time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgecl.errors import DataError
from edgecl.sources.cells import Unended, csv_cells, ends_in_delimiter, number_of, without_end
from edgecl.sources.choices import Choices
from edgecl.sources.csv_columns import Columns, csv_lines, find_columns, open_table, with_time_unit
from edgecl.sources.csv_times import TIME_UNITS, time_or_none
from edgecl.sources.headers import header_line, plain_names, without_headers
from edgecl.sources.json_lines import json_cells
from edgecl.sources.labels import clean_label, is_missing, missing_label, require_whole, valid_text
from edgecl.sources.samples import LARGEST, Skip, SkipTally, UnusableError

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract


LIVE_HEAD_ROWS = 64  # rows of a live recording that are read before the first is used
# Consecutive rows earlier than the latest one after which a new recording begins: the clock was set back.
RESTART_ROWS = 3
# Rows held at a time.
CHUNK_ROWS = 4096


class Row(NamedTuple):
    """One valid row of the file."""

    line: int
    time_s: float
    values: list[float]
    label: str | None
    group: str | None


class LiveRows(NamedTuple):
    """A recording that is still in progress."""

    columns: Columns
    rows: Iterator[Row]


def read_live(
    cells: Iterator[tuple[int, list[str]]],
    name: str,
    contract: Contract,
    tally: SkipTally,
    *,
    delimiter: str,
    how: Choices | None = None,
) -> LiveRows:
    """Return the columns and the rows of a recording in progress, after its first rows have arrived.

    Parameters
    ----------
    cells
        Line numbers and cells; the first are the names of the columns.
    name
        Name of the source, for messages.
    tally
        Counts the rows that can't be used.

    Raises
    ------
    DataError
        As `read_columns`.
    """
    source = Path(name)
    _, names = next(cells, (0, []))
    if not any(names):
        raise DataError(f"{name} is empty, wanted a header line with the column timestamp, or JSON Lines with it")
    how = how or Choices()
    columns = find_columns(source, plain_names(names), delimiter, contract, how)
    cells = without_headers(cells, columns.names, name)
    head = list(islice(cells, LIVE_HEAD_ROWS))
    first = [one for _, one in head]
    columns = replace(columns, has_end=ends_in_delimiter(first, columns.width))
    first = [without_end(one, columns.width) for one in first] if columns.has_end else first
    columns = with_time_unit(source, columns, first, contract, how)
    rows = in_time_order(_read(chain(head, cells), columns, tally, read_numbers, label=None, labelled=False), tally)
    return LiveRows(columns, (one for one in rows if isinstance(one, Row)))


def read_rows(
    path: Path,
    columns: Columns,
    tally: SkipTally,
    read: Callable[[list[str], Columns], tuple[float, list[float]]],
    *,
    label: str | None,
    labelled: bool,
) -> Iterator[Row | Skip]:
    """Yield rows and skips as `_read` does, from a file."""
    rows = without_headers(_cells(path, columns), columns.names, path)
    return _read(rows, columns, tally, read, label=label, labelled=labelled)


def _read(
    rows: Iterable[tuple[int, list[str]]],
    columns: Columns,
    tally: SkipTally,
    read: Callable[[list[str], Columns], tuple[float, list[float]]],
    *,
    label: str | None,
    labelled: bool,
) -> Iterator[Row | Skip]:
    """Yield every usable row, with time and values as `read` returns them, and a skip for each other row."""
    known: dict[str, str | None] = {}
    for line, cells in rows:
        if columns.has_end:
            cells = without_end(cells, columns.width)
        try:
            if columns.is_json and not cells:
                raise UnusableError("not JSON: no object with any of the columns")
            if columns.is_json and len(cells) != columns.width:
                raise UnusableError(
                    f"other members: {len(cells)} of the {columns.width} columns, and members that are none: use the "
                    "names of the first lines"
                )
            if len(cells) != columns.width:
                raise UnusableError(f"ragged row: {len(cells)} cells, the header has {columns.width}")
            time_s, values = read(cells, columns)
            if type(cells) is Unended and columns.label == columns.width - 1:
                require_whole(cells[-1], known)
            name = label if columns.label is None else _label(cells[columns.label], known)
            if name is None and labelled:
                raise UnusableError(missing_label(cells[columns.label] if columns.label is not None else ""))
            group = None if columns.group is None else valid_text(cells[columns.group]) or None
            yield Row(line, time_s, values, name, group)
        except UnusableError as error:
            yield from tally.skip(line, str(error))


def _cells(path: Path, columns: Columns) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows below the header that are not empty, with their line numbers."""
    with open_table(path) as file:
        if columns.is_json:
            yield from islice(json_cells(csv_lines(file)), 1, None)
            return
        _, _, first, before = header_line(file)
        for number, cells in csv_cells(chain(first, csv_lines(file)), columns.delimiter, width=columns.width):
            yield before + number, cells


def read_numbers(cells: list[str], columns: Columns) -> tuple[float, list[float]]:
    """Return the time in seconds and the values of one row."""
    texts = [cells[column] for column in columns.channels]
    if columns.delimiter != ",":
        texts = [text.replace(",", ".") for text in texts]
    try:
        values = [number_of(text) for text in texts]
    except ValueError as error:
        raise UnusableError(f"not a number: {error}") from error
    if not all(-LARGEST <= value <= LARGEST for value in values):  # NaN neither
        if all(map(math.isfinite, values)):
            raise UnusableError(f"too large: {max(values, key=abs):.3g}, at most {LARGEST:g} can be learnt")
        raise UnusableError("not finite: the row holds NaN or infinity")
    assert columns.timestamp is not None
    time = time_or_none(cells[columns.timestamp], columns.delimiter, iso=columns.unit == "ISO 8601")
    if time is None:
        raise UnusableError(
            f"bad timestamp: {ascii(cells[columns.timestamp])[:40]}, the file began with {columns.unit}"
        )
    return time * TIME_UNITS.get(columns.unit, 1.0), values


def _label(text: str, known: dict[str, str | None]) -> str | None:
    """Return the label of a cell, None if it is empty; `known` saves the checks of a million equal ones."""
    if text not in known:
        name = None if is_missing(text) else clean_label(text)
        if len(known) > CHUNK_ROWS:
            known.clear()
        known[text] = name
    return known[text]


def in_time_order(rows: Iterator[Row | Skip], tally: SkipTally) -> Iterator[Row | Skip]:
    """Drop rows that do not come later than the one before; a clock that was set back starts a new recording."""
    last = -math.inf
    late: list[float] = []
    for row in rows:
        if isinstance(row, Skip):
            yield row
            continue
        if row.time_s <= last:
            late = [*late, row.time_s] if late and row.time_s > late[-1] else [row.time_s]
            if len(late) < RESTART_ROWS:
                behind = last - row.time_s
                why = f"unsorted time: {behind:.4g} s before an earlier row" if behind else "repeated time: as before"
                yield from tally.skip(row.line, why)
                continue
        late = []
        last = row.time_s
        yield row


def time_of_row(cells: list[str], columns: Columns) -> float:
    """Return the time of a row of a table, in the unit of its numbers; NaN where there is none."""
    text = "" if columns.order is None else cells[columns.order]
    if is_missing(text):
        return math.nan
    number = time_or_none(text, columns.delimiter, iso=False)
    time = number if number is not None else time_or_none(text, columns.delimiter, iso=True)
    if time is None:
        raise UnusableError(f"bad timestamp: {ascii(text)[:40]} is neither a number nor ISO 8601")
    return time
