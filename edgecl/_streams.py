"""A CSV recording to windows: read row by row, so that its length does not matter."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecl._samples import Sample, Skip, SkipTally, UnusableError, clean_label, printable
from edgecl._signals import LOWEST_SHARE_OF_RATE, check_length, interpolate
from edgecl._tables import TableEncoding
from edgecl.errors import DataError

if TYPE_CHECKING:
    from edgecl.extractor import Contract

logger = logging.getLogger(__name__)

# Rows that the kind of the timestamps and their typical distance are judged by.
HEAD_ROWS = 256
LIVE_HEAD_ROWS = 64  # for which a live recording is waited for
LONGEST_LINE = 1 << 20  # characters
# A longer pause breaks the recording; a shorter one (a lost row or three) is bridged by a straight line.
GAP_STEPS = 5
# So many rows in a row before the latest one: the clock was set back, a new recording begins.
RESTART_ROWS = 3
# Rows held at a time.
CHUNK_ROWS = 4096

_UNITS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
# Numbers below the first are seconds of any age, below the second milliseconds since 1970, and so on.
_EPOCH_BORDERS = {"seconds": 1e11, "milliseconds": 1e14, "microseconds": 1e17, "nanoseconds": math.inf}


class Row(NamedTuple):
    """One sound row of the file."""

    line: int
    time_s: float
    values: list[float]
    label: str | None
    group: str | None


class LiveRows(NamedTuple):
    """A recording as it comes."""

    layout: Layout
    rows: Iterator[Row]


@dataclass(frozen=True)
class Layout:
    """What the header and the first rows say about a CSV file."""

    delimiter: str
    width: int
    # columns in the header
    timestamp: int | None
    # column; None where the contract has no time
    order: int | None
    # column of times of a table, which only say whether its rows are in order
    channels: tuple[int, ...]
    # columns, in the contract's order
    label: int | None
    group: int | None
    unit: str
    # of the timestamps: a key of _UNITS, or "ISO 8601"
    step_s: float
    # median distance of the first rows; 0 where there is no time
    taken_in_order: str
    # names of the columns that were taken for the contract's channels by their order; empty where names agree


def read_layout(path: Path, contract: Contract, *, label_column: str | None = None) -> Layout:
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
            first = file.readline(1 << 16)
            delimiter = max(",;\t", key=first.count)
            names = [printable(name).lower() for name in next(csv.reader([first], delimiter=delimiter), [])]
            rows = list(islice(csv.reader(_lines(file), delimiter=delimiter), HEAD_ROWS))
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    except csv.Error as error:
        raise DataError(f"{path} is not CSV: {error}") from error
    if not any(names):
        raise DataError(f"{path} is empty, wanted a header line with the column timestamp")
    return _timed(path, _columns(path, names, delimiter, contract, label_column), rows, contract)


def read_csv(
    path: Path, layout: Layout, contract: Contract, *, label: str | None, labelled: bool
) -> Iterator[Sample | Skip]:
    """Windows of the contract's length and hop, at its rate, by linear interpolation.

    A window never spans a gap, a change of label or subject, or a clock that was set back. Rows that can't be
    used become skips with their line number, cut short after twenty of a kind; what remains is bridged if
    the gap is short. Rows without time (tables) are samples by themselves.

    Raises
    ------
    DataError
        The file is unreadable or not CSV.
    """
    if layout.taken_in_order:
        logger.warning("%s: %s are taken as %s", path, layout.taken_in_order, ", ".join(contract.channels))
    if layout.timestamp is not None:
        logger.info("%s: timestamps are read as %s, %.4g Hz", path, layout.unit, 1 / layout.step_s)
    tally = SkipTally(str(path))
    if layout.timestamp is None:
        yield from _table(path, layout, contract, tally, label=label, labelled=labelled)
        return
    rows = _rows(path, layout, tally, _numbers, label=label, labelled=labelled)
    yield from _windows(_in_order(rows, tally), path, layout, contract, tally)
    yield from tally.rest()


def read_live(
    cells: Iterator[tuple[int, list[str]]], name: str, contract: Contract, tally: SkipTally, *, delimiter: str
) -> LiveRows:
    """The layout and the rows of a recording that still goes on; its first rows are waited for.

    Parameters
    ----------
    cells
        Line numbers and cells; the first are the names of the columns.
    name
        Of the source, for messages.
    tally
        Counts the rows that can't be used.

    Raises
    ------
    DataError
        As `read_layout`.
    """
    source = Path(name)
    _, names = next(cells, (0, []))
    if not any(names):
        raise DataError(f"{name} is empty, wanted a header line with the column timestamp, or JSON Lines with it")
    layout = _columns(source, [printable(one).lower() for one in names], delimiter, contract, None)
    head = list(islice(cells, LIVE_HEAD_ROWS))
    layout = _timed(source, layout, [one for _, one in head], contract)
    rows = _in_order(_read(chain(head, cells), layout, tally, _numbers, label=None, labelled=False), tally)
    return LiveRows(layout, (one for one in rows if isinstance(one, Row)))


def csv_count(path: Path, layout: Layout, contract: Contract) -> int:
    """About how many windows there will be: lines are counted, gaps are not.

    Raises
    ------
    DataError
        The file is unreadable.
    """
    try:
        with path.open("rb") as file:
            lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    if layout.timestamp is None:
        return lines
    samples = int(lines * layout.step_s * contract.sample_rate_hz)
    return max((samples - contract.clip_samples) // _hop(contract) + 1, 1)


def _columns(path: Path, names: list[str], delimiter: str, contract: Contract, label_column: str | None) -> Layout:
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
    return Layout(
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


def _timed(path: Path, layout: Layout, rows: list[list[str]], contract: Contract) -> Layout:
    """The layout with the unit of the timestamps and the typical step filled in."""
    if layout.timestamp is None:
        return layout
    texts = [row[layout.timestamp] for row in rows if len(row) == layout.width]
    if len(texts) < 2:
        raise DataError(f"{path} holds {len(texts)} rows of {layout.width} columns, wanted two or more")
    iso = 2 * sum(_is_number(text, layout.delimiter) for text in texts) < len(texts)
    times = [time for text in texts if (time := _time_or_none(text, layout.delimiter, iso=iso)) is not None]
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not steps.size:
        raise DataError(f"{path}: timestamp {texts[0]!r} is read neither as a number that grows nor as ISO 8601")
    step = float(np.median(steps))
    unit = "ISO 8601" if iso else _unit(times[0], step, contract.sample_rate_hz)
    step *= _UNITS.get(unit, 1.0)
    if 1 / step < 0.99 * LOWEST_SHARE_OF_RATE * contract.sample_rate_hz:
        raise DataError(
            f"{path}: wrong rate: {1 / step:.3g} Hz (timestamps read as {unit}), the extractor takes "
            f"{contract.sample_rate_hz:g} Hz: record at that rate or above"
        )
    return replace(layout, unit=unit, step_s=step)


def _unit(first: float, step: float, wanted_hz: float) -> str:
    """The unit that makes the rate nearly right; failing that, the one that makes the first a recent date."""
    for unit, scale in _UNITS.items():
        if 0.1 <= step * scale * wanted_hz <= 10:
            return unit
    return next(unit for unit, border in _EPOCH_BORDERS.items() if abs(first) < border)


def _rows(
    path: Path,
    layout: Layout,
    tally: SkipTally,
    read: Callable[[list[str], Layout], tuple[float, list[float]]],
    *,
    label: str | None,
    labelled: bool,
) -> Iterator[Row | Skip]:
    """As `_read`, from a file."""
    return _read(_cells(path, layout), layout, tally, read, label=label, labelled=labelled)


def _read(
    rows: Iterable[tuple[int, list[str]]],
    layout: Layout,
    tally: SkipTally,
    read: Callable[[list[str], Layout], tuple[float, list[float]]],
    *,
    label: str | None,
    labelled: bool,
) -> Iterator[Row | Skip]:
    """Every row that can be used, its time and values as `read` gives them, and a skip for each that can't."""
    known: dict[str, str | None] = {}
    for line, cells in rows:
        try:
            if len(cells) != layout.width:
                raise UnusableError(f"ragged row: {len(cells)} cells, the header has {layout.width}")
            time_s, values = read(cells, layout)
            name = label if layout.label is None else _label(cells[layout.label], known)
            if name is None and labelled:
                raise UnusableError("no label: the cell is empty")
            group = None if layout.group is None else printable(cells[layout.group]) or None
            yield Row(line, time_s, values, name, group)
        except UnusableError as error:
            yield from tally.skip(line, str(error))


def _cells(path: Path, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header that are not empty, with their line numbers."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(_lines(file), delimiter=layout.delimiter)
            next(reader)
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num} is not CSV: {error}") from error


def _lines(file: IO[str]) -> Iterator[str]:
    """Lines of a bounded length: a file without line ends must not fill the memory."""
    for line in iter(lambda: file.readline(LONGEST_LINE), ""):
        if len(line) == LONGEST_LINE:
            raise csv.Error(f"a line is longer than {LONGEST_LINE >> 20} MiB")
        yield line


def _numbers(cells: list[str], layout: Layout) -> tuple[float, list[float]]:
    """The time in seconds and the values of one row."""
    texts = [cells[column] for column in layout.channels]
    if layout.delimiter != ",":
        texts = [text.replace(",", ".") for text in texts]
    try:
        values = [float(text) for text in texts]
    except ValueError as error:
        raise UnusableError(f"not a number: {error}") from error
    # float32 is what the extractor sees: beyond its range there is only infinity.
    if not all(-3.4e38 < value < 3.4e38 for value in values):
        raise UnusableError("not finite: the row holds NaN or infinity")
    assert layout.timestamp is not None
    time = _time_or_none(cells[layout.timestamp], layout.delimiter, iso=layout.unit == "ISO 8601")
    if time is None:
        raise UnusableError(f"bad timestamp: {ascii(cells[layout.timestamp])[:40]}, the file began with {layout.unit}")
    return time * _UNITS.get(layout.unit, 1.0), values


def _time_or_none(text: str, delimiter: str, *, iso: bool) -> float | None:
    """The moment as a number; ISO times without a zone are taken as UTC."""
    try:
        if iso:
            moment = datetime.fromisoformat(text.strip())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        number = float(text if delimiter == "," else text.replace(",", "."))
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _is_number(text: str, delimiter: str) -> bool:
    return _time_or_none(text, delimiter, iso=False) is not None


def _label(text: str, known: dict[str, str | None]) -> str | None:
    """The label of a cell, None if it is empty; `known` saves the checks of a million equal ones."""
    if text not in known:
        name = clean_label(text) if text.strip() else None
        if len(known) > CHUNK_ROWS:
            known.clear()
        known[text] = name
    return known[text]


def _in_order(rows: Iterator[Row | Skip], tally: SkipTally) -> Iterator[Row | Skip]:
    """Drop rows that do not come later than the one before; a clock that was set back begins anew."""
    last = -math.inf
    late: list[float] = []
    for row in rows:
        if isinstance(row, Skip):
            yield row
            continue
        if row.time_s <= last:
            late = [*late, row.time_s] if late and row.time_s > late[-1] else [row.time_s]
            if len(late) < RESTART_ROWS:
                yield from tally.skip(row.line, f"unsorted time: {last - row.time_s:.4g} s before an earlier row")
                continue
        late = []
        last = row.time_s
        yield row


def _table(
    path: Path, layout: Layout, contract: Contract, tally: SkipTally, *, label: str | None, labelled: bool
) -> Iterator[Sample | Skip]:
    """A sample for each row; rows out of order are used as they come, and counted."""
    encoding = TableEncoding(contract)

    def read(cells: list[str], layout: Layout) -> tuple[float, list[float]]:
        texts = [cells[column] for column in layout.channels]
        if layout.delimiter == ";":
            texts = [text.replace(",", ".") if _is_number(text, ";") else text for text in texts]
        return _moment(cells, layout), encoding.encode(texts)

    latest, late, first_late = -math.inf, 0, 0
    for row in _rows(path, layout, tally, read, label=label, labelled=labelled):
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


def _moment(cells: list[str], layout: Layout) -> float:
    """When a row of a table was made, seconds or whatever its numbers are; 0 where there is no such column."""
    if layout.order is None:
        return 0.0
    text = cells[layout.order]
    number = _time_or_none(text, layout.delimiter, iso=False)
    time = number if number is not None else _time_or_none(text, layout.delimiter, iso=True)
    if time is None:
        raise UnusableError(f"bad timestamp: {ascii(text)[:40]} is neither a number nor ISO 8601")
    return time


def _windows(
    rows: Iterator[Row | Skip], path: Path, layout: Layout, contract: Contract, tally: SkipTally
) -> Iterator[Sample | Skip]:
    stretch: _Stretch | None = None
    for row in rows:
        if isinstance(row, Skip):
            yield row
            continue
        if stretch is None or stretch.ends_before(row):
            if stretch is not None:
                yield from stretch.end(tally)
            stretch = _Stretch(row, path, layout, contract)
        else:
            yield from stretch.add(row, tally)
    if stretch is not None:
        yield from stretch.end(tally)


def _hop(contract: Contract) -> int:
    return max(contract.hop_samples, 1)


class _Stretch:
    """An unbroken part of the recording, of one label and subject; holds about CHUNK_ROWS rows at a time."""

    def __init__(self, first: Row, path: Path, layout: Layout, contract: Contract) -> None:
        self._first = first
        self._path = path
        self._contract = contract
        self._samples = Resampler(first, contract, step_s=layout.step_s)
        self._emitted = 0  # windows so far
        self._signal = np.zeros((0, len(contract.channels)), dtype=np.float32)
        self._lines = np.zeros(0, dtype=np.int64)

    def ends_before(self, row: Row) -> bool:
        """Whether `row` belongs to another stretch."""
        return not self._samples.goes_on(row) or row.label != self._first.label or row.group != self._first.group

    def add(self, row: Row, tally: SkipTally) -> Iterator[Sample | Skip]:
        """Take one row; now and then, give the windows that have become complete."""
        self._samples.add(row)
        if self._samples.held >= CHUNK_ROWS:
            yield from self._emit(self._samples.so_far(), tally)

    def end(self, tally: SkipTally) -> Iterator[Sample | Skip]:
        """The remaining windows, or why there were none."""
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
            yield Sample(f"{self._path}:{line}", self._first.label, signal, self._first.group)
        else:
            yield from tally.skip(line, "silent: all samples are zero")


class Resampled(NamedTuple):
    """Samples at the contract's rate."""

    signal: NDArray[np.float32]
    # (n, channels)
    lines: NDArray[np.int64]
    # (n,) of the rows that they come from


class Resampler:
    """Rows of one unbroken stretch, whatever the jitter of their times, to samples at the contract's rate.

    Attributes
    ----------
    made
        Samples so far.
    """

    def __init__(self, first: Row, contract: Contract, *, step_s: float) -> None:
        self._first = first
        self._step_s = step_s
        self._new_step_s = 1 / contract.sample_rate_hz
        self._gap_s = GAP_STEPS * max(self._step_s, self._new_step_s)
        self._rows = [first]
        self._channels = len(contract.channels)
        self.made = 0

    @property
    def held(self) -> int:
        """Rows that are kept."""
        return len(self._rows)

    @property
    def last(self) -> Row:
        return self._rows[-1]

    def goes_on(self, row: Row) -> bool:
        """Whether `row` comes after the last one without a gap."""
        return 0 < row.time_s - self._rows[-1].time_s <= self._gap_s

    def add(self, row: Row) -> None:
        self._rows.append(row)

    def so_far(self) -> Resampled:
        """The new samples that rows to come can't change."""
        return self._resampled(self._rows[-1].time_s - self._new_step_s)

    def to_the_end(self) -> Resampled:
        """The new samples up to the last row."""
        return self._resampled(self._rows[-1].time_s)

    def _resampled(self, until_s: float) -> Resampled:
        """Samples up to a moment; rows that are not needed any more are dropped."""
        times = np.array([row.time_s for row in self._rows]) - self._first.time_s
        # The half sample in a million forgives the rounding of the clock.
        end = math.floor((until_s - self._first.time_s) / self._new_step_s + 5e-7)
        grid = np.arange(self.made, end + 1, dtype=np.float64) * self._new_step_s
        if not grid.size:
            return Resampled(np.zeros((0, self._channels), np.float32), np.zeros(0, np.int64))
        values = np.array([row.values for row in self._rows])
        if len(self._rows) > 1:
            new = interpolate(times, values, grid, step_s=self._step_s, new_step_s=self._new_step_s)
        else:
            new = values.astype(np.float32)
        lines = np.array([row.line for row in self._rows])[np.searchsorted(times, grid).clip(max=len(times) - 1)]
        self.made = end + 1
        needed_s = end * self._new_step_s - self._new_step_s
        self._rows = self._rows[max(int(np.searchsorted(times, needed_s)) - 1, 0) :]
        return Resampled(new, lines)
