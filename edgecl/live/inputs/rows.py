"""Rows of movement from a pipe or file as a stream of pieces."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.live.inputs.chunks import Arrival, Halt, Piece, read_arrived
from edgecl.sources.cells import csv_cells
from edgecl.sources.choices import Choices
from edgecl.sources.csv_rows import read_live
from edgecl.sources.headers import header_line
from edgecl.sources.json_lines import json_cells
from edgecl.sources.lines import LONGEST_LINE
from edgecl.sources.resampling import Resampler
from edgecl.sources.scales import check_gravity, factors_of

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.sources.gravity import Gravity

KEPT_BYTES = 64  # of a line that is too long
JUDGED_WINDOWS = 2  # of a stream, by which its unit is judged


def movement(
    descriptor: int,
    name: str,
    contract: Contract,
    *,
    halt: Halt,
    arrival: Arrival,
    realtime: bool = False,
    how: Choices | None = None,
    gravity: Gravity | None = None,
) -> Iterator[Piece]:
    """Rows of CSV or JSON Lines with timestamps, resampled to the contract's rate, about a hop at a time.

    A gap of more than five samples, or a clock that is set back, starts the stream again; what jitters, or lacks a row
    or two, is bridged by straight lines.

    Parameters
    ----------
    gravity
        What compares the acceleration with what was taught.

    Raises
    ------
    DataError
        Columns are missing, timestamps can't be read, the rate is too low, or the acceleration is in another unit or
        has gravity where what was taught has none.
    """
    how = how or Choices()
    pieces = _pieces(descriptor, name, contract, halt, arrival, realtime=realtime, how=how)
    yield from _in_units(pieces, name, contract, how, gravity)


def _in_units(
    pieces: Iterator[Piece], name: str, contract: Contract, how: Choices, gravity: Gravity | None
) -> Iterator[Piece]:
    """Scale a stream as settled; refuse it after its first windows where gravity shows another unit, or is lacking."""
    factors, held, length = factors_of(contract, how.scale), list[NDArray[np.float32]](), 0
    for piece in pieces:
        if factors is not None:
            yield replace(piece, signal=piece.signal * factors)
            continue
        if length < JUDGED_WINDOWS * contract.clip_samples:
            held.append(piece.signal)
            length += len(piece.signal)
            if length >= JUDGED_WINDOWS * contract.clip_samples:
                check_gravity([np.concatenate(held)], name, contract)
                if gravity is not None:
                    gravity.check(np.concatenate(held), name)
        yield piece


def _pieces(
    descriptor: int, name: str, contract: Contract, halt: Halt, arrival: Arrival, *, realtime: bool, how: Choices
) -> Iterator[Piece]:
    lines = _lines(descriptor, name, halt, arrival)
    first = next(lines, None)
    if first is None and halt.is_asked:
        return
    if first is None:
        raise DataError(f"{name} is empty: did the program that should write it fail?")
    delimiter, cells = _cells(chain([first], lines), name)
    layout, rows = read_live(cells, name, contract, arrival.rows, delimiter=delimiter, how=how)
    every = max(round(contract.hop_samples / contract.sample_rate_hz / layout.step_s), 1)  # rows
    samples: Resampler | None = None
    started, first_s = time.monotonic(), 0.0
    for row in rows:
        if samples is None or not samples.goes_on(row):
            if samples is not None:
                yield Piece(samples.to_the_end().signal)
            samples, taken = Resampler(row, contract, step_s=layout.step_s), 0
            started, first_s = time.monotonic(), row.time_s
            yield Piece(np.zeros((0, len(contract.channels)), np.float32), row.time_s)
            continue
        samples.add(row)
        taken += 1
        if realtime and halt.wait(started + row.time_s - first_s - time.monotonic()):
            break  # what was read at once may take an hour to play
        if taken % every == 0:
            yield Piece(samples.so_far().signal)
    if samples is not None:
        yield Piece(samples.to_the_end().signal)


def _lines(descriptor: int, name: str, halt: Halt, arrival: Arrival) -> Iterator[str]:
    """Lines as they come, the last one too if it is whole enough to have an end."""
    buffer, rest, is_begun = bytearray(1 << 16), b"", False
    while length := read_arrived(descriptor, memoryview(buffer), halt, arrival):
        *whole, rest = (rest + buffer[:length]).split(b"\n")
        is_begun = is_begun or bool(whole)
        if len(rest) > LONGEST_LINE:
            if not is_begun:
                raise DataError(f"{name}: a line is longer than {LONGEST_LINE >> 20} MiB: is it CSV or JSON Lines?")
            rest = rest[:KEPT_BYTES]  # one bad row of a stream, whatever else comes of it
        yield from (line.decode("utf-8-sig", "surrogateescape") + "\n" for line in whole)
    arrival.torn_bytes = len(rest)


def _cells(lines: Iterator[str], name: str) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """The delimiter; names of the columns, then cells. Of CSV or of JSON Lines, whichever the first line is."""
    first, delimiter, rows, _ = header_line(lines)
    if "\0" in first:
        raise DataError(f"{name} is neither CSV nor JSON Lines: it contains bytes that no text has, as UTF-16 does")
    lines = chain([first], rows, lines)
    if first.lstrip().startswith("{"):
        return ",", json_cells(lines, ahead=1)
    width = sum(len(cells) for _, cells in csv_cells([first], delimiter, joined=0))
    return delimiter, csv_cells(lines, delimiter, width=width, joined=0)
