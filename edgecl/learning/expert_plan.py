"""Which experts follow a stream: as many as the memory granted holds, each with its bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from edgecl.errors import SettingError
from edgecl.units import format_bytes

FIXED = 4  # heads that do not change from label to label: the closed form, and three kept revisions
CLOSED_FORM = 0  # place of the closed form among them
RATES = (0.1, 0.3, 1.0)  # of AdaGrad
FORGETTINGS = (0.999, 1.0)  # of least squares
LIFT = 64  # random units
CONSTANTS = 2  # columns that give them thresholds
TABLES, CELL_RATE = 96, 0.05  # of random cells, and of AdaGrad on them
EARLIER_TABLES, EARLIER_CELL_RATE = 64, 0.08  # of streams that began without tables on pairs of columns
TESTS = 6  # at most, of each table: 2^TESTS cells
REMEMBERED = (1024, 512, 256)  # rows that neighbours are looked for among
NEIGHBOURS = 9
SCALE_BYTES = 21 + 13 * 8  # of a column with knots; the first 128 rows are kept where the latest ones will be


@dataclass(frozen=True)
class ExpertPlan:
    """What runs, and what it takes."""

    row_dimension: int
    """Columns p of a row as it comes from projection."""
    max_classes: int
    lift_width: int
    rates: tuple[float, ...]
    forgettings: tuple[float, ...]
    tables: int
    """Tables of random cells."""
    remembered: int
    """Rows of the neighbours' memory."""
    paired: bool = False
    """Whether every other table tests a pair of columns, three times each."""

    @property
    def cell_rate(self) -> float:
        """Rate of AdaGrad on the cells."""
        return CELL_RATE if self.paired else EARLIER_CELL_RATE

    @property
    def cell_tests(self) -> tuple[int, int, bool]:
        """What the tests of the cells are drawn by, next to the seed."""
        return self.row_dimension, self.tables, self.paired

    @property
    def dimension(self) -> int:
        """Columns of a feature: random units, the row, a constant."""
        return self.lift_width + self.row_dimension + 1

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every expert, in the order of the mixture's weights."""
        fixed = ("closed form", *(f"kept {place}" for place in range(1, FIXED)))
        gradient = tuple(f"gradient {rate:g}" for rate in self.rates)
        solved = tuple(f"least squares {forgetting:g}" for forgetting in self.forgettings)
        cells = ("cells",) if self.tables else ()
        return (*fixed, "transitions", *gradient, *cells, *solved, *(("neighbours",) if self.remembered else ()))

    def expert_keys(self, array: str) -> tuple[float, ...]:
        """Return what the first axis of an array of `ExpertState` stands for: rates, or forgettings."""
        return self.rates if array == "gradient" else self.forgettings

    @cached_property
    def bytes(self) -> dict[str, int]:
        """Return the bytes of each expert's state, of the scale and the scratch space."""
        d, p, classes = self.dimension, self.row_dimension, self.max_classes
        gradient = {f"gradient {rate:g}": 2 * classes * d * 4 for rate in self.rates}
        solved = {f"least squares {one:g}": classes * d * 8 + d * (d + 1) // 2 * 8 for one in self.forgettings}
        shared = SCALE_BYTES * p + 8 + 2 * len(self.names) * 8 + 2 * d * 8 + classes * 12 + 1024
        return {
            "transitions": classes * classes * 4,
            **gradient,
            **(
                {"cells": 2 * classes * (self.tables << TESTS) * 4 + self.tables * (TESTS * 8 + 4)}
                if self.tables
                else {}
            ),
            **solved,
            **({"neighbours": self.remembered * (p + 8) + NEIGHBOURS * 4} if self.remembered else {}),
            "shared": shared,
        }

    @property
    def nbytes(self) -> int:
        return sum(self.bytes.values())

    def waiting_bytes(self, classes: int) -> int:
        """Return the bytes of a row whose label has not come yet."""
        return self.row_dimension * 4 + (len(self.names) + 1) * classes * 4 + 200


def every_expert(row_dimension: int, max_classes: int, *, paired: bool = True) -> ExpertPlan:
    """Return the plan of all experts; not `paired` as of a stream that began without tables on pairs of columns."""
    tables = TABLES if paired else EARLIER_TABLES
    return ExpertPlan(row_dimension, max_classes, LIFT, RATES, FORGETTINGS, tables, REMEMBERED[0], paired)


def fewest_experts(row_dimension: int, max_classes: int) -> ExpertPlan:
    """Return the plan of the one expert that goes last."""
    return _ways(every_expert(row_dimension, max_classes))[-1]


def _ways(every: ExpertPlan) -> list[ExpertPlan]:
    """Return the plans from every expert to one, each smaller than the one before."""
    ways = [every]
    changes: tuple[dict[str, Any], ...] = (
        *({"remembered": rows} for rows in REMEMBERED[1:]),
        {"tables": every.tables // 2},
        {"forgettings": FORGETTINGS[:1]},
        {"tables": every.tables // 4},
        {"tables": 0},
        {"forgettings": ()},
        {"remembered": 0},
        {"lift_width": 0},
        {"rates": RATES[:1]},
    )
    for change in changes:
        ways.append(replace(ways[-1], **change))
    return ways


def plan_experts(*, row_dimension: int, max_classes: int, available_bytes: int, paired: bool = True) -> ExpertPlan:
    """Choose the experts that fit, the cheapest last to go; `paired` is of `every_expert`.

    Raises
    ------
    SettingError
        Not even one gradient expert fits.
    """
    ways = _ways(every_expert(row_dimension, max_classes, paired=paired))
    for way in ways:
        if way.nbytes <= available_bytes:
            return way
    raise SettingError(
        f"the experts of a stream need {format_bytes(ways[-1].nbytes)}, "
        f"{format_bytes(max(available_bytes, 0))} are left: grant more memory, or fewer classes",
        parameter="memory_bytes",
    )


def capacity_for(classes: int) -> int:
    """Return for how many classes arrays are made: a power of two, 4 or more, so that they rarely grow."""
    return max(1 << max(classes - 1, 0).bit_length(), 4)
