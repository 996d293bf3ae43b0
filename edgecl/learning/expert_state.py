"""What the experts of a stream know, as arrays that are written in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from edgecl_kernels.calibration import EDGES
from numpy.typing import NDArray

from edgecl.learning.expert_plan import FIXED, TESTS, ExpertPlan
from edgecl.learning.row_scaling import RowScaling

START = 10.0  # what the diagonal of an inverse starts with
EVEN_ROWS = 20.0  # a bin of confidence starts as this many answers of which its own share was right


def start_reliability() -> NDArray[np.float64]:
    """Return the reliability table of answers that are as often right as they are sure."""
    ends = np.array([0.0, *EDGES, 1.0])
    return np.array([np.ones(len(ends) - 1), *2 * [(ends[:-1] + ends[1:]) / 2]]) * EVEN_ROWS


@dataclass(frozen=True)
class ExpertState:
    """The arrays of `edgecl_kernels.follow_rows`, with the labels and the scale that go with them.

    The arrays are written in place while a stream runs; `copy` is what a commit keeps.
    """

    plan: ExpertPlan
    labels: tuple[str, ...]
    """In the order in which they came first: a label's index in every array."""
    scaling: RowScaling
    counters: NDArray[np.int32]
    """(4,) classes, filled and next place of the memory, last label."""
    weights: NDArray[np.float64]
    """(2, K) of the mixture; 1 for an expert that takes part."""
    reliability: NDArray[np.float64]
    """(3, BINS) for each bin of confidence: weight of its answers, sums of their confidence and of those right."""
    transitions: NDArray[np.float32]
    """(C, C)"""
    gradient: NDArray[np.float32]
    """(A, 2, C, d)"""
    cells: NDArray[np.float32]
    """(2, C, M 2^T)"""
    forgetting: NDArray[np.float64]
    """(R, 4) forgetting of each least squares, and where it is."""
    solved: NDArray[np.float64]
    """(R, C, d)"""
    inverses: NDArray[np.float64]
    """(R, d(d + 1)/2)"""
    memory: NDArray[np.int8]
    """(p, M)"""
    memory_labels: NDArray[np.int32]
    """(M,)"""
    seen: NDArray[np.int64]
    """(C,) labelled rows of each class."""

    @staticmethod
    def start(plan: ExpertPlan) -> ExpertState:
        """Return the state of a stream that has not begun."""
        classes, d, p = plan.max_classes, plan.dimension, plan.row_dimension
        rates, solved = len(plan.rates), len(plan.forgettings)
        inverses = np.zeros((solved, d * (d + 1) // 2))
        inverses[:, np.arange(d) * (np.arange(d) + 3) // 2] = START
        weights = np.zeros((2, len(plan.names)))
        weights[1, FIXED:] = 1
        weights[0] = weights[1] / weights[1].sum()
        return ExpertState(
            plan,
            (),
            RowScaling.start(p),
            np.array([0, 0, 0, -1], np.int32),
            weights,
            start_reliability(),
            np.zeros((classes, classes), np.float32),
            np.zeros((rates, 2, classes, d), np.float32),
            np.zeros((2, classes, plan.tables << TESTS), np.float32),
            np.array([[one, START, 0, 0] for one in plan.forgettings]).reshape(solved, 4),
            np.zeros((solved, classes, d)),
            inverses,
            np.zeros((p, plan.remembered), np.int8),
            np.zeros(plan.remembered, np.int32),
            np.zeros(classes, np.int64),
        )

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self._arrays().values()) + self.scaling.nbytes

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        held = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in held.items() if isinstance(value, np.ndarray)}

    def _with(self, arrays: Mapping[str, Any]) -> ExpertState:
        return replace(self, **arrays)

    def copy(self) -> ExpertState:
        """Return a state that the stream no longer writes to."""
        return self._with({name: array.copy() for name, array in self._arrays().items()})

    @property
    def is_finite(self) -> bool:
        return all(bool(np.isfinite(array).all()) for array in self._arrays().values())

    def fitted(self, plan: ExpertPlan) -> ExpertState:
        """Return this state in the arrays of another plan; what the plan has no expert for is left out.

        An expert that this state lacks, or whose sizes are others, starts from nothing.
        """
        fresh = ExpertState.start(plan)
        for name, target in fresh._arrays().items():
            source = getattr(self, name)
            if name in ("gradient", "solved", "inverses", "forgetting"):
                mine, theirs = self.plan.expert_keys(name), plan.expert_keys(name)
                for at, key in enumerate(theirs):
                    if key in mine and source.shape[-1] == target.shape[-1]:
                        _copy_into(target[at], source[mine.index(key)])
            elif name == "weights":
                for at, expert in enumerate(plan.names):
                    if expert in self.plan.names:
                        target[:, at] = source[:, self.plan.names.index(expert)]
                target[0] /= target[0].sum()
            elif name == "cells":
                if self.plan.cell_tests == plan.cell_tests:
                    _copy_into(target, source)
            elif name in ("transitions", "reliability", "seen", "counters") or source.shape[-1] == target.shape[-1]:
                _copy_into(target, source)
        if plan.remembered != self.plan.remembered:
            fresh.counters[1:3] = 0
        return replace(fresh, labels=self.labels, scaling=self.scaling)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that `from_arrays` reads back; labels belong to the revision."""
        return {**self._arrays(), **self.scaling.arrays()}

    @staticmethod
    def from_arrays(
        arrays: Mapping[str, NDArray[np.generic]], *, plan: ExpertPlan, labels: Sequence[str]
    ) -> ExpertState:
        """Rebuild from stored arrays, as copies that a stream can write to.

        Raises
        ------
        ValueError
            An array is missing, or does not fit the plan and the labels, or is not finite.
        """
        fresh = ExpertState.start(plan)
        try:
            scaling = RowScaling.from_arrays(arrays)
            read = {name: np.array(arrays[name], like.dtype, order="C") for name, like in fresh._arrays().items()}
        except (KeyError, IndexError) as error:
            raise ValueError(f"the experts lack {error}") from error
        state = replace(fresh._with(read), labels=tuple(labels), scaling=scaling)
        for name, like in fresh._arrays().items():
            if read[name].shape != like.shape:
                raise ValueError(f"{name} of the experts has shape {read[name].shape}, wanted {like.shape}")
        if scaling.mean.shape != (plan.row_dimension,) or scaling.squares.shape != (plan.row_dimension,):
            raise ValueError(
                f"the scale of the experts is of {scaling.mean.shape} columns, wanted {plan.row_dimension}"
            )
        state._require_indices()
        return state

    def _require_indices(self) -> None:
        """Refuse what a kernel would index out of its arrays with."""
        classes, filled, following, last = (int(one) for one in self.counters)
        rows = self.plan.remembered
        right = (
            classes == len(self.labels) == len(set(self.labels)) <= self.plan.max_classes
            and 0 <= filled <= rows
            and 0 <= following < max(rows, 1)
            and -1 <= last < max(classes, 1)
            and (self.memory_labels[:filled] < classes).all()
            and (self.memory_labels >= 0).all()
            and (self.seen >= 0).all()
            and self.is_finite
            and np.isfinite(self.scaling.mean).all()
            and np.isfinite(self.scaling.squares).all()
        )
        if not right:
            raise ValueError("the experts are of other classes or sizes than the revision says, or not finite")


def _copy_into(target: NDArray[Any], source: NDArray[Any]) -> None:
    """Copy what the two have in common, from the first entry of every axis."""
    common = tuple(slice(0, min(one, other)) for one, other in zip(target.shape, source.shape, strict=True))
    target[common] = source[common]
