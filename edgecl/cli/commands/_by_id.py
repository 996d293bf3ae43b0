"""Rows and labels that come by a pipe or two, or files: read as they arrive, and printed as they are answered."""

from __future__ import annotations

import io
import queue
import stat
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import click

from edgecl.cli import interrupts, warn
from edgecl.cli.stdin import descriptor
from edgecl.cli.text import percent, print_json, printable
from edgecl.errors import DataError
from edgecl.live.inputs.chunks import POLL_S, Halt
from edgecl.sources.cells import Unended, csv_cells
from edgecl.sources.csv_columns import encoding_of, errors_of
from edgecl.sources.csv_times import is_number
from edgecl.sources.folders import require_data
from edgecl.sources.headers import header_line, plain_names, require_names, rows_below
from edgecl.sources.labels import is_missing, require_whole
from edgecl.sources.samples import Skip, UnusableError

if TYPE_CHECKING:
    from edgecl.operations.late_labels import LateLabel, Row
    from edgecl.operations.streaming import StreamReport

    Arrived = Row | LateLabel | Skip
    Arriving = Callable[[Halt], Iterator[Arrived]]

STDIN = Path("-")
MOST_KNOWN = 4096  # labels that the last one may be the beginning of
QUEUED = 64  # rows and labels between the readers and the learner
LONGEST_LINE = 1 << 16


def by_id(rows: Path, labels: Path, *, id_column: str, waiting_rows: int) -> Arriving:
    """Return what yields rows and labels of two files or pipes, until a halt is asked."""
    return lambda halt: arriving(rows, labels, id_column=id_column, ahead=max(waiting_rows // 2, 1), halt=halt)


def live(rows: Path, *, label_column: str, label_delay: int) -> Arriving:
    """Return what yields rows by their numbers, and each label so many rows after its own, until a halt is asked."""
    return lambda halt: _together(halt, _labelled(rows, label_column, label_delay))


def run(
    store: Path, arrivals_until: Arriving, *, waiting_rows: int, as_json: bool, **how: Any
) -> tuple[StreamReport, int]:
    """Follow, print each prediction and each label as it comes, and return the report and the memory granted.

    Where nobody reads them any more, or a disk is full, it ends as by Ctrl-C: what was learnt is committed first.
    """
    from edgecl.operations.late_labels import Learnt, Predicted, follow_by_id

    halt, failed = Halt(), list[OSError]()
    with interrupts.asking(halt.ask), warn.opened(store) as learner:
        arrivals = arrivals_until(halt)
        stages = follow_by_id(learner.opened, arrivals, waiting_rows=waiting_rows, **how)
        for one in stages:
            if isinstance(one, Predicted | Learnt) and not failed:
                try:
                    _print(one, as_json=as_json)
                except OSError as error:
                    failed.append(error)
                    halt.ask()
        if failed:
            raise failed[0]
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


def arriving(rows: Path, labels: Path, *, id_column: str, ahead: int, halt: Halt) -> Iterator[Arrived]:
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


def _in_step(rows: Iterator[Arrived], labels: Iterator[LateLabel | Skip], ahead: int, halt: Halt) -> Iterator[Arrived]:
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


def _rows(path: Path, id_column: str) -> Iterator[Arrived]:
    from edgecl.operations.late_labels import Row

    wanted = id_column.strip().lower()
    for cells in _records(path, [wanted]):
        yield cells if isinstance(cells, Skip) else Row(cells[wanted].strip(), cells)


def _labels(path: Path) -> Iterator[LateLabel | Skip]:
    from edgecl.operations.late_labels import LateLabel

    for cells in _records(path, ["id", "label"], label="label"):
        yield cells if isinstance(cells, Skip) else LateLabel(cells["id"].strip(), cells["label"])


def _labelled(path: Path, label_column: str, label_delay: int) -> Iterator[Arrived]:
    """Yield rows that have their labels in a column; an empty one is no label."""
    from edgecl.operations.late_labels import LateLabel, Row

    wanted, later = label_column.strip().lower(), deque[LateLabel | None]()
    for number, cells in enumerate(_records(path, [wanted], label=wanted), start=1):
        if isinstance(cells, Skip):
            yield cells
            continue
        yield Row(str(number), {name: cell for name, cell in cells.items() if name != wanted})
        later.append(None if is_missing(cells[wanted]) else LateLabel(str(number), cells[wanted]))
        if len(later) > label_delay and (label := later.popleft()) is not None:
            yield label
    yield from filter(None, later)


def _records(path: Path, required: Sequence[str], *, label: str = "") -> Iterator[Mapping[str, str] | Skip]:
    """Yield lines of CSV as they come, by column; one with other cells, or half a label in that column, is a skip."""
    known, source = dict[str, None](), "stdin" if path == STDIN else str(path)
    try:
        if path != STDIN:
            require_data(path)
        file = open(descriptor() if path == STDIN else path, "rb", buffering=0, closefd=path != STDIN)  # noqa: SIM115
    except OSError as error:
        raise DataError(f"{source} cannot be read: {error.strerror}") from error
    with file, _text(file) as text:
        lines = _bounded(source, text)
        header = header_line(lines)
        delimiter = header.delimiter
        if header.line.lstrip().startswith("{"):
            raise DataError(f"{source} is JSON Lines: rows that are followed as they come are CSV with a header line")
        names = plain_names(next((cells for _, cells in csv_cells([header.line], delimiter, joined=0)), []))
        require_names(names, source)
        _require(source, names, required)
        for line, cells in rows_below(header, lines, names, source, joined=0, has_end=True):
            try:
                if len(cells) != len(names):
                    raise UnusableError(f"ragged row: {len(cells)} cells, the header has {len(names)}")
                if isinstance(cells, Unended) and names[-1] == label:
                    require_whole(cells[-1], known)
            except UnusableError as error:
                yield error.skip(f"{source}:{line}")
                continue
            read = cells if delimiter == "," else _with_points(cells, delimiter)
            record = dict(zip(names, read, strict=True))
            if label and len(known) < MOST_KNOWN:
                known[record[label]] = None
            yield record


def _text(file: IO[bytes]) -> io.TextIOWrapper:
    """Read text as it comes: UTF-8, or UTF-16 as Excel writes it, known by its first bytes."""
    buffered = io.BufferedReader(cast("io.RawIOBase", file))
    encoding = encoding_of(buffered.peek(2)[:2])
    return io.TextIOWrapper(buffered, encoding=encoding, errors=errors_of(encoding), newline="")


def _require(source: str, names: list[str], required: Sequence[str]) -> None:
    if any(not name.isprintable() for name in names):
        raise DataError(f"{source} is no text in UTF-8, or in UTF-16 with its mark: save it as CSV (UTF-8)")
    if not any(names):
        raise DataError(f"{source} is empty, wanted a header line with {' and '.join(required)}")
    if lacking := [one for one in required if one not in names]:
        raise DataError(f"{source} has no column {lacking[0]!r}: there are {', '.join(names) or 'none'}")
    if twice := [name for name, count in Counter(names).items() if name and count > 1]:
        raise DataError(f"{source} has two columns of the same name, {twice[0]}: rename one")


def _with_points(cells: list[str], delimiter: str) -> list[str]:
    """Return cells with numbers of decimal commas as others are written."""
    return [one.replace(",", ".") if "," in one and is_number(one, delimiter) else one for one in cells]


def _bounded(source: str, text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise DataError(f"{source} has a line of more than {LONGEST_LINE:,} characters")
        yield line


def _is_file(path: Path) -> bool:
    return path != STDIN and path.exists() and stat.S_ISREG(path.stat().st_mode)
