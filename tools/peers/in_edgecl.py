"""edgecl's kernels, called as `edgecl.learning` and `edgecl.model` call them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import edgecl_kernels as kernels
import numpy as np
from edgecl_kernels.aligned import aligned_zeros

from peers.contestant import Contestant, Ready
from peers.workloads import (
    FISHER_ROWS,
    HERDING_PICKS,
    HERDING_ROWS,
    MOMENTUM,
    RATE,
    SCATTER_ROWS,
    STEPS,
    STRENGTH,
    TILE,
    Case,
)


def step(case: Case) -> Ready:
    """STEPS steps a call, as `edgecl.learning.refine` does."""
    parameters = aligned_zeros(case.start.shape)
    parameters[:] = case.start
    weights = np.full(case.batch, 1 / case.batch, np.float32)
    rates = np.full(STEPS, RATE, np.float32)
    offset = np.zeros(case.dimension, np.float32)
    x = aligned_zeros((case.batch, case.columns))
    p = _probabilities(case, case.batch)
    pool = case.rows, case.scales, case.labels, case.schedule
    momentum, strength, one = np.float32(MOMENTUM), np.float32(STRENGTH), np.float32(1)

    def run() -> None:
        kernels.refine_steps(parameters, *pool, weights, rates, momentum, strength, offset, one, 0, 0, x, p)

    return Ready(run, STEPS, lambda: parameters[0], {"proximal": True})


def _probabilities(case: Case, rows: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return aligned_zeros((rows, -(-case.classes // TILE) * TILE))


def fisher(case: Case) -> Ready:
    x, weights = aligned_zeros(case.padded[:FISHER_ROWS].shape), case.start[0].copy()
    x[:] = case.padded[:FISHER_ROWS]
    out, scratch = aligned_zeros(weights.shape), _probabilities(case, FISHER_ROWS)

    def run() -> None:
        out[:] = 0
        kernels.fisher_diagonal(x, weights, scratch, out)

    return Ready(run, answer=lambda: out)


def herding(case: Case) -> Ready:
    x = case.latents[:HERDING_ROWS].copy()
    target = x.mean(axis=0)
    scratch, order = np.empty((3, HERDING_ROWS), np.float32), np.empty(HERDING_PICKS, np.int32)
    return Ready(lambda: kernels.herding_order(x, target, scratch, order), answer=lambda: order)


def _scatter(kernel: Callable[..., Any], kind: type[np.floating]) -> Callable[[Case], Ready]:
    def prepare(case: Case) -> Ready:
        x = case.latents[:SCATTER_ROWS].copy()
        packed = np.zeros(case.dimension * (case.dimension + 1) // 2, kind)
        rows, columns = np.tril_indices(case.dimension)

        def answer() -> np.ndarray[Any, Any]:
            out = np.zeros((case.dimension, case.dimension))
            out[rows, columns] = out[columns, rows] = packed
            return out

        return Ready(lambda: kernel(x, packed), SCATTER_ROWS, answer=answer)

    return prepare


CONTESTANTS = [
    Contestant(
        "edgecl",
        {
            "step": step,
            "fisher": fisher,
            "herding": herding,
            "scatter": _scatter(kernels.scatter_update_f32, np.float32),
            "scatter-float64": _scatter(kernels.scatter_update, np.float64),
        },
    )
]
