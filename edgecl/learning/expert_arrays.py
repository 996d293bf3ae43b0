"""The arrays of a stream's experts, and the scratch space in which a kernel follows rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

from edgecl.learning.expert_plan import CONSTANTS, FIXED, NEIGHBOURS, TESTS, ExpertPlan
from edgecl.learning.expert_state import ExpertState
from edgecl.learning.one_row import OneRow
from edgecl.learning.row_scaling import LIMIT, RowScaling

SHARE = 0.003  # of the weights that is dealt out evenly at each label
FLOOR = 1e-3  # least probability in the loss: one surprise does not silence an expert
FADING = 0.99  # of a transition count, at each from the same label
LEVEL = np.float32(127 / LIMIT)  # levels of int8 in a standard deviation


@dataclass(frozen=True)
class Prepared:
    """Rows as the kernel takes them."""

    rows: NDArray[np.float32]
    """(n, p) as they were given."""
    scaling: RowScaling
    """The one that they left as it was."""
    scaled: NDArray[np.float32]
    """(n, p)"""
    features: NDArray[np.float32]
    """(n, d)"""
    levels: NDArray[np.int8]
    """(n, p)"""


class ExpertArrays:
    """State, scratch space and constants of the experts of a stream."""

    _alone: OneRow | None = None  # also of a copy that an earlier version made

    def __init__(
        self,
        state: ExpertState,
        *,
        seed: int = 0,
        weights: Mapping[str, float] | None = None,
        available_bytes: int | None = None,
    ) -> None:
        self._seed = seed
        self._weights = weights or {}
        self._available_bytes = available_bytes
        self._set_state(state)

    def _set_state(self, state: ExpertState) -> None:
        """Take a state, and make the scratch space that goes with its plan."""
        self.state, self._plan = state, state.plan
        plan, seed = state.plan, self._seed
        self._settings = np.array([SHARE, FLOOR, FADING, *plan.rates, plan.cell_rate])
        self._columns, self._thresholds = cell_tests(plan, seed)
        self._active = np.zeros(plan.tables, np.int32)
        self._nearest = np.zeros(NEIGHBOURS, np.int32)
        self._distances = np.zeros(max(plan.remembered, 1), np.int32)
        self._work = np.zeros((2, plan.dimension))
        self._scratch = np.zeros((1, max(plan.max_classes, 1)), np.float32)
        self._constants = np.array([1, 0.5], np.float32) * np.float32(np.sqrt(plan.row_dimension + CONSTANTS))
        self._prepared: Prepared | None = None
        self._alone = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_alone": None}  # it holds addresses: a copy has arrays of its own

    @property
    def labels(self) -> tuple[str, ...]:
        return self.state.labels

    def seen(self) -> dict[str, int]:
        """Return the labelled rows of each label so far."""
        return {label: int(count) for label, count in zip(self.labels, self.state.seen, strict=False)}

    def mixing(self) -> dict[str, float]:
        """Return the weight of each expert that takes part."""
        weights, present = self.state.weights
        return {
            name: float(weight) for name, weight, here in zip(self._plan.names, weights, present, strict=True) if here
        }

    def features(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scaled rows (n, p) to features (n, d): random units with thresholds, the row, a constant."""
        rows, width = len(scaled), self._plan.lift_width
        out = np.ones((rows, self._plan.dimension), np.float32)
        out[:, width:-1] = scaled
        if width and rows:
            both = np.empty((rows, self._plan.row_dimension + CONSTANTS), np.float32)
            both[:, :-CONSTANTS], both[:, -CONSTANTS:] = scaled, self._constants
            lifted = np.empty((rows, width + both.shape[1]), np.float32)
            kernels.lift_rows(both, self._seed, lifted)
            out[:, :width] = lifted[:, :width]
        return out

    def take_part(self, place: int, *, present: bool) -> None:
        """Let a fixed expert take part or not; one that begins starts with the share of an even mixture."""
        weights = self.state.weights
        if bool(weights[1, place]) == present:
            return
        weights[1, place] = present
        count = weights[1].sum()
        weights[0, place] = 1 / max(count - 1, 1) if present else 0
        weights[0] /= weights[0].sum()

    def _arguments(
        self,
        features: NDArray[np.float32],
        levels: NDArray[np.int8],
        steps: NDArray[np.int32],
        before: NDArray[np.int32],
        held: NDArray[np.float32],
        out: NDArray[np.float32],
    ) -> tuple[Any, ...]:
        """Return what the kernel takes, in its order."""
        state = self.state
        weights = np.array([self._weights.get(label, 1.0) for label in self.labels] or [1.0], np.float32)
        return (
            features,
            levels,
            steps,
            FIXED,
            weights,
            self._settings,
            state.counters,
            state.weights,
            state.reliability,
            state.transitions,
            state.gradient,
            self._columns,
            self._thresholds,
            state.cells,
            state.forgetting,
            state.solved,
            state.inverses,
            state.memory,
            state.memory_labels,
            self._nearest,
            self._distances,
            self._active,
            self._work,
            self._scratch,
            before,
            held,
            out,
        )

    def _one_row(self) -> OneRow:
        """Return the arrays of a call with one row, made again where classes or the state are others."""
        one, classes = self._alone, max(len(self.labels), 1)
        if one is None or one.classes != classes or one.counters is not self.state.counters:
            one = OneRow(self._plan, classes, constants=self._constants, seed=self._seed, level=LEVEL)
            one.run = kernels.prepared(
                "follow_rows", *self._arguments(one.features, one.levels, one.steps, one.before, one.held, one.out)
            )
            one.counters, self._alone = self.state.counters, one
        return one


def cell_tests(plan: ExpertPlan, seed: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the tests of the random cells: columns (M, TESTS), -1 for none, and thresholds in standard deviations.

    Table m has 1 + m mod TESTS tests: few tests are learnt soon, many see what columns do together. Where the plan is
    `paired`, every other table has TESTS on a pair of columns in place of these: few random tests meet two columns that
    say something together alone.
    """
    raw = np.random.Philox(key=seed).random_raw(plan.tables * TESTS * 4).reshape(plan.tables, TESTS, 4)
    columns = (raw[:, :, 0] % np.uint64(plan.row_dimension)).astype(np.int32)
    uniform = (raw[:, :, 1:] >> np.uint64(11)) * 2.0**-53
    thresholds = 2 * uniform.sum(axis=2) - 3  # bell-shaped, of spread 1
    unused = np.arange(TESTS) > np.arange(plan.tables)[:, None] % TESTS
    if plan.paired:
        half = TESTS // 2
        columns[1::2] = np.repeat(_pairs(plan.row_dimension, plan.tables // 2), (half, TESTS - half), axis=1)
        unused = np.arange(TESTS) > (np.arange(plan.tables)[:, None] // 2) % TESTS
        unused[1::2] = False
    columns[unused] = -1
    return columns, thresholds.astype(np.float32)


def _pairs(row_dimension: int, count: int) -> NDArray[np.int32]:
    """Return pairs of columns (count, 2), in the order (1, 0), (2, 0), (2, 1), (3, 0) and so on.

    All of them, as often as any other, or as many as there is room for, spread over them.
    """
    found, all_pairs = [], row_dimension * (row_dimension - 1) // 2
    for at in range(count if all_pairs else 0):
        pair = at % all_pairs if all_pairs <= count else at * all_pairs // count
        larger = (1 + math.isqrt(1 + 8 * pair)) // 2
        found.append((larger, pair - larger * (larger - 1) // 2))
    return np.array(found or [(0, 0)] * count, np.int32).reshape(count, 2)
