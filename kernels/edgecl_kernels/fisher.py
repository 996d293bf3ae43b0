"""Exact diagonal Fisher information of a softmax-linear head."""

from __future__ import annotations

import numpy as np
from numpy import uintp

from edgecl_kernels._types import F32, Index
from edgecl_kernels.products import multiply_rows
from edgecl_kernels.softmax import softmax_columns

_ZERO = np.float32(0)
_ONE = np.float32(1)
_ROWS = 64  # rows of a block, which stays in the second-level cache over all classes
_PANEL = 1024  # columns of a panel: three rows of it stay in the first-level cache over a block


def add_tile(x: F32, b0: int, q: F32, c0: int, first: Index, last: Index, fisher: F32) -> None:
    """fisher[c0:c0 + 3, first:last] += qᵀx² over rows b0 ... b0 + 3.

    A short block repeats its last row with q = 0.
    """
    end = x.shape[0]
    b1, b2, b3 = min(b0 + 1, end - 1), min(b0 + 2, end - 1), min(b0 + 3, end - 1)
    c1, c2 = c0 + 1, c0 + 2
    q00, q01, q02 = q[b0, c0], q[b0, c1], q[b0, c2]
    q10 = q11 = q12 = q20 = q21 = q22 = q30 = q31 = q32 = _ZERO
    if b0 + 1 < end:
        q10, q11, q12 = q[b1, c0], q[b1, c1], q[b1, c2]
    if b0 + 2 < end:
        q20, q21, q22 = q[b2, c0], q[b2, c1], q[b2, c2]
    if b0 + 3 < end:
        q30, q31, q32 = q[b3, c0], q[b3, c1], q[b3, c2]
    for d in range(first, last):
        x0, x1, x2, x3 = x[b0, d], x[b1, d], x[b2, d], x[b3, d]
        x0, x1, x2, x3 = x0 * x0, x1 * x1, x2 * x2, x3 * x3
        fisher[c0, d] += (q00 * x0 + q10 * x1) + (q20 * x2 + q30 * x3)
        fisher[c1, d] += (q01 * x0 + q11 * x1) + (q21 * x2 + q31 * x3)
        fisher[c2, d] += (q02 * x0 + q12 * x1) + (q22 * x2 + q32 * x3)


def add_one(x: F32, b: int, q: F32, c: int, first: Index, last: Index, fisher: F32) -> None:
    """fisher[c, first:last] += q[b, c] x[b]², where fewer than three classes are left."""
    weight = q[b, c]
    for d in range(first, last):
        fisher[c, d] += weight * (x[b, d] * x[b, d])


def add_block(x: F32, q: F32, fisher: F32) -> None:
    """fisher += qᵀx² for a block of rows."""
    classes, columns = fisher.shape
    for start in range(0, columns, _PANEL):
        first, last = uintp(start), uintp(min(start + _PANEL, columns))
        for c in range(0, classes - 2, 3):
            for b in range(0, x.shape[0], 4):
                add_tile(x, b, q, c, first, last, fisher)
        for c in range(classes - classes % 3, classes):
            for b in range(x.shape[0]):
                add_one(x, b, q, c, first, last, fisher)


def fisher_diagonal(x: F32, weights: F32, scratch: F32, fisher: F32) -> None:
    """fisher (C, ld) += Σ_n x_n² p_nc (1 - p_nc), for x (n, ld), weights (C, ld), p = softmax(x weightsᵀ).

    This is `E[(∂ log p(y|x) / ∂θ)²]` with y drawn from the model, per sample and in closed form; the caller
    divides by n. `scratch` (k, cp), cp >= C, k >= 1: rows are taken k (at most 64) at a time.
    """
    classes = weights.shape[0]
    size = min(scratch.shape[0], _ROWS)
    if size == 0:
        return  # seen by the compiler: a step of 0 would raise
    for first in range(0, x.shape[0], size):
        block = x[first : min(first + size, x.shape[0])]
        q = scratch[: block.shape[0]]
        multiply_rows(block, weights, q)
        softmax_columns(q, classes)
        for b in range(block.shape[0]):
            for c in range(uintp(classes)):
                q[b, c] *= _ONE - q[b, c]
        add_block(block, q, fisher)
