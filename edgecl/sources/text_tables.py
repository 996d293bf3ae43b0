"""Tables of texts: a column text, and a column of labels."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from edgecl.errors import DataError
from edgecl.sources.cells import Unended
from edgecl.sources.choices import Choices
from edgecl.sources.csv_axes import named_column
from edgecl.sources.csv_columns import csv_lines, open_table
from edgecl.sources.headers import header_line, plain_names, require_distinct, rows_below
from edgecl.sources.json_lines import TEXT_NAMES, require_text_column, text_signal
from edgecl.sources.labels import clean_label, is_missing, missing_label, require_whole
from edgecl.sources.samples import Sample, Skip, SkipTally, UnusableError

JOINED_LINES = 256  # of one text, such as a letter


def read_text_table(path: Path, *, label: str | None, labelled: bool, how: Choices) -> Iterator[Sample | Skip]:
    """Yield the texts of a .csv or .tsv.

    The names of the columns may come again, as where files were joined.

    Raises
    ------
    DataError
        The file is unreadable, has no column of texts, or two of a name, or no label where one is needed, or two.
    """
    with open_table(path) as file:
        header = header_line(file)
        names = plain_names(next(csv.reader([header.line], delimiter=header.delimiter), []))
        if not any(names):
            raise DataError(f"nothing in {path} can be used: it is empty")
        text, named = _places(path, names, how)
        if named is not None and label is not None:
            raise DataError(f"{path} has labels of its own: give no other", parameter="label")
        if labelled and named is None and label is None:
            others = ", ".join(name for at, name in enumerate(names) if at != text and name)
            raise DataError(
                f"{path} has no labels: give the label of its samples"
                + (f", or the column that has them (of {others})" if others else ""),
                parameter="label_column" if others else "label",
            )
        tally, known = SkipTally(str(path)), set[str]()
        rows = rows_below(header, csv_lines(file), names, path, joined=JOINED_LINES, has_end=True)
        for line, cells in rows:
            try:
                sample = _sample(f"{path}:{line}", cells, len(names), text, named, label, labelled=labelled)
                if sample.label is not None and named == len(names) - 1:
                    if type(cells) is Unended:
                        require_whole(sample.label, known)
                    known.add(sample.label)
                yield sample
            except UnusableError as error:
                yield from tally.skip(line, str(error))
        yield from tally.rest()


def _places(path: Path, names: list[str], how: Choices) -> tuple[int, int | None]:
    """Return the columns of texts and of labels."""
    place = {name: column for column, name in enumerate(names)}
    require_distinct(names, path)
    require_text_column(path, how)
    if how.columns:
        text = named_column(path, place, how.columns["text"], "columns")
    else:
        text = next((place[name] for name in TEXT_NAMES if name in place), -1)
    if text < 0:
        raise DataError(
            f"{path} has no column text, only {', '.join(names)}: name the column of the texts as text=NAME; where the "
            "first line is a text already, write a line of names above it",
            parameter="columns",
        )
    label = named_column(path, place, how.label_column, "label_column") if how.label_column else place.get("label")
    if label == text:
        raise DataError(
            f"{path}: {names[text]} is the column of the texts: name that of the labels", parameter="label_column"
        )
    return text, label


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
