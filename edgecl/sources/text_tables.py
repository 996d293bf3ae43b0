"""Tables of texts: a column text, and a column of labels."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from edgecl.errors import DataError
from edgecl.sources.cells import csv_cells
from edgecl.sources.csv_columns import csv_lines, header_line, open_table
from edgecl.sources.json_lines import text_signal
from edgecl.sources.labels import clean_label, is_missing, missing_label, valid_text
from edgecl.sources.samples import Sample, Skip, SkipTally, UnusableError

TEXT_NAMES = ("text", "sentence", "utterance", "query")
JOINED_LINES = 256  # of one text, such as a letter


def read_text_table(
    path: Path, *, label: str | None, labelled: bool, label_column: str | None
) -> Iterator[Sample | Skip]:
    """Yield the texts of a .csv or .tsv.

    Raises
    ------
    DataError
        The file is unreadable, has no column of texts, or no label where one is needed, or two.
    """
    try:
        with open_table(path) as file:
            first, delimiter = header_line(file)
            names = [valid_text(name).lower() for name in next(csv.reader([first], delimiter=delimiter), [])]
            text, named = _places(path, names, label_column)
            _check_label(path, named, label=label, labelled=labelled)
            tally = SkipTally(str(path))
            for number, cells in csv_cells(csv_lines(file), delimiter, width=len(names), joined=JOINED_LINES):
                line = number + 1
                try:
                    yield _sample(f"{path}:{line}", cells, len(names), text, named, label, labelled=labelled)
                except UnusableError as error:
                    yield from tally.skip(line, str(error))
            yield from tally.rest()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    except csv.Error as error:
        raise DataError(f"{path} is not CSV: {error}") from error


def _places(path: Path, names: list[str], label_column: str | None) -> tuple[int, int | None]:
    """Return the columns of texts and of labels."""
    text = next((names.index(name) for name in TEXT_NAMES if name in names), None)
    if text is None:
        raise DataError(f"{path} has no column text, only {', '.join(names)}")
    if label_column is not None and label_column.lower() not in names:
        raise DataError(f"{path} has no column {label_column}, only {', '.join(names)}", parameter="label_column")
    wanted = label_column.lower() if label_column else "label"
    return text, names.index(wanted) if wanted in names else None


def _check_label(path: Path, column: int | None, *, label: str | None, labelled: bool) -> None:
    if column is not None and label is not None:
        raise DataError(f"{path} has labels of its own: give no other", parameter="label")
    if labelled and column is None and label is None:
        raise DataError(f"{path} has no labels: give the label of its samples", parameter="label")


def _sample(
    source: str, cells: list[str], width: int, text: int, named: int | None, label: str | None, *, labelled: bool
) -> Sample:
    if len(cells) != width:
        raise UnusableError(f"ragged row: {len(cells)} cells, the header has {width}")
    found = label
    if named is not None:
        found = None if is_missing(cells[named]) else clean_label(cells[named])
        if found is None and labelled:
            raise UnusableError(missing_label(cells[named]))
    return Sample(source, found, text_signal(cells[text]), None)
