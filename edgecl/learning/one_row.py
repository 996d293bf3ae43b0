"""One row through the kernels of a stream's experts: its arrays stay, so that each kernel is prepared once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

from edgecl.learning.expert_plan import CONSTANTS, FIXED

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgecl.learning.expert_plan import ExpertPlan
    from edgecl.learning.row_scaling import RowScaling


@dataclass(frozen=True)
class Ticket:
    """A row that was answered and waits for its label."""

    scaled: NDArray[np.float32]
    """(p,)"""
    held: NDArray[np.float32]
    """(K + 1, C) what each expert answered, and the mixture."""
    before: int
    """Index of the last label known then, or -1."""


class OneRow:
    """The arrays of a call with one row.

    Checking the 27 arguments of the kernel takes ten times as long as one row in it.

    Parameters
    ----------
    plan
        Of the experts.
    classes
        Columns of what is answered.
    constants
        (CONSTANTS,) that go behind a row in the lift.
    level
        Levels of int8 in a standard deviation.
    """

    def __init__(
        self, plan: ExpertPlan, classes: int, *, constants: NDArray[np.float32], seed: int, level: np.float32
    ) -> None:
        p, self._width = plan.row_dimension, plan.lift_width
        self.classes = classes
        self.features = np.ones((1, plan.dimension), np.float32)
        self.levels = np.zeros((1, p), np.int8)
        self.steps = np.zeros((1, 3), np.int32)
        self.before = np.zeros(1, np.int32)
        self.held = np.zeros((1, len(plan.names) + 1, classes), np.float32)
        self.out = np.zeros((1, classes), np.float32)
        self.scaled = np.zeros((1, p), np.float32)
        self.rows: NDArray[np.float32] | None = None
        """The row (1, p) that was prepared last, and the scale before and after it."""
        self.scaling: tuple[RowScaling, RowScaling] | None = None
        self._level, self._work = level, np.zeros((1, p), np.float32)
        self._both = np.zeros((1, p + CONSTANTS), np.float32)
        self._both[0, p:] = constants
        self._lifted = np.zeros((1, self._width + p + CONSTANTS), np.float32)
        lifts = self._width > 0
        self._lift = kernels.prepared("lift_rows", self._both, seed, self._lifted) if lifts else None
        self.run: Callable[[], object] = lambda: None
        """The kernel on these arrays."""
        self.counters: NDArray[np.int32] | None = None
        """Of the state that `run` is prepared for."""

    def prepare(self, scaled: NDArray[np.float32]) -> None:
        """Make features and levels of a scaled row (1, p)."""
        self.rows = None
        self.scaled = scaled
        self.features[:, self._width : -1] = scaled
        if self._lift is not None:
            self._both[:, :-CONSTANTS] = scaled
            self._lift()
            self.features[:, : self._width] = self._lifted[:, : self._width]
        np.rint(np.multiply(scaled, self._level, out=self._work), out=self._work)
        self.levels[...] = self._work

    def hold(self, fixed: NDArray[np.float32]) -> None:
        """Start the answers of a row with those of the fixed experts, (1, FIXED, C)."""
        self.held.fill(0)
        self.held[:, :FIXED, : fixed.shape[2]] = fixed
        self.before[0] = -1
        self.out.fill(0)

    def take(self, ticket: Ticket) -> None:
        """Take over a row that was answered earlier."""
        self.prepare(ticket.scaled[None])
        self.held.fill(0)
        self.held[0, :, : ticket.held.shape[1]] = ticket.held
        self.before[0] = ticket.before
