"""Random cells: a few threshold tests name one cell of a table, and a softmax adds up what the cells say.

The tests of a table are drawn once (random ferns: Özuysal, Calonder, Lepetit and Fua 2010); the weights of its cells
are learnt by AdaGrad.
"""

from __future__ import annotations

import math

import numpy as np

from edgecl_kernels._types import F32, I32
from edgecl_kernels.softmax import softmax_columns

_ZERO = np.float32(0)
_ONE = np.float32(1)
_SMALL = np.float32(1e-8)
_KEPT = np.float32(0.999)  # of the squared gradients of a cell: with all of them kept, what changed is learnt slowly


def find_cells(x: F32, row: int, first: int, columns: I32, thresholds: F32, active: I32) -> None:
    """active[m] = the cell of table m that a row falls into, by tests of x[row, first:].

    A column below 0 is not a test.
    """
    tests = columns.shape[1]
    for m in range(columns.shape[0]):
        cell = 0
        for t in range(tests):
            column = columns[m, t]
            if column >= 0 and x[row, first + column] > thresholds[m, t]:
                cell += 1 << t
        active[m] = (m << tests) + cell


def cell_scores(active: I32, weights: F32, classes: int, out: F32, at: int) -> None:
    """out[at, :classes] = sums of the weights of the active cells."""
    for c in range(classes):
        total = _ZERO
        for m in range(active.shape[0]):
            total += weights[c, active[m]]
        out[at, c] = total


def cell_step(active: I32, residual: np.float32, rate: np.float32, parameters: F32, c: int) -> None:
    """One AdaGrad step of the active cells of a class."""
    for m in range(active.shape[0]):
        cell = active[m]
        total = _KEPT * parameters[1, c, cell] + residual * residual
        parameters[1, c, cell] = total
        parameters[0, c, cell] -= rate * residual / math.sqrt(total + _SMALL)


def cells_learn(
    active: I32, label: int, weight: np.float32, classes: int, rate: np.float32, parameters: F32, p: F32
) -> None:
    """One step towards a label; p (1, C) is overwritten with the answer before the step."""
    cell_scores(active, parameters[0], classes, p, 0)
    softmax_columns(p, classes)
    for c in range(classes):
        cell_step(active, weight * (p[0, c] - (_ONE if c == label else _ZERO)), rate, parameters, c)


def cell_steps(
    x: F32, labels: I32, rate: np.float32, columns: I32, thresholds: F32, active: I32, parameters: F32, out: F32
) -> None:
    """out (n, C) = softmax of what the cells of a row say, each row answered before the step towards its label.

    x (n, p); labels (n) below C; `columns` and `thresholds` (M, T): the tests of each of M tables of 2^T cells. A
    column below 0 is not a test. `parameters` (2, C, M 2^T): weights, and sums of squared gradients, which fade; both
    are written in place. `active` (M) is overwritten.
    """
    for row in range(x.shape[0]):
        find_cells(x, row, 0, columns, thresholds, active)
        cells_learn(active, labels[row], _ONE, out.shape[1], rate, parameters, out[row : row + 1])
