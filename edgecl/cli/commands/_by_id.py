"""Rows and labels that come by two pipes, or files: read as they arrive, and printed as they are answered."""

from __future__ import annotations

import io
import queue
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli import interrupts, warn
from edgecl.cli.stdin import descriptor
from edgecl.cli.text import percent, print_json, printable
from edgecl.errors import DataError
from edgecl.live.inputs.chunks import POLL_S, Halt
from edgecl.sources.cells import csv_cells
from edgecl.sources.folders import require_data
from edgecl.sources.lines import guess_delimiter

if TYPE_CHECKING:
    from edgecl.operations.late_labels import LateLabel, Row
    from edgecl.operations.streaming import StreamReport

    Arrived = Row | LateLabel

STDIN = Path("-")
QUEUED = 64  # rows and labels between the readers and the learner
LONGEST_LINE = 1 << 16


def run(
    store: Path, rows: Path, labels: Path, *, id_column: str, waiting_rows: int, as_json: bool, **how: Any
) -> tuple[StreamReport, int]:
    """Follow, print each prediction and each label as it comes, and return the report and the memory granted."""
    from edgecl.operations.late_labels import Learnt, Predicted, follow_by_id

    halt = Halt()
    with interrupts.asking(halt.ask), warn.opened(store) as learner:
        arrivals = arriving(rows, labels, id_column=id_column, ahead=max(waiting_rows // 2, 1), halt=halt)
        stages = follow_by_id(learner.opened, arrivals, waiting_rows=waiting_rows, **how)
        for one in stages:
            if isinstance(one, Predicted | Learnt):
                _print(one, as_json=as_json)
        return stages.report, learner.settings.memory_bytes


def _print(one: Any, *, as_json: bool) -> None:
    told = one.as_dict()
    if as_json:
        print_json(told)
    elif "learnt" in told:
        verdict = "right" if told["right"] else f"answered {printable(told['answered'] or 'nothing')}"
        click.echo(f"{printable(told['id'])}: is {printable(told['learnt'])}, {verdict}")
    else:
        alert = "  ALERT" if told.get("alert") else ""
        click.echo(f"{printable(told['id'])}: {printable(told['label'] or '-')} {percent(told['confidence'])}{alert}")
    sys.stdout.flush()


def arriving(rows: Path, labels: Path, *, id_column: str, ahead: int, halt: Halt) -> Iterator[Row | LateLabel]:
    """Yield rows and labels as they come, until both end or a halt is asked.

    A file of labels is read no more than `ahead` labels before the rows, and in step with them: the same files give the
    same answers. Pipes are read as they come.

    Raises
    ------
    DataError
        A file cannot be read, or lacks a column.
    """
    reading_rows, reading_labels = _rows(rows, id_column), _labels(labels)
    if _is_file(labels):
        return _in_step(reading_rows if _is_file(rows) else _together(halt, reading_rows), reading_labels, ahead, halt)
    return _together(halt, reading_rows, reading_labels)


def _in_step(rows: Iterator[Arrived], labels: Iterator[LateLabel], ahead: int, halt: Halt) -> Iterator[Row | LateLabel]:
    surplus = 0  # labels more than rows
    for row in rows:
        yield row
        surplus -= 1
        while surplus < ahead and (label := next(labels, None)) is not None:
            yield label
            surplus += 1
        if halt.is_asked:
            return
    yield from labels if not halt.is_asked else ()


def _together(halt: Halt, *sources: Iterator[Arrived]) -> Iterator[Arrived]:
    """Yield what comes first, from threads that end with the program."""
    waiting: queue.Queue[Arrived | Exception | None] = queue.Queue(QUEUED)

    def read(source: Iterator[Arrived]) -> None:
        try:
            for one in source:
                waiting.put(one)
            waiting.put(None)
        except Exception as error:
            waiting.put(error)

    for source in sources:
        threading.Thread(target=read, args=(source,), daemon=True).start()
    left = len(sources)
    while left and not halt.is_asked:
        try:
            one = waiting.get(timeout=POLL_S)
        except queue.Empty:
            continue
        if isinstance(one, Exception):
            raise one
        if one is None:
            left -= 1
        else:
            yield one


def _rows(path: Path, id_column: str) -> Iterator[Row]:
    from edgecl.operations.late_labels import Row

    wanted = id_column.strip().lower()
    for cells in _records(path, lambda names: _required(path, names, id_column)):
        by_name = {name.strip().lower(): text for name, text in cells.items()}
        yield Row(by_name[wanted].strip(), by_name)


def _labels(path: Path) -> Iterator[LateLabel]:
    from edgecl.operations.late_labels import LateLabel

    def require(names: list[str]) -> None:
        for name in ("id", "label"):
            _required(path, names, name)

    for cells in _records(path, require):
        by_name = {name.strip().lower(): text for name, text in cells.items()}
        yield LateLabel(by_name["id"].strip(), by_name["label"])


def _required(path: Path, names: list[str], wanted: str) -> None:
    if wanted.strip().lower() not in [one.strip().lower() for one in names]:
        raise DataError(f"{path} has no column {wanted!r}: there are {', '.join(names) or 'none'}")


def _records(path: Path, require: Callable[[list[str]], None]) -> Iterator[Mapping[str, str]]:
    """Yield lines of CSV as they come; one with too few or too many cells has none for a column, or is cut."""
    try:
        if path != STDIN:
            require_data(path)
        file = open(descriptor() if path == STDIN else path, "rb", buffering=0, closefd=path != STDIN)  # noqa: SIM115
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    with file, io.TextIOWrapper(io.BufferedReader(file), encoding="utf-8-sig", errors="replace", newline="") as text:
        lines = _bounded(path, text)
        first = next(lines, "")
        rows = csv_cells(chain([first], lines), guess_delimiter(first), joined=0)
        names = next(rows, (0, list[str]()))[1]
        require(names)
        for _, cells in rows:
            yield dict(zip(names, [*cells, *[""] * (len(names) - len(cells))], strict=False))


def _bounded(path: Path, text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise DataError(f"{path} has a line of more than {LONGEST_LINE:,} characters")
        yield line


def _is_file(path: Path) -> bool:
    return path != STDIN and path.exists() and stat.S_ISREG(path.stat().st_mode)
