"""The columns of a CSV file: header, delimiter, channels, label, group and time."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from edgecl.errors import DataError
from edgecl.sources.csv_times import TIME_UNITS, guess_unit, is_number, time_or_none
from edgecl.sources.labels import valid_text
from edgecl.sources.lines import LONGEST_HEADER, LONGEST_LINE, bounded_lines, guess_delimiter
from edgecl.sources.signals import LOWEST_SHARE_OF_RATE
from edgecl.sources.tables import TableEncoding

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract


logger = logging.getLogger(__name__)
# Rows that the kind of the timestamps and their typical distance are judged by.
HEAD_ROWS = 256


@dataclass(frozen=True)
class Columns:
    """The columns of a CSV file, from its header and first rows."""

    delimiter: str
    width: int
    """Columns in the header."""
    timestamp: int | None
    """Column; None where the contract has no time."""
    order: int | None
    """Column of times of a table, which only test whether its rows are in order."""
    channels: tuple[int, ...]
    """Columns, in the contract's order."""
    label: int | None
    group: int | None
    unit: str
    """Unit of the timestamps: a key of TIME_UNITS, or "ISO 8601"."""
    step_s: float
    """Median distance of the first rows; 0 where there is no time."""
    taken_in_order: str
    """Names of the columns that were taken for the contract's channels by their order; empty where names agree."""


def read_columns(path: Path, contract: Contract, *, label_column: str | None = None) -> Columns:
    """Find the columns, the kind of timestamps and the rate.

    `label_column` is the column of labels where it is not called label. Channels are found by the contract's names,
    whatever their order and case. Where the names differ but the count is right, the columns are taken in the file's
    order, which is logged.

    Raises
    ------
    DataError
        The file is unreadable or empty, columns are missing, the timestamps can't be read, or the rate is
        too low.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            first = file.readline(LONGEST_HEADER)
            delimiter = guess_delimiter(first)
            names = [valid_text(name).lower() for name in next(csv.reader([first], delimiter=delimiter), [])]
            rows = list(islice(csv.reader(csv_lines(file), delimiter=delimiter), HEAD_ROWS))
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    except csv.Error as error:
        raise DataError(f"{path} is not CSV: {error}") from error
    if not any(names):
        raise DataError(f"{path} is empty, wanted a header line with the column timestamp")
    return with_time_unit(path, find_columns(path, names, delimiter, contract, label_column), rows, contract)


def csv_lines(file: IO[str]) -> Iterator[str]:
    """Return the lines of a CSV file; iteration raises csv.Error at one that is too long."""
    return bounded_lines(file, limit=LONGEST_LINE, error=lambda _, text: csv.Error(f"a {text}"))


def find_columns(path: Path, names: list[str], delimiter: str, contract: Contract, label_column: str | None) -> Columns:
    if len(set(names)) < len(names):
        raise DataError(f"{path} has two columns of the same name: {', '.join(names)}")
    place = {name: column for column, name in enumerate(names)}
    timed = contract.sample_rate_hz > 0
    if timed and "timestamp" not in place:
        raise DataError(f"{path} has no column timestamp, only {', '.join(names)}")
    group = next((place[name] for name in ("subject", "speaker") if name in place), None)
    if label_column is not None and label_column.lower() not in place:
        raise DataError(f"{path} has no column {label_column}, only {', '.join(names)}")
    label = place.get(label_column.lower() if label_column else "label")
    taken = {place.get("timestamp"), label, group}
    wanted = TableEncoding(contract).columns
    left = [column for column in range(len(names)) if column not in taken]
    channels = [place[name] for name in wanted] if all(name in place for name in wanted) else left
    if len(channels) != len(wanted):
        named = ", ".join(names[column] for column in left)
        raise DataError(
            f"{path} has {len(left)} columns of measurements ({named}), "
            f"the extractor takes {len(wanted)} ({', '.join(wanted)})"
        )
    return Columns(
        delimiter=delimiter,
        width=len(names),
        timestamp=place["timestamp"] if timed else None,
        order=None if timed else place.get("timestamp"),
        channels=tuple(channels),
        label=label,
        group=group,
        unit="seconds",
        step_s=0.0,
        taken_in_order=", ".join(names[column] for column in left) if channels is left else "",
    )


def with_time_unit(path: Path, columns: Columns, rows: list[list[str]], contract: Contract) -> Columns:
    """Return the columns with the unit of the timestamps and the typical step filled in."""
    if columns.timestamp is None:
        return columns
    texts = [row[columns.timestamp] for row in rows if len(row) == columns.width]
    if len(texts) < 2:
        raise DataError(f"{path} holds {len(texts)} rows of {columns.width} columns, wanted two or more")
    iso = 2 * sum(is_number(text, columns.delimiter) for text in texts) < len(texts)
    times = [time for text in texts if (time := time_or_none(text, columns.delimiter, iso=iso)) is not None]
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not steps.size:
        raise DataError(f"{path}: timestamp {texts[0]!r} is read neither as a number that grows nor as ISO 8601")
    step = float(np.median(steps))
    unit = "ISO 8601" if iso else guess_unit(times[0], step, contract.sample_rate_hz)
    step *= TIME_UNITS.get(unit, 1.0)
    if 1 / step < 0.99 * LOWEST_SHARE_OF_RATE * contract.sample_rate_hz:
        raise DataError(
            f"{path}: wrong rate: {1 / step:.3g} Hz (timestamps read as {unit}), the extractor takes "
            f"{contract.sample_rate_hz:g} Hz: record at that rate or above"
        )
    return replace(columns, unit=unit, step_s=step)
