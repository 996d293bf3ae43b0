"""The interface of a peer: by task, a function that prepares a case and returns what is timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peers.workloads import Case


@dataclass(frozen=True)
class Ready:
    """A task made ready."""

    run: Callable[[], object]  # does `units` units
    units: float = 1
    weights: Callable[[], NDArray[Any]] | None = None  # (C, columns) after the steps that were run
    expected: Mapping[str, Any] = field(default_factory=dict)  # arguments of `expected_weights` if not the usual rule
    answer: Callable[[], NDArray[Any]] | None = None  # of other tasks: what all peers must agree on


Prepare = Callable[[Case], Ready]


@dataclass(frozen=True)
class Contestant:
    """A peer and what it can do; tasks are step, fisher, herding and scatter."""

    name: str
    tasks: Mapping[str, Prepare]


def without_bias(weights: NDArray[Any], bias: NDArray[Any], case: Case) -> NDArray[np.float64]:
    """(C, columns) as the others have it, from weights (C, D) and bias (C)."""
    out = np.zeros((case.classes, case.columns))
    out[:, : case.dimension] = weights
    out[:, case.dimension] = bias
    return out
