"""Label files: when which word is in a recording.

Three forms, by the end of the name; times are seconds from the beginning of the recording.

- `.csv` or `.tsv`: a header with the columns label, begin and end, in any order; others are ignored.
- `.jsonl`: one `{"label": ..., "begin": ..., "end": ...}` per line; other members are ignored.
- `.txt`: a label track of Audacity: begin, end and label with tabs between them, without a header.

A label file is the truth that something is measured by: a line that cannot be used is an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from edgecl.errors import DataError
from edgecl.sources.cells import csv_cells
from edgecl.sources.folders import require_file
from edgecl.sources.labels import clean_label
from edgecl.sources.lines import LONGEST_LINE, bounded_lines, guess_delimiter
from edgecl.sources.samples import UnusableError

COLUMNS = ("label", "begin", "end")
LABEL_FILES = (".csv", ".tsv", ".jsonl", ".txt")
MOST_SPANS = 1_000_000


@dataclass(frozen=True)
class Span:
    """A stretch of a recording and what is in it."""

    label: str
    begin: float
    """Seconds from the beginning of the recording."""
    end: float


def read_spans(path: Path) -> list[Span]:
    r"""Read a label file, in order of time.

    Raises
    ------
    DataError
        The file is missing or of another form, a line has no label or no times, or there is none.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "evening.csv")
    ...     _ = file.write_text("label,begin,end\nyes,2.5,3.1\n")
    ...     read_spans(file)
    [Span(label='yes', begin=2.5, end=3.1)]
    """
    readers = {".csv": _of_table, ".tsv": _of_table, ".jsonl": _of_json_lines, ".txt": _of_label_track}
    if path.suffix.lower() not in readers:
        raise DataError(f"{path} is no label file: wanted {', '.join(LABEL_FILES)} with label, begin and end")
    try:
        require_file(path)
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            lines = bounded_lines(file, limit=LONGEST_LINE, error=lambda line, why: DataError(f"{path}:{line}: {why}"))
            found = list(islice(readers[path.suffix.lower()](path, lines), MOST_SPANS + 1))
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    if not 0 < len(found) <= MOST_SPANS:
        wanted = f"wanted 1 to {MOST_SPANS:,} lines of label, begin and end"
        raise DataError(f"{path} has {'too many' if found else 'no'} labels in it: {wanted}")
    return sorted(found, key=lambda one: (one.begin, one.end, one.label))


def _of_table(path: Path, lines: Iterator[str]) -> Iterator[Span]:
    header = next(lines, "").rstrip("\r\n")
    delimiter = guess_delimiter(header)
    names = [one.strip().strip('"').lower() for one in header.split(delimiter)]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise DataError(f"{path} has the columns {', '.join(names)!a}: wanted label, begin and end (in seconds)")
    places = [names.index(name) for name in COLUMNS]
    for number, line in _numbered(lines, start=2):
        cells = next((cells for _, cells in csv_cells([line], delimiter, joined=0)), [])
        if len(cells) != len(names):
            raise DataError(f"{path}:{number}: {len(cells)} cells, the header has {len(names)}")
        yield _span(path, number, *(cells[place] for place in places), decimal="," if delimiter == ";" else ".")


def _of_json_lines(path: Path, lines: Iterator[str]) -> Iterator[Span]:
    for number, line in _numbered(lines, start=1):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not JSON: {error}") from error
        if not isinstance(value, dict) or not all(name in value for name in COLUMNS):
            raise DataError(f'{path}:{number}: wanted {{"label": ..., "begin": ..., "end": ...}}')
        yield _span(path, number, *(value[name] for name in COLUMNS))


def _of_label_track(path: Path, lines: Iterator[str]) -> Iterator[Span]:
    for number, line in _numbered(lines, start=1):
        if line.startswith("\\"):  # the frequencies of the label above
            continue
        cells = line.split("\t")
        if len(cells) < 3:
            raise DataError(f"{path}:{number}: wanted a label track: begin, end and label with tabs between them")
        yield _span(path, number, cells[2], cells[0], cells[1], decimal="," if "," in cells[0] else ".")


def _numbered(lines: Iterator[str], *, start: int) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with their numbers."""
    for number, line in enumerate(lines, start=start):
        if line.strip():
            yield number, line.rstrip("\r\n")


def _span(path: Path, number: int, label: Any, begin: Any, end: Any, *, decimal: str = ".") -> Span:
    if not isinstance(label, str):
        raise DataError(f"{path}:{number}: the label {label!a} is not text")
    try:
        name = clean_label(label)
    except UnusableError as error:
        raise DataError(f"{path}:{number}: {error}") from error
    first, last = (_seconds(one, decimal) for one in (begin, end))
    if first is None or last is None or last < first:
        times = f"begin {begin!a:.40} and end {end!a:.40}"
        raise DataError(f"{path}:{number}: {times} are no times: wanted seconds, the end not before the beginning")
    return Span(name, first, last)


def _seconds(value: Any, decimal: str) -> float | None:
    """Return a time of zero or more; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        time = float(value.replace(decimal, ".") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return time if math.isfinite(time) and time >= 0 else None
