"""The extractor for tables: columns of numbers scaled, categories one by one, room for what is missing."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, SettingError
from edgecl.extractors.contract import Contract
from edgecl.notes import Logger
from edgecl.sources.cells import number_of
from edgecl.sources.csv_columns import table_head
from edgecl.sources.labels import is_missing, two_spellings, valid_text
from edgecl.sources.samples import LARGEST
from edgecl.sources.tables import CATEGORY, CUT, EMPTY, IS_MISSING, MISSING, NO_NUMBER, NUMBER, SCALED
from edgecl_export._contract import write
from edgecl_export._graph import Graph

logger = Logger("edgecl.export.table")
_KEY = re.compile(r"(.*[ _-])?(id|uuid|guid|key|index|row|no|number)")
ROWS = 10_000  # that columns are judged by
CATEGORIES = 32  # of a column; rarer ones are read as none of them
COUNTED = 8  # rows from which on a column may be seen to count them
_MONEY = "[$\u20ac\u00a3\u00a5]"
_UNITS = (
    rf"%|{_MONEY}|eur|usd|gbp|[kmgt]?i?b|[km]?g|lb|oz|[kmcd]?m|ft|in|mi|km/h|mph|m/s2?|ms|s|sec|min|h|[km]?[vaw]|kwh"
    "|[kmg]?hz|db|\u00b0[cf]?|[cfk]|rpm|bpm"
)
_THOUSANDS = r"[1-9]\d{0,2}(,\d{3})+"
# An amount with a currency, a unit, a per cent sign, separators of thousands or a decimal comma.
_NUMBER_AS_TEXT = re.compile(
    rf"[-+]?{_MONEY}?\s?[-+]?(\d{{1,3}}([,.'\u2019\s]\d{{3}})+([.,]\d+)?|\d+([.,]\d+)?)\s?(?P<unit>{_UNITS})?",
    re.IGNORECASE,
)
ENDS = frozenset({32767, 32768, 65535, 2147483647, 2147483648, 4294967295})  # of whole numbers
FEWEST_OF_A_MARK = 3  # rows, and different values
FEWEST_GROUPED = 20  # numbers with a point, all of thousands
FEWEST_OF_A_LABEL = 3  # rows, where a column is to give it away
SURE_BITS = 20  # of rows that agree with those before them: by chance one column in a million does
TAIL = 0.01  # share of values on each side that the width of a column is taken without
FAR = 100.0  # widths from the middle beyond which a value does not scale its column


@dataclass(frozen=True)
class Column:
    """What the first rows say about a column."""

    name: str
    categories: tuple[str, ...]  # none for numbers
    centre: float
    scale: float
    has_missing: bool


def export_table(out: Path, like: Path, *, label_column: str = "label", categories: Sequence[str] = ()) -> Contract:
    """Write an extractor for rows like those of a file of CSV or JSON Lines.

    Its signal has, for each column of numbers, the number and whether it is missing, and for each category of another
    column whether it is that. Its latent has numbers less their mean, over their standard deviation, cut at 8;
    missing ones as 0, with a column of their own where the file has such; and the categories.

    Parameters
    ----------
    out
        The file to write.
    like
        Its first 10,000 rows are looked at; `label_column` and `timestamp` are left out.
    categories
        Columns of numbers that are names in truth, such as codes.

    Raises
    ------
    DataError
        `like` cannot be read, or has no columns or rows that can be used.
    SettingError
        A column is not there or its name cannot be used; `out` cannot be written.
    """
    columns = _columns(like, label_column=label_column, categories=categories)
    numbers = [one for one in columns if not one.categories]
    channels = [one.name for one in numbers] + [one.name + IS_MISSING for one in numbers]
    units = [NUMBER] * len(numbers) + [MISSING] * len(numbers)
    names = [f"{one.name}={value}" for one in columns for value in one.categories]
    kept = [index for index, one in enumerate(numbers) if one.has_missing]
    dimension = len(numbers) + len(kept) + len(names)
    contract = Contract(
        modality="table",
        sample_rate_hz=0.0,
        channels=(*channels, *names),
        units=(*units, *([CATEGORY] * len(names))),
        window_samples=1,
        hop_samples=1,
        pool_frames=1,
        dimension=dimension,
        mean=np.zeros(dimension, np.float32),
        normalisation="none",
        shrinkage_floor=0.01,
        source=SCALED + like.name,
        licence="Apache-2.0",
    )
    graph = Graph()
    parts = [*_scaled(graph, numbers), *_kept(graph, len(numbers), kept)]
    if names:
        parts.append(graph.slice("signal", 2 * len(numbers), None, axis=2, name="categories"))
    graph.add("Concat", *parts, name="frames", axis=2)
    model = graph.model(
        inputs={"signal": ("batch", 1, len(contract.channels))},
        outputs={"frames": ("batch", 1, dimension)},
        name="table",
    )
    return write(model, contract, Path(out))


def _scaled(graph: Graph, numbers: Sequence[Column]) -> list[str]:
    """(x - centre)/scale cut at CUT, zero where it is missing."""
    if not numbers:
        return []
    count = len(numbers)
    value = graph.slice("signal", 0, count, axis=2, name="numbers")
    missing = graph.slice("signal", count, 2 * count, axis=2, name="missing")
    centre = graph.constant("centre", np.array([one.centre for one in numbers], np.float32))
    factor = graph.constant("factor", np.array([1 / one.scale for one in numbers], np.float32))
    scaled = graph.add("Mul", graph.add("Sub", value, centre, name="centred"), factor, name="scaled")
    cut = graph.add("Clip", scaled, graph.number(-CUT), graph.number(CUT), name="cut")
    present = graph.add("Sub", graph.number(1.0), missing, name="present")
    return [graph.add("Mul", cut, present, name="known")]


def _kept(graph: Graph, numbers: int, kept: Sequence[int]) -> list[str]:
    """The indicators of the columns in which something was missing."""
    if not kept:
        return []
    indices = graph.integers(*(numbers + index for index in kept))
    return [graph.add("Gather", "signal", indices, name="indicators", axis=2)]


def _columns(like: Path, *, label_column: str, categories: Sequence[str]) -> list[Column]:
    names, rows, delimiter = _head(like)
    if not rows:
        raise DataError(f"{like} holds no rows of as many cells as its header: nothing can be told of its columns")
    lower = [name.lower() for name in names]
    strange = [name for name in (label_column, *categories) if name.lower() not in lower]
    if strange:
        asked = "label_column" if strange[0] == label_column else "categories"
        raise SettingError(f"{like} has no column {strange[0]}, only {', '.join(names)}", parameter=asked)
    if any("=" in name for name in names):
        raise SettingError(f"{like}: a column's name may not hold '=': rename it")
    twice = [name for name, count in Counter(lower).items() if name and count > 1]
    if twice:
        raise DataError(f"{like} has two columns of the same name, {twice[0]}: rename one")
    left_out = {label_column.lower(), "timestamp", ""}
    named = {name.lower() for name in categories}
    cells = {name: [row[index].strip() for row in rows] for index, name in enumerate(names)}
    labels = cells[names[lower.index(label_column.lower())]]
    found = []
    for name in names:
        if name.lower() not in left_out:
            try:
                found.append(_column(name, cells[name], decimal=delimiter != ",", is_named=name.lower() in named))
            except DataError as error:
                raise DataError(
                    f"{like}: {name!r} {error}: take it out of the table, or name it among the columns of categories",
                    parameter="categories",
                ) from error
    if not found:
        raise DataError(f"{like} has no columns but {', '.join(names)}")
    for one in found:
        if one.name.lower() not in named:
            _check_numbers(one, cells[one.name], like, delimiter)
        for note in _notes(one, cells[one.name], labels, decimal=delimiter != ","):
            logger.warning("%s: %r %s", like, one.name, note)
    return found


def _check_numbers(column: Column, cells: Sequence[str], like: Path, delimiter: str) -> None:
    """Refuse numbers that can be read in two ways, and many that are written as text: each would be a category."""
    present = [cell for cell in cells if cell.lower() not in EMPTY]
    commas = [cell for cell in present if "," in cell]
    if not column.categories:
        if delimiter not in ",;" and commas and all(re.fullmatch(_THOUSANDS, cell.lstrip("+-")) for cell in commas):
            raise DataError(
                f"{like}: {column.name!r} can be read in two ways, {commas[0]!a} with a decimal comma or with one for "
                "thousands: write it without"
            )
        return
    plain = sum(_number(cell, decimal=False) is not None for cell in present)
    found = [match for cell in present if (match := _NUMBER_AS_TEXT.fullmatch(cell))]
    texts = [one[0] for one in found if _number(one[0], decimal=False) is None]
    units = {(one["unit"] or "").lower() for one in found} - {""}
    if len(set(present)) > CATEGORIES and texts and len(units) < 2 and 2 * (len(texts) + plain) > len(present):
        raise DataError(
            f"{like}: {column.name!r} holds numbers written as text, {texts[0]!a} for one: write plain ones, such as "
            "1234.5, or name it among the columns of categories",
            parameter="categories",
        )


def _notes(column: Column, cells: Sequence[str], labels: Sequence[str], *, decimal: bool) -> list[str]:
    """Return what a user should look at: columns that give the label away here, and say nothing of rows to come."""
    values, known = set(cells), Counter(cells)
    notes = []
    if (told := _told_by_label(cells, labels)) is not None:
        notes.append(told)
    alike = two_spellings(sorted(column.categories))
    if alike is not None:
        notes.append(f"has {alike[0]!r} and {alike[1]!r} as two categories, which differ in spelling alone")
    if not column.categories:
        if (mixed := _grouped(cells)) is not None:
            notes.append(
                f"has {mixed[0]!r} beside {mixed[1]!r}: where points separate thousands, write numbers without them"
            )
        read = [math.nan if (one := _number(cell, decimal=decimal)) is None else one for cell in cells]
        notes += _notes_on_numbers(column.name, np.array(read))
    unknown = len(cells) - sum(known[value] for value in column.categories)
    if column.categories and 2 * unknown > len(cells):
        notes.append(
            f"has {len(values)} values, of which {CATEGORIES} have a place of their own: take it out of the table if "
            "it is a key or a time"
        )
    return notes


def _told_by_label(cells: Sequence[str], labels: Sequence[str]) -> str | None:
    """Return what the rows that have a label say of a column that gives it away: copied, or written after it."""
    pairs = Counter(pair for pair in zip(cells, labels, strict=True) if not is_missing(pair[1]))
    values, known = {value for value, _ in pairs}, Counter[str]()
    for (_, label), count in pairs.items():
        known[label] += count
    if len(known) < 2:
        return None
    if len(values) == len(known) == len(pairs) < len(cells) / 2:
        return "has one value for each label: is it a copy of the label? Take it out of the table if it is"
    if min(known.values()) < FEWEST_OF_A_LABEL:
        return None
    asked = "is it known before the label is? Take it out of the table if it is not"
    rows = known.total()
    bits = -sum((count - 1) * math.log2(known[label] / rows) for (_, label), count in pairs.items())
    if len(values) == len(pairs) <= CATEGORIES and bits >= SURE_BITS:
        return f"has {len(values)} values, each with one label alone: {asked}"
    empty = {label for value, label in pairs if value.lower() in EMPTY}
    filled = {label for value, label in pairs if value.lower() not in EMPTY}
    for one, other, how in ((empty, filled, "empty"), (filled, empty, "filled in")):
        if len(one) == 1 and other and one.isdisjoint(other):
            return f"is {how} where the label is {next(iter(one))!r}, and nowhere else: {asked}"
    return None


def _grouped(cells: Sequence[str]) -> tuple[str, str] | None:
    """Return a number of a column that seems to have points between thousands, and one that needs none.

    All with a point have three digits behind each, none is below 1, and all without one are below 1,000: of numbers
    with three decimals some are written with fewer, or all with a point.
    """
    present = [cell.lstrip("+-") for cell in cells if cell.lower() not in EMPTY]
    pointed = [cell for cell in present if "." in cell]
    plain = [cell for cell in present if "." not in cell]
    if len(pointed) < FEWEST_GROUPED or len(plain) < FEWEST_OF_A_MARK:
        return None
    if not all(re.fullmatch(r"[1-9]\d{0,2}(\.\d{3})+", cell) for cell in pointed):
        return None
    return (pointed[0], plain[0]) if all(re.fullmatch(r"\d{1,3}", cell) for cell in plain) else None


def _notes_on_numbers(name: str, values: NDArray[np.float64]) -> list[str]:
    """Return what a user should look at in a column of numbers (n,), NaN where one is missing."""
    notes = []
    present = values[np.isfinite(values)]
    different = np.unique(present)
    if len(values) > COUNTED and len(different) == len(values):
        steps = np.diff(values)
        if np.ptp(steps) <= 1e-6 * abs(steps[0]):
            notes.append("counts the rows, which says nothing of rows to come: take it out of the table")
        elif (steps > 0).all():
            notes.append("grows from row to row, as a time or a count does: rows to come lie beyond what was seen")
        elif _KEY.fullmatch(name.lower()) and (values == np.rint(values)).all():
            notes.append("has another value in each row: take it out of the table if it is a key")
    if (far := present[~_is_usual(present)] if len(present) else present).size:
        notes.append(
            f"has {len(far)} values far beyond nearly all others, {far[0]:.6g} for one, which do not scale it: leave "
            "the cell empty where such a value stands for a missing one"
        )
    if (mark := _mark(present, different)) is not None:
        notes.append(
            f"is {mark:.10g} in {int((present == mark).sum())} of {len(values)} rows, far from its other values: leave "
            "the cell empty where it stands for a missing one"
        )
    if 2 * len(np.unique(np.clip(different, -LARGEST, LARGEST).astype(np.float32))) < len(different):
        notes.append(
            "has values that single precision does not tell apart: write the difference to one of them, or of a time "
            "the hour"
        )
    return notes


def _mark(present: NDArray[np.float64], different: NDArray[np.float64]) -> float | None:
    """Return the number that seems to stand for a missing one: of nines or the end of a type, frequent and far out.

    Farther from the next value than all others are from each other.
    """
    if len(different) < FEWEST_OF_A_MARK:
        return None
    for mark, others in ((different[0], different[1:]), (different[-1], different[:-1])):
        is_mark = abs(mark) in ENDS or re.fullmatch(r"99+(\.9+)?", f"{abs(mark):.10g}")
        count = int((present == mark).sum())
        if is_mark and count >= FEWEST_OF_A_MARK and np.abs(others - mark).min() > np.ptp(others) > 0:
            return float(mark)
    return None


def _head(like: Path) -> tuple[list[str], list[list[str]], str]:
    """Return the names of the columns, the first whole rows, and the delimiter."""
    _, given, cells, delimiter, _, _ = table_head(like, rows=ROWS)
    names = [name.strip() for name in given]
    rows = [row for row in cells if len(row) == len(names)]
    odd = [cell for row in (names, *rows) for cell in row if not cell.isprintable()]
    if any("\0" in cell or valid_text(cell) != cell.strip() for cell in odd):
        raise DataError(f"{like} is no text in UTF-8, or in UTF-16 with its mark: save it as CSV (UTF-8)")
    return names, rows, delimiter


def _column(name: str, cells: Sequence[str], *, decimal: bool, is_named: bool) -> Column:
    """A column is of numbers if most of its cells are."""
    present = [cell for cell in cells if cell.lower() not in EMPTY]
    numbers = [] if is_named else [value for cell in present if (value := _number(cell, decimal=decimal)) is not None]
    has_missing = len(present) < len(cells)
    marks = sum(cell in NO_NUMBER for cell in present)
    if 2 * len(numbers) > len(present) or not present or (numbers and len(numbers) + marks == len(present)):
        has_missing = has_missing or marks > 0
        values = np.array(numbers)
        values = values[_is_usual(values)] if numbers else np.zeros(1)
        scale = float(values.std()) if np.ptp(values) else 0.0  # the mean of equal values may be off by a rounding
        return Column(name, (), float(values.mean()), scale or 1.0, has_missing)
    frequent = Counter(present).most_common(CATEGORIES)
    return Column(name, tuple(sorted(value for value, _ in frequent)), 0.0, 1.0, has_missing)


def _is_usual(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Test which values scale a column (n,): none that cannot be learnt, and none far beyond nearly all others."""
    usual: NDArray[np.bool_] = np.abs(values) <= LARGEST
    if not usual.any():
        raise DataError(f"holds numbers beyond {LARGEST:g}, {values[0]:.6g} for one, which cannot be learnt")
    low, high = np.quantile(values[usual], (TAIL, 1 - TAIL))
    return usual & (np.abs(values - (low + high) / 2) <= FAR * (high - low)) if high > low else usual


def _number(cell: str, *, decimal: bool) -> float | None:
    try:
        value = number_of(cell.replace(",", ".") if decimal else cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
