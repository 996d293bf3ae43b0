"""The columns of a CSV file: header, delimiter, channels, label, group and time."""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from edgecl.errors import DataError
from edgecl.metrics import median
from edgecl.notes import Logger
from edgecl.sources.cells import ends_in_delimiter, without_end
from edgecl.sources.choices import Choices
from edgecl.sources.csv_axes import channel_columns, named_column
from edgecl.sources.csv_times import TIME_UNITS, UNIT_NAMES, guess_unit, is_number, time_name, time_or_none
from edgecl.sources.folders import require_file
from edgecl.sources.headers import header_line, plain_names, require_distinct, require_names, rows_below
from edgecl.sources.json_lines import AHEAD, json_cells
from edgecl.sources.labels import is_missing
from edgecl.sources.lines import LONGEST_LINE, bounded_lines
from edgecl.sources.signals import LOWEST_SHARE_OF_RATE
from edgecl.sources.tables import TableEncoding

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract


logger = Logger(__name__)
# Rows that the kind of the timestamps and their typical distance are judged by.
HEAD_ROWS = 256
# Above this many times the wanted rate the unit of the times is taken for wrong.
MOST_TIMES_RATE = 50


@dataclass(frozen=True)
class Columns:
    """The columns of a CSV file, from its header and first rows."""

    delimiter: str
    names: tuple[str, ...]
    """Of all columns, in lower case."""
    timestamp: int | None
    """Column; None where the contract has no time."""
    order: int | None
    """Column of times of a table, which only test whether its rows are in order."""
    channels: tuple[int, ...]
    """Columns, in the contract's order."""
    label: int | None
    group: int | None
    stated_unit: str
    """Unit that the name of the column of times states, a key of TIME_UNITS, or nothing."""
    unit: str
    """Unit of the timestamps: a key of TIME_UNITS, or "ISO 8601"."""
    step_s: float
    """Median distance of the first rows; 0 where there is no time."""
    taken_in_order: str
    """Names of the columns that were taken for the contract's channels, as these; empty where names agree."""
    is_json: bool = False
    """Whether the rows are JSON Lines."""
    has_end: bool = False
    """Whether a delimiter ends each row and not the header."""
    words: str = ""
    """Names of columns that are not read and may hold labels."""

    @property
    def width(self) -> int:
        """Columns in the header."""
        return len(self.names)


class Head(NamedTuple):
    """The header of a table and its first rows."""

    line: str
    """The header; the first row of JSON Lines."""
    names: list[str]
    rows: list[list[str]]
    """Cells; of any number."""
    delimiter: str
    is_json: bool
    """Whether the rows are JSON Lines."""
    has_end: bool
    """Whether a delimiter ends each row of the file and not the header; the cells are those before it."""


def read_columns(path: Path, contract: Contract, *, how: Choices | None = None) -> Columns:
    """Find the columns, the kind of timestamps and the rate.

    Channels are found by the contract's names, whatever their order and case; else by kind and axis, as in
    `Acceleration x (m/s^2)`. Names without an axis are taken in the file's order, if the count is right, which is
    logged.

    Raises
    ------
    DataError
        The file is unreadable or empty, columns are missing, the timestamps can't be read, or the rate is
        too low.
    """
    how = how or Choices()
    line, given, rows, delimiter, is_json, has_end = table_head(path)
    names = plain_names(given)
    if "\0" in line:
        raise DataError(f"{path} is no text in UTF-8, or in UTF-16 with its mark: save it as CSV (UTF-8)")
    if not any(names):
        first_of_all = "column timestamp" if contract.sample_rate_hz else f"columns {', '.join(contract.channels)}"
        raise DataError(f"{path} is empty, wanted a header line with the {first_of_all}")
    with _naming_the_lines(is_json and len(rows) == AHEAD):
        columns = replace(find_columns(path, names, delimiter, contract, how), is_json=is_json, has_end=has_end)
    if columns.order is not None and how.time_column is None and not _has_times(rows, columns):
        logger.warning("%s: the times of its rows are not read, and their order is not checked", path)
        columns = replace(columns, order=None)
    columns = replace(columns, words=", ".join(_words(names, rows, columns, of_numbers=not contract.sample_rate_hz)))
    return with_time_unit(path, columns, rows, contract, how)


@contextmanager
def _naming_the_lines(are_more: bool) -> Iterator[None]:
    """Add to an error about the columns of JSON Lines by which lines these are known, where there `are_more`."""
    try:
        yield
    except DataError as error:
        if not are_more:
            raise
        lines = f"its columns are the members of the first {AHEAD} lines: write one that has all of them there"
        raise DataError(f"{error}; {lines}", parameter=error.parameter, remedy=error.remedy) from error


def table_head(path: Path, *, rows: int = HEAD_ROWS) -> Head:
    """Read the header of a table and its first rows; raises DataError where it is unreadable or not CSV."""
    with open_table(path) as file:
        header = header_line(file)
        line, delimiter = header.line, header.delimiter
        is_json = line.lstrip().startswith("{")
        if is_json:
            delimiter, cells = ",", json_cells(chain([line], csv_lines(file)))
            names = next(cells)[1]
        else:
            names = next(csv.reader([line], delimiter=delimiter), [])
            cells = rows_below(header, csv_lines(file), plain_names(names), path)
        require_names(plain_names(names), path)
        read = [row for _, row in islice(cells, rows)]
        has_end = ends_in_delimiter(read, len(names))
        read = [without_end(row, len(names)) for row in read] if has_end else read
        return Head(line, names, read, delimiter, is_json, has_end)


def _has_times(rows: list[list[str]], columns: Columns) -> bool:
    """Test whether any of the first rows of a table has a time that can be read, or none has any."""
    texts = [row[columns.order] for row in rows if columns.order is not None and len(row) == columns.width]
    stamps = [text for text in texts if not is_missing(text)]
    read = (time_or_none(text, columns.delimiter, iso=iso) for text in stamps for iso in (False, True))
    return not stamps or any(time is not None for time in read)


def _words(names: list[str], rows: list[list[str]], columns: Columns, *, of_numbers: bool) -> list[str]:
    """Return the columns that are not read and may hold labels: those of words, and `of_numbers` others."""
    read = {columns.timestamp, columns.order, columns.label, columns.group, *columns.channels}
    whole = [row for row in rows if len(row) == len(names)]
    return [
        name
        for at, name in enumerate(names)
        if at not in read and whole and (of_numbers or not any(is_number(row[at], columns.delimiter) for row in whole))
    ]


@contextmanager
def open_table(path: Path) -> Iterator[IO[str]]:
    """Open a CSV file: UTF-8, or UTF-16 as Excel writes it, known by its first bytes.

    Raises
    ------
    DataError
        It is unreadable; or what is read of it while it is open is not CSV.
    """
    try:
        require_file(path)
        with path.open("rb") as file:
            begins = file.read(2)
        encoding = encoding_of(begins)
        with path.open(encoding=encoding, errors=errors_of(encoding), newline="") as text:
            yield text
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    except csv.Error as error:
        raise DataError(f"{path} is not CSV: {error}") from error


def encoding_of(begins: bytes) -> str:
    """Return the encoding of a text by its first two bytes."""
    return "utf-16" if begins in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def errors_of(encoding: str) -> str:
    """Return how bytes that are not of the encoding are read: of UTF-8 so that they are told from what was written."""
    return "surrogateescape" if encoding == "utf-8-sig" else "replace"


def csv_lines(file: IO[str]) -> Iterator[str]:
    """Return the lines of a CSV file; iteration raises csv.Error at one that is too long."""
    return bounded_lines(file, limit=LONGEST_LINE, error=lambda _, text: csv.Error(f"a {text}"))


def find_columns(path: Path, names: list[str], delimiter: str, contract: Contract, how: Choices) -> Columns:
    place = {name: column for column, name in enumerate(names)}
    wanted = TableEncoding(contract).columns
    require_distinct(names, path)
    timed = contract.sample_rate_hz > 0
    times = _times(path, names, wanted, how) if timed or how.time_column else [place.get("timestamp")]
    group = next((place[name] for name in ("subject", "speaker") if name in place), None)
    label = _label(path, place, wanted, how.label_column)
    taken = {*times, label, group}
    left = [column for column in range(len(names)) if names[column] and column not in taken]
    channels = channel_columns(path, names, left, wanted, how.columns)
    by_name = all(name in place for name in wanted)
    if timed and not by_name:
        from edgecl.sources.scales import require_stated_units

        require_stated_units(path, [names[column] for column in channels], contract, how.scale)
    return Columns(
        delimiter=delimiter,
        names=tuple(names),
        timestamp=times[0] if timed else None,
        order=None if timed else times[0],
        channels=tuple(channels),
        label=label,
        group=group,
        stated_unit=_stated_unit(names, times[0]) if timed else "",
        unit="seconds",
        step_s=0.0,
        taken_in_order="" if by_name or how.columns else ", ".join(names[column] for column in channels),
    )


def _label(path: Path, place: Mapping[str, int], wanted: list[str], chosen: str | None) -> int | None:
    """Return the column of labels; one that the extractor takes gives its own answer away."""
    if chosen is None:
        return None if "label" in wanted else place.get("label")
    if chosen.lower() in wanted:
        raise DataError(
            f"{path}: the extractor takes the column {chosen}, from which each label would be read off: name another, "
            "or make an extractor for tables with that column of labels",
            parameter="label_column",
        )
    return named_column(path, place, chosen, "label_column")


def _stated_unit(names: list[str], column: int | None) -> str:
    found = None if column is None else time_name(names[column])
    return found[1] if found else ""


def _times(path: Path, names: list[str], wanted: list[str], how: Choices) -> list[int | None]:
    """Return the columns of times, the one that is taken first."""
    place = {name: column for column, name in enumerate(names)}
    ranks = {column: found[0] for name, column in place.items() if name not in wanted and (found := time_name(name))}
    ordered: list[int | None] = [*sorted(ranks, key=lambda column: ranks[column])]
    if how.time_column is not None:
        chosen = named_column(path, place, how.time_column, "time_column")
        return [chosen, *(column for column in ordered if column != chosen)]
    if not ordered:
        blanks = (
            " (its columns are separated by blanks: save it with commas)" if len(names) == 1 and " " in names[0] else ""
        )
        raise DataError(
            f"{path} has no column timestamp, only {', '.join(names)}{blanks}: name the column of times",
            parameter="time_column",
        )
    return ordered


def with_time_unit(
    path: Path, columns: Columns, rows: list[list[str]], contract: Contract, how: Choices | None = None
) -> Columns:
    """Return the columns with the unit of the timestamps and the typical step filled in."""
    if columns.timestamp is None:
        return columns
    texts = [row[columns.timestamp] for row in rows if len(row) == columns.width]
    if len(texts) < 2:
        widths = Counter(len(row) for row in rows if row and len(row) != columns.width).most_common(1)
        others = (
            f": its rows have {widths[0][0]} cells: is a name lacking, or a comma both between columns and in numbers?"
            if widths
            else ""
        )
        raise DataError(f"{path} holds {len(texts)} rows of {columns.width} columns, wanted two or more{others}")
    iso = 2 * sum(is_number(text, columns.delimiter) for text in texts) < len(texts)
    times = [time for text in texts if (time := time_or_none(text, columns.delimiter, iso=iso)) is not None]
    step = _step(path, times, texts[0])
    unit = "ISO 8601" if iso else _unit(times[0], step, contract, how, columns.stated_unit)
    step *= TIME_UNITS.get(unit, 1.0)
    _check_step(path, step, unit, contract)
    return replace(columns, unit=unit, step_s=step)


def _unit(first: float, step: float, contract: Contract, how: Choices | None, stated: str) -> str:
    """Return the unit of the times: as settled, as the column's name states, or the one that fits the rate."""
    if how is not None and how.time_unit is not None:
        return UNIT_NAMES[how.time_unit]
    return stated or guess_unit(first, step, contract.sample_rate_hz)


def _step(path: Path, times: list[float], first: str) -> float:
    """Return the typical distance of times that grow."""
    steps = np.diff(times)
    grown = steps[steps > 0]
    if not grown.size:
        raise DataError(
            f"{path}: timestamp {first!r} is read neither as a number that grows nor as ISO 8601: write times that "
            "grow, as seconds, 12:59:00.25 or 2024-12-31T12:59:00.25, or name another column of times",
            parameter="time_column",
        )
    repeated = int((steps == 0).sum())
    if 2 * repeated > steps.size:
        raise DataError(
            f"{path}: {repeated} of the first {steps.size} rows repeat the time of the row before: "
            "record times that are finer than the rate, or name another column of times",
            parameter="time_column",
        )
    return median(grown)


def _check_step(path: Path, step_s: float, unit: str, contract: Contract) -> None:
    """Refuse a rate that is too low, or so high that the unit must be another one."""
    wanted = contract.sample_rate_hz
    if 1 / step_s < 0.99 * LOWEST_SHARE_OF_RATE * wanted:
        raise DataError(
            f"{path}: wrong rate: {1 / step_s:.3g} Hz (timestamps read as {unit}), the extractor takes "
            f"{wanted:g} Hz: record at that rate or above, or give the unit of the times",
            parameter="time_unit",
        )
    if 1 / step_s > MOST_TIMES_RATE * wanted:
        raise DataError(
            f"{path}: wrong unit: timestamps read as {unit} make {1 / step_s:.3g} Hz, "
            f"and the extractor takes {wanted:g} Hz: give the unit of the times",
            parameter="time_unit",
        )
