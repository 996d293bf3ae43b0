"""Data from Python whose columns have names: rows as mappings, and DataFrames of pandas and polars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.notes import Logger
from edgecl.sources.samples import UnusableError
from edgecl.sources.tables import RowPlan, TableEncoding

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract

logger = Logger(__name__)
CELL = str | float | int | None


class NamedRows:
    """Encodes rows of a table by the names of their columns, in any case and order."""

    def __init__(self, contract: Contract) -> None:
        self.encoding = TableEncoding(contract)
        self._names: tuple[tuple[Any, ...], RowPlan | None] = ((), None)
        """Names of the last row's cells, and how such rows are read."""

    def encode(self, row: Mapping[Any, Any]) -> list[float]:
        """Return the channels of a row; a column that is missing is an empty cell.

        Raises
        ------
        DataError
            The row has other columns in place of those that are missing, or two of one name.
        UnusableError
            A cell cannot be used.
        """
        names = tuple(row)
        if names != self._names[0]:
            self._require_columns(names)
            self._names = names, self.encoding.of_names(names)
        plan = self._names[1]
        values = None if plan is None else self.encoding.quickly(row.values(), plan)
        if values is not None:
            return values
        named = {str(name).strip().lower(): value for name, value in row.items()}
        return self.encode_cells([named.get(column) for column in self.encoding.columns])

    def encode_cells(self, cells: Iterable[Any]) -> list[float]:
        """Return the channels of cells in the order of the columns.

        Raises
        ------
        UnusableError
            A cell cannot be used.
        """
        return self.encoding.encode(["" if cell is None else str(cell) for cell in cells])

    def of_frame(self, frame: Any) -> Iterable[Any]:
        """Return the rows of a DataFrame as mappings; those of one whose columns have no names as arrays.

        Raises
        ------
        DataError
            A column is missing or twice.
        """
        names = list(frame.columns)
        if not any(isinstance(name, str) for name in names):
            return frame.to_numpy()  # type: ignore[no-any-return]
        self._require_columns(names, are_all=True)
        values = frame.itertuples(index=False, name=None) if hasattr(frame, "itertuples") else frame.iter_rows()
        return (dict(zip(names, row, strict=True)) for row in values)

    def signal(self, one: Any) -> NDArray[np.float32] | None:
        """Return the signal (1, channels) of a row; None where it has channels already.

        A row is a mapping, a Series of pandas, or a sequence of the values of all columns in their order.

        Raises
        ------
        DataError, UnusableError
            As `encode`.
        """
        if hasattr(one, "columns"):
            raise UnusableError("not a row: a DataFrame in a list: give the DataFrame itself, whose rows are samples")
        named = as_mapping(one)
        if named is not None:
            return np.array([self.encode(named)], np.float32)
        cells = one.tolist() if isinstance(one, np.ndarray) else one
        if not isinstance(cells, list | tuple) or len(cells) != len(self.encoding.columns):
            return None
        if any(isinstance(cell, list | tuple | np.ndarray) for cell in cells):
            return None
        are_numbers = not any(isinstance(cell, str) or cell is None for cell in cells)
        if are_numbers and self.encoding.width == len(cells):  # as they are learnt
            self.encoding.note_large(cells)
            return None
        return np.array([self.encode_cells(cells)], np.float32)

    def is_row(self, data: Any) -> bool:
        """Test whether data is one row: with names, or the values of all columns in their order."""
        if isinstance(data, list | tuple) and len(data) == len(self.encoding.columns):
            return any(isinstance(cell, str) for cell in data) and all(isinstance(cell, CELL) for cell in data)
        return as_mapping(data) is not None

    def noted(self, items: Iterator[Any]) -> Iterator[Any]:
        """Pass items; at their end warn of cells that were not read as they are."""
        yield from items
        for note in self.encoding.notes():
            logger.warning("%s", note)

    def _require_columns(self, names: Sequence[Any], *, are_all: bool = False) -> None:
        """Refuse names that are twice, and others in place of columns: a misspelt one would be missing in every row."""
        given, columns = [str(name).strip().lower() for name in names], self.encoding.columns
        twice = [one for one in columns if given.count(one) > 1]
        if twice:
            raise DataError(f"the row has two columns of the same name, {twice[0]}")
        lacking = [one for one in columns if one not in given]
        others = [one for one in given if one not in columns]
        if lacking and (are_all or others or len(lacking) == len(columns)):
            raise DataError(
                f"the row has no column {lacking[0]!r}, only {', '.join(given) or 'none'}: give None where a value is "
                "missing"
            )


def as_mapping(one: Any) -> Mapping[Any, Any] | None:
    """Return a mapping, or a Series of pandas with names, as a mapping; None of anything else."""
    if isinstance(one, Mapping):
        return one
    if hasattr(one, "columns"):  # many rows
        return None
    if hasattr(one, "index") and hasattr(one, "to_dict") and any(isinstance(name, str) for name in one.index):
        return one.to_dict()  # type: ignore[no-any-return]
    return None


def in_channel_order(frame: Any, contract: Contract) -> NDArray[Any]:
    """Return a DataFrame as an array (time, channels), its columns by their names, as those of files are.

    Raises
    ------
    UnusableError
        Its columns are not those that the extractor takes.
    """
    from edgecl.sources.csv_axes import channel_columns
    from edgecl.sources.scales import require_stated_units

    if not any(isinstance(name, str) for name in frame.columns):
        return frame.to_numpy()  # type: ignore[no-any-return]
    given = [str(name).strip() for name in frame.columns]
    names, wanted, source = [one.lower() for one in given], [one.lower() for one in contract.channels], Path("it")
    try:
        order = channel_columns(source, names, list(range(len(names))), wanted, {})
        if [names[at] for at in order] != wanted:
            require_stated_units(source, [given[at] for at in order], contract, {})
    except DataError as error:
        raise UnusableError(
            f"wrong columns: {error}: give them as an array, frame[[...]].to_numpy(), in the order of "
            f"{', '.join(contract.channels)}"
        ) from error
    return np.stack([np.asarray(frame[frame.columns[at]]) for at in order], axis=1)


def framed(frame: Any, contract: Contract, rows: NamedRows | None, *, latents: bool) -> Iterable[Any]:
    """Return what a DataFrame holds: latents, rows of a table, or one recording of movement.

    Raises
    ------
    DataError
        The extractor takes neither, or a column is missing or twice.
    """
    if not hasattr(frame, "to_numpy"):
        raise DataError(f"a {type(frame).__name__} is not read: give a DataFrame of pandas or polars, or arrays")
    if latents:
        return frame.to_numpy()  # type: ignore[no-any-return]
    if rows is not None:
        return rows.of_frame(frame)
    if contract.modality == "imu":
        return [frame]
    what = "its column of texts, frame['text']" if contract.modality == "text" else "arrays, one for each sample"
    raise DataError(f"a DataFrame is not what an extractor of {contract.modality} takes: give {what}")
