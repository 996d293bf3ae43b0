"""Rows of a table to signals: which columns an extractor takes, and how their cells become numbers.

The contract's channels define it. A channel of the unit "category" is called `column=value` and is 1 where the cell
contains that value; one of the unit "missing" is called `column is missing` and is 1 where the cell is empty; every
other channel is a column of numbers. So `learn` and `predict` see the same columns, whatever order a file has them in.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from edgecl.sources.cells import number_of
from edgecl.sources.labels import MISSING_WORDS, plain_form
from edgecl.sources.samples import LARGEST, UnusableError

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract

NUMBER, CATEGORY, MISSING = "number", "category", "missing"
SCALED = "columns of "  # begins the source of an extractor that scales numbers, and has them first in its latents
EXACT = 2.0**24  # from which on single precision skips whole numbers
LEVELS, FEWEST_LARGE = 16, 20  # values that a column is to have in it, once there are so many rows
CUT = 8.0  # standard deviations beyond which a number is cut: one outlier must not drown the other columns
IS_MISSING = " is missing"
EMPTY = MISSING_WORDS
# What stands for a missing number, beside the words of EMPTY; as a category or a label each may be one.
NO_NUMBER = frozenset({"-", "--", "---", "\u2013", "\u2014", ".", "..", ":", "*"})
BOOLEANS = {"true": 1.0, "false": 0.0}  # in a column of numbers, in any case
TRUTHS = (frozenset({"true", "t", "yes", "y", "1"}), frozenset({"false", "f", "no", "n", "0"}))  # of two categories
RowPlan: TypeAlias = "list[tuple[int | None, Mapping[str, int]] | None]"  # of each cell: channel, or categories
_PLAIN = (float, int)  # but no bool, and nothing whose text may be another number


def is_blurred(low: float, high: float) -> bool:
    """Test whether single precision has fewer than LEVELS values for a column from `low` to `high`.

    >>> is_blurred(1_700_000_000, 1_700_000_600), is_blurred(0, 600)
    (True, False)
    """
    step = math.ldexp(1.0, math.frexp(max(abs(low), abs(high)))[1] - 24)
    return 1e-5 * step < high - low < LEVELS * step


def other_spellings(categories: Mapping[str, int]) -> dict[str, int]:
    """Return the channel of each category by its plain form, without those that two share; of a boolean by all of its.

    >>> other_spellings({"Oslo": 0, "Bern": 1})["oslo"], other_spellings({"True": 0, "False": 1})["no"]
    (0, 1)
    """
    found: dict[str, list[int]] = {}
    for value, channel in categories.items():
        found.setdefault(plain_form(value), []).append(channel)
    forms = {form: channels[0] for form, channels in found.items() if len(channels) == 1}
    sides = [next((side for side in TRUTHS if form in side), frozenset()) for form in forms]
    if len(categories) == len(forms) == 2 and all(sides) and sides[0] != sides[1]:
        return {form: channel for side, channel in zip(sides, forms.values(), strict=True) for form in side}
    return forms


class TableEncoding:
    """Encodes cells as channels; counts missing and unknown values."""

    def __init__(self, contract: Contract) -> None:
        self.columns: list[str] = []  # columns of the file, in lower case, each once
        self.unknown: dict[str, tuple[int, str]] = {}  # column: cells of no known category, the first of them
        self.missing: dict[str, int] = {}  # column: cells that were empty
        self.width = len(contract.channels)
        self._numbers: dict[int, int] = {}  # column to channel
        self._is_scaled = contract.source.startswith(SCALED)  # by its rows, of which `export` has told
        self._large: dict[int, tuple[int, float, float]] = {}  # channel: rows beyond EXACT, least and largest value
        self._indicators: dict[int, int] = {}
        self._categories: dict[int, dict[str, int]] = {}
        for channel, (name, unit) in enumerate(zip(contract.channels, contract.units, strict=True)):
            if unit == CATEGORY:
                column, _, value = name.partition("=")
                self._categories.setdefault(self._column(column), {})[value] = channel
            elif unit == MISSING:
                self._indicators[self._column(name.removesuffix(IS_MISSING))] = channel
            else:
                self._numbers[self._column(name)] = channel
        self._spellings = {column: other_spellings(found) for column, found in self._categories.items()}

    @property
    def numbers(self) -> Collection[int]:
        """Indices in `columns` of those of numbers."""
        return self._numbers.keys()

    def _column(self, name: str) -> int:
        name = name.strip().lower()
        if name not in self.columns:
            self.columns.append(name)
        return self.columns.index(name)

    def encode(self, cells: Sequence[str]) -> list[float]:
        """Return one value for each channel, from cells in the order of `columns`.

        Raises
        ------
        UnusableError
            A cell is no number, not finite, or empty where the extractor has no channel for that.
        """
        values = [0.0] * self.width
        for column, channel in self._numbers.items():
            text = cells[column].strip()
            if text.lower() in EMPTY or text in NO_NUMBER:
                self._note_missing(column, values)
            else:
                values[channel] = self._number(text, column)
        for column, channels in self._categories.items():
            text = cells[column].strip()
            found = channels.get(text)
            if found is None:
                found = self._spellings[column].get(plain_form(text))
            if found is not None:
                values[found] = 1.0
            elif text.lower() in EMPTY:
                self.missing[self.columns[column]] = self.missing.get(self.columns[column], 0) + 1
            else:
                count, first = self.unknown.get(self.columns[column], (0, text[:40]))
                self.unknown[self.columns[column]] = count + 1, first
        self.note_large(values)
        return values

    def _note_missing(self, column: int, values: list[float]) -> None:
        name = self.columns[column]
        if column not in self._indicators:
            raise UnusableError(f"missing value: in {name!r}, and the extractor was made without room for one")
        values[self._indicators[column]] = 1.0
        self.missing[name] = self.missing.get(name, 0) + 1

    def _number(self, text: str, column: int) -> float:
        try:
            value = number_of(text)
        except ValueError:
            if text.lower() in BOOLEANS:
                return BOOLEANS[text.lower()]
            raise UnusableError(f"not a number: {ascii(text)[:40]} in {self.columns[column]!r}") from None
        if not math.isfinite(value):
            raise UnusableError(f"not finite: {text[:40]} in {self.columns[column]!r}")
        if abs(value) > LARGEST:
            name = self.columns[column]
            raise UnusableError(
                f"too large: {value:.3g} in {name!r}, at most {LARGEST:g} can be learnt: divide it, or write a time "
                "from its beginning"
            )
        return value

    def of_names(self, names: Sequence[str]) -> RowPlan | None:
        """Return how to encode rows whose cells have these names, in their order; None where one is lacking or twice.

        Names are in any case; those of no column are left out.
        """
        columns = [str(name).strip().lower() for name in names]
        known = [one for one in columns if one in self.columns]
        if len(set(known)) < len(known) or set(known) != set(self.columns):
            return None
        at = [self.columns.index(one) if one in self.columns else -1 for one in columns]
        return [(self._numbers.get(one), self._categories.get(one, {})) if one >= 0 else None for one in at]

    def quickly(self, values: Iterable[Any], plan: RowPlan) -> list[float] | None:
        """Return what `encode` does of the texts of values; None where one is not plainly a number or a category."""
        encoded = [0.0] * self.width
        for value, one in zip(values, plan, strict=True):
            if one is None:
                continue
            channel, categories = one
            if channel is None:
                found = categories.get(value.strip()) if type(value) is str else None
                if found is None:
                    return None
                encoded[found] = 1.0
            elif type(value) in _PLAIN and -LARGEST <= value <= LARGEST:  # which NaN is not
                encoded[channel] = float(value)
            else:
                return None
        self.note_large(encoded)
        return encoded

    def note_large(self, values: Sequence[float]) -> None:
        """Note the range of channels whose values are so large that single precision may not tell them apart."""
        if self._is_scaled or -EXACT < min(values) <= max(values) < EXACT:
            return
        for channel, value in enumerate(values):
            if abs(value) >= EXACT:
                count, low, high = self._large.get(channel, (0, value, value))
                self._large[channel] = count + 1, min(low, value), max(high, value)

    def notes(self) -> list[str]:
        """Return sentences on cells that were not read as they are."""
        notes = [
            f"categories that the extractor does not know in {count} of the cells of {column!r}, {first!r} for one: "
            "read as none of those it knows"
            for column, (count, first) in sorted(self.unknown.items())
        ]
        notes += [
            f"no value in {count} of the cells of {column!r}: read as missing"
            for column, count in sorted(self.missing.items())
        ]
        notes += [
            f"the values of {self.columns[column]!r}, {low:.12g} to {high:.12g}, are hardly told apart in single "
            "precision: write the difference to one of them, or of a time the hour"
            for column, channel in sorted(self._numbers.items())
            for count, low, high in [self._large.get(channel, (0, 0.0, 0.0))]
            if count >= FEWEST_LARGE and is_blurred(low, high)
        ]
        return notes
