"""Rows of CSV files to windows of the contract's length."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.notes import Logger
from edgecl.sources.csv_columns import Columns, read_columns
from edgecl.sources.csv_rows import CHUNK_ROWS, Row, in_time_order, read_numbers, read_rows, time_of_row
from edgecl.sources.csv_times import is_number
from edgecl.sources.lines import count_lines
from edgecl.sources.resampling import Resampled, Resampler
from edgecl.sources.samples import Sample, Skip, SkipTally, UnusableError
from edgecl.sources.signals import check_length
from edgecl.sources.tables import TableEncoding
from edgecl.values import replace

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.sources.choices import Choices
    from edgecl.sources.folders import Found

logger = Logger(__name__)


def read_csv(
    path: Path, columns: Columns, contract: Contract, *, label: str | None, labelled: bool
) -> Iterator[Sample | Skip]:
    """Yield windows of the contract's length and hop, at its rate, by linear interpolation.

    A window never spans a gap, a change of label or subject, or a clock that was set back. Rows that can't be
    used become skips with their line number, cut short after twenty of a kind; what remains is bridged if
    the gap is short. Rows without time (tables) are samples by themselves.

    Raises
    ------
    DataError
        The file is unreadable or not CSV.
    """
    if columns.taken_in_order:
        taken_as = ", ".join(TableEncoding(contract).columns)
        logger.warning("%s: %s are taken as %s", path, columns.taken_in_order, taken_as)
    if columns.timestamp is not None:
        logger.info("%s: timestamps are read as %s, %.4g Hz", path, columns.unit, 1 / columns.step_s)
    tally = SkipTally(str(path))
    if columns.timestamp is None:
        yield from _table(path, columns, contract, tally, label=label, labelled=labelled)
        return
    rows = read_rows(path, columns, tally, read_numbers, label=label, labelled=labelled)
    yield from _windows(in_time_order(rows, tally), path, columns, contract, tally)
    yield from tally.rest()


def read_csv_files(
    files: Iterator[Found | Skip], contract: Contract, *, labelled: bool, how: Choices
) -> Iterator[Sample | Skip]:
    """Yield samples of CSV files in folders; a file's label is its folder's, and its subject without a column too."""
    from edgecl.sources.scales import in_units  # movement alone comes in folders

    for file in files:
        if isinstance(file, Skip):
            yield file
            continue
        try:
            columns = read_columns(file.path, contract, how=how)
            if columns.label is not None and file.label is not None:
                raise DataError("it has a label column, and is in the folder of a label")
        except DataError as error:
            yield Skip(str(file.path), f"unreadable: {error}", error.parameter)
            continue
        windows = read_csv(file.path, columns, contract, label=file.label, labelled=labelled)
        for item in in_units(windows, file.path, contract, how.scale):
            if isinstance(item, Sample) and item.group is None:
                item = replace(item, group=file.group)
            yield item


def csv_count(path: Path, columns: Columns, contract: Contract) -> int:
    """Estimate how many windows a file with times will have: lines are counted, gaps are not.

    Raises
    ------
    DataError
        The file is unreadable.
    """
    samples = int(count_lines(path) * columns.step_s * contract.sample_rate_hz)
    return max((samples - contract.clip_samples) // _hop(contract) + 1, 1)


def _table(
    path: Path, columns: Columns, contract: Contract, tally: SkipTally, *, label: str | None, labelled: bool
) -> Iterator[Sample | Skip]:
    """Yield a sample for each row; rows out of order are used as they are, and counted."""
    encoding = TableEncoding(contract)

    def read(cells: list[str], columns: Columns) -> tuple[float, list[float]]:
        texts = [cells[column] for column in columns.channels]
        if columns.delimiter != ",":
            texts = [text.replace(",", ".") if is_number(text, columns.delimiter) else text for text in texts]
        return time_of_row(cells, columns), encoding.encode(texts)

    latest, late, first_late = -math.inf, 0, 0
    for row in read_rows(path, columns, tally, read, label=label, labelled=labelled):
        if isinstance(row, Skip):
            yield row
            continue
        if row.time_s < latest:
            late, first_late = late + 1, first_late or row.line
        latest = max(latest, row.time_s)
        yield Sample(f"{path}:{row.line}", row.label, np.array([row.values], dtype=np.float32), row.group)
    yield from tally.rest()
    unsorted = [
        f"unsorted time: in {late} of the rows, line {first_late} for one, it is earlier than before: used as they came"
    ]
    for note in (*encoding.notes(), *(unsorted if late else ())):
        logger.warning("%s: %s", path, note)


def _windows(
    rows: Iterator[Row | Skip], path: Path, columns: Columns, contract: Contract, tally: SkipTally
) -> Iterator[Sample | Skip]:
    stretch: _Stretch | None = None
    for row in rows:
        if isinstance(row, Skip):
            yield row
            continue
        if stretch is None or stretch.ends_before(row):
            if stretch is not None:
                yield from stretch.end(tally)
            stretch = _Stretch(row, path, columns, contract)
        else:
            yield from stretch.add(row, tally)
    if stretch is not None:
        yield from stretch.end(tally)


def _hop(contract: Contract) -> int:
    return max(contract.hop_samples, 1)


class _Stretch:
    """An unbroken part of the recording, of one label and subject; keeps about CHUNK_ROWS rows at a time."""

    def __init__(self, first: Row, path: Path, columns: Columns, contract: Contract) -> None:
        self._first = first
        self._path = path
        self._contract = contract
        self._samples = Resampler(first, contract, step_s=columns.step_s)
        self._emitted = 0  # windows so far
        self._signal = np.zeros((0, len(contract.channels)), dtype=np.float32)
        self._lines = np.zeros(0, dtype=np.int64)

    def ends_before(self, row: Row) -> bool:
        """Test whether `row` belongs to another stretch."""
        return not self._samples.goes_on(row) or row.label != self._first.label or row.group != self._first.group

    def add(self, row: Row, tally: SkipTally) -> Iterator[Sample | Skip]:
        """Take one row; now and then, give the windows that have become complete."""
        self._samples.add(row)
        if self._samples.held >= CHUNK_ROWS:
            yield from self._emit(self._samples.so_far(), tally)

    def end(self, tally: SkipTally) -> Iterator[Sample | Skip]:
        """Yield the remaining windows, or why there were none."""
        last = self._samples.last
        yield from self._emit(self._samples.to_the_end(), tally)
        if self._emitted == 0:
            lines = f" in lines {self._first.line} to {last.line}"
            try:
                check_length(self._samples.made, self._contract)
            except UnusableError as error:
                yield from tally.skip(self._first.line, f"{error}{lines}")
                return
            # More than a window and less than the extractor pools: it pads.
            yield from self._sample(self._signal, int(self._lines[0]), tally)

    def _emit(self, new: Resampled, tally: SkipTally) -> Iterator[Sample | Skip]:
        self._signal = np.concatenate((self._signal, new.signal))
        self._lines = np.concatenate((self._lines, new.lines))
        length, hop = self._contract.clip_samples, _hop(self._contract)
        held_from = self._samples.made - len(self._signal)
        while self._emitted * hop + length <= self._samples.made:
            start = self._emitted * hop - held_from
            yield from self._sample(self._signal[start : start + length].copy(), int(self._lines[start]), tally)
            self._emitted += 1
        done = min(self._emitted * hop - held_from, len(self._signal))
        self._signal, self._lines = self._signal[done:], self._lines[done:]

    def _sample(self, signal: NDArray[np.float32], line: int, tally: SkipTally) -> Iterator[Sample | Skip]:
        if signal.any():
            stretch = f"{self._path}:{self._first.line}"
            yield Sample(f"{self._path}:{line}", self._first.label, signal, self._first.group, stretch)
        else:
            yield from tally.skip(line, "silent: all samples are zero")
