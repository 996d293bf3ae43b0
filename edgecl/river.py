"""A River classifier over edgecl's experts of a stream; the extra `[river]`."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, EdgeclError
from edgecl.learning.expert_plan import FIXED, capacity_for, plan_experts
from edgecl.learning.expert_state import ExpertState
from edgecl.learning.experts import Experts, Learning
from edgecl.learning.heavy_tails import JUDGED_ROWS
from edgecl.learning.row_scaling import RowScaling
from edgecl.sources.csv_times import is_number
from edgecl.sources.labels import are_known, is_none
from edgecl.units import parse_bytes

try:
    from river import base
except ImportError as error:
    raise EdgeclError('edgecl.river needs River 0.22 or later: pip install "edgecl[river]"') from error

FEWEST_COLUMNS = 4
FAR = 1e6  # first value of a column from which others are taken as their distance to it, if the next one is near it
NEAR = 1 / 16  # of a first value: what is farther from it has all its digits without
CHANCES = 2  # values that may be the first one: a sentinel may come before
MANY = 16  # different numbers as text from which on a feature is probably no category
NOT_THERE = ("NAType", "NaTType")  # what pandas puts where there is no value
LARGEST = 1e30  # beyond which values are cut
Column = tuple[Any, ...]


class EdgeClassifier(base.Classifier):  # type: ignore[misc]
    """Follow a stream of rows by experts at several time scales, mixed by how right each has been of late.

    Rows are dictionaries. Numbers are scaled as in `follow`, by the stream's first rows; any other value becomes a
    column of its own for each (feature, value), 1 where the row has it. A feature that a row lacks takes its mean, or
    its median where it has a heavy tail.

    Parameters
    ----------
    memory
        Bytes, or a size such as "1 MiB", that the experts may take: fewer take part where it is small.
    max_columns
        Columns beyond which new ones are ignored.
    seed
        Of the random units and cells; None is 0.

    Examples
    --------
    >>> model = EdgeClassifier()
    >>> for at in range(40):
    ...     model.learn_one({"temperature": at % 2 + at / 100}, at % 2 == 1)
    >>> model.predict_one({"temperature": 1.2}), model.predict_one({"temperature": 0.1})
    (True, False)
    """

    def __init__(self, memory: int | str = "4 MiB", max_columns: int = 256, seed: int | None = 0) -> None:
        self.memory = memory
        self.max_columns = max_columns
        self.seed = seed
        self._columns: dict[Column, int] = {}
        self._origins: dict[int, float] = {}
        """Column to its first value, where that is so far out that single precision would lose what changes."""
        self._chances: dict[int, int] = {}
        """Column to the values that may still be its origin, where no other value has come that decides it."""
        self._labels: dict[str, Any] = {}
        self._named: set[str] = set()
        """What a warning has named: labels that came in another type, and "" for columns that do not fit."""
        self._experts: Experts | None = None
        self._last: tuple[dict[Any, Any], RowScaling, int, NDArray[np.float32]] | None = None
        """The last row, what it was made with, and what was made of it."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"_origins": {}, "_chances": {}, "_named": set(), **state})  # not in earlier ones

    @property
    def _multiclass(self) -> bool:
        return True

    def learn_one(self, x: dict[Any, Any], y: Any) -> None:
        """Learn the label of a row.

        Raises
        ------
        SettingError
            When `memory` does not have room for the columns and classes.
        DataError
            When there is no label.
        """
        if is_none(y):
            raise DataError(f"the row has no label, but {y}: what is taught needs one", parameter="label")
        _require_row(x)
        experts = self._with_columns(x)
        name = self._name(y)
        row = self._row(x, experts)
        experts.follow(row, _no_fixed(experts), [Learning(0, 0, name)])

    def _name(self, y: Any) -> str:
        """Return the name of a label among the experts: equal labels, as 1, 1.0 and True, have one."""
        name = str(y)
        if name not in self._labels:
            name = next((known for known, label in self._labels.items() if _is_equal(label, y)), name)
            if isinstance(y, str) and are_known([y], (one for one in self._labels.values() if isinstance(one, str))):
                message = f"the label {y!r} is a known one in another spelling: learnt as a class of its own"
                warnings.warn(message, UserWarning, stacklevel=3)
            self._labels.setdefault(name, y)
        elif type(y) is not type(known := self._labels[name]) and name not in self._named and not _is_equal(known, y):
            self._named.add(name)
            message = f"the label {y!r} is learnt as {known!r}, which came first: predictions are of that type"
            warnings.warn(message, UserWarning, stacklevel=3)
        return name

    def predict_proba_one(self, x: dict[Any, Any]) -> dict[Any, float]:
        """Return the probability of each label; empty before the first. Nothing changes by it."""
        _require_row(x)
        experts = self._experts
        if experts is None or not experts.labels:
            return {}
        before = experts.state
        shares, _ = experts.follow(self._row(x, experts), _no_fixed(experts), [])
        experts.state = before
        whole = shares[0].astype(np.float64) / shares[0].sum(dtype=np.float64)
        return {self._labels[label]: float(share) for label, share in zip(experts.labels, whole, strict=True)}

    def _with_columns(self, x: dict[Any, Any]) -> Experts:
        """Return experts with a column for everything in a row; where columns are added, arrays are made wider."""
        known = (_column(name, value) for name, value in x.items())
        fresh = sorted((one for one in known if one is not None and one not in self._columns), key=repr)
        room = max(self.max_columns - len(self._columns), 0)
        if len(fresh) > room and "" not in self._named:
            self._warn_of_many(fresh[room])
        for column in fresh[:room]:
            place = self._columns[column] = len(self._columns)
            if len(column) == 2:
                self._warn_of_text(column)
            elif abs(first := _within(x[column[0]])) >= FAR:
                self._origins[place], self._chances[place] = first, CHANCES
        if self._chances:
            self._decide(x)
        width = max(1 << max(len(self._columns) - 1, 0).bit_length(), FEWEST_COLUMNS)
        if self._experts is None or width > len(self._experts.state.scaling.mean):
            self._experts = self._widened(width)
        return self._experts

    def _warn_of_many(self, column: Column) -> None:
        """Warn of the first column that there is no room for, as where a feature is a key or a time."""
        self._named.add("")
        ((name, count),) = Counter(one[0] for one in self._columns).most_common(1) or [("", 0)]
        message = f"max_columns is reached: {column[-1]!r} is ignored as is what comes new: grant more columns"
        if count > 1:
            share = f"{count} of {len(self._columns)} columns"
            message += f", or leave {name!r} out if it is a key or a time: it has {share}, one for each value"
        warnings.warn(message, UserWarning, stacklevel=4)

    def _warn_of_text(self, column: Column) -> None:
        """Warn where a feature has come as the text of many numbers, as `csv.DictReader` has it: each is a column."""
        texts = [one for one in self._columns if len(one) == 2 and one[0] == column[0] and is_number(one[1], ",")]
        if len(texts) == MANY and column in texts:
            message = f"{column[0]!r} has numbers as text, such as {column[1]!r}, each a category: give float()"
            warnings.warn(message, UserWarning, stacklevel=4)

    def _decide(self, x: dict[Any, Any]) -> None:
        """Keep or change the origins of columns that a row decides about."""
        for name, value in x.items():
            place = self._columns.get((name,), -1)
            if place in self._chances and _column(name, value) == (name,):
                self._origins[place], self._chances[place] = self._origin(place, _within(value))
                if not self._chances[place]:
                    del self._chances[place]

    def _origin(self, place: int, value: float) -> tuple[float, int]:
        """Return the origin of a column as a value leaves it, and how many may still be one.

        The first value is one if the next that differs lies near it; else that is it, if the next lies near that.
        """
        origin, chances = self._origins.get(place, 0.0), self._chances.get(place, 0)
        if not chances or value == origin:
            return origin, chances
        if abs(value - origin) < NEAR * abs(origin):
            return origin, 0
        return (value, chances - 1) if chances > 1 and abs(value) >= FAR else (0.0, 0)

    def _widened(self, width: int) -> Experts:
        """Return experts of more columns: mixture, order of labels and scale go on, what has weights starts again."""
        granted = parse_bytes(self.memory) if isinstance(self.memory, str) else int(self.memory)
        granted -= 4 * width * (JUDGED_ROWS - 1)  # which the scale keeps of the first rows
        old = self._experts.state if self._experts else None
        classes = capacity_for(len(old.labels) if old else 2)
        plan = plan_experts(row_dimension=width, max_classes=classes, available_bytes=granted)
        state = (
            ExpertState.start(plan) if old is None else replace(old.fitted(plan), scaling=old.scaling.widened(width))
        )
        return Experts(state, seed=self.seed or 0, available_bytes=granted)

    def _row(self, x: dict[Any, Any], experts: Experts) -> NDArray[np.float32]:
        """Return a row (1, p); the same one where it came last: a row is mostly predicted, then learnt."""
        scaling, columns, last = experts.state.scaling, len(self._columns), self._last
        if last is not None and last[1] is scaling and last[2] == columns and _is_equal(last[0], x):
            return last[3]
        made = self._made(x, scaling)
        self._last = dict(x), scaling, columns, made
        return made

    def _made(self, x: dict[Any, Any], scaling: RowScaling) -> NDArray[np.float32]:
        """Return a row (1, p): what is typical where the row says nothing, 0 or 1 for what is no number."""
        row = scaling.typical.astype(np.float32)
        row[[at for known, at in self._columns.items() if len(known) > 1]] = 0
        for name, value in x.items():
            column = _column(name, value)
            place = -1 if column is None else self._columns.get(column, -1)
            if place >= 0 and _is_number(value):
                number = _within(value)
                row[place] = number - self._origin(place, number)[0] if place in self._origins else number
            elif place >= 0:
                row[place] = 1
        return row[None]


def _require_row(x: Any) -> None:
    if not hasattr(x, "items"):
        raise DataError(f"a row is a dictionary from feature to value, not {type(x).__name__}")


def _is_equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except (ValueError, TypeError, ArithmeticError):  # of arrays, NA of pandas, a signalling NaN
        return False


def _column(name: Any, value: Any) -> Column | None:
    """Return what a value's column is known by: its name, and what is no number; None for a missing value."""
    if _is_number(value):
        return (name,) if _is_finite(value) else None
    return None if value is None or type(value).__name__ in NOT_THERE else (name, str(value))


def _is_finite(value: Any) -> bool:
    """Test whether a number is one; integers may be larger than any float."""
    try:
        return bool(abs(value) < math.inf)  # false of NaN
    except ArithmeticError:  # of a Decimal that is NaN
        return False


def _within(value: Any) -> float:
    """Return a number as a float, cut at ±LARGEST."""
    return float(min(max(value, -LARGEST), LARGEST))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number | np.bool_ | Decimal | Fraction)


def _no_fixed(experts: Experts) -> NDArray[np.float32]:
    return np.zeros((1, FIXED, len(experts.labels)), np.float32)
