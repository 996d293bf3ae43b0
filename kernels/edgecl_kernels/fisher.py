"""Exact diagonal Fisher information of a softmax-linear head."""

from __future__ import annotations

import numpy as np
from numpy import uintp

from edgecl_kernels._types import F32
from edgecl_kernels.products import multiply_rows
from edgecl_kernels.softmax import softmax_columns

_ZERO = np.float32(0)
_ONE = np.float32(1)
_ROWS = 64  # rows of a block, which stays in the second-level cache over all classes


def add_columns(x: F32, q: F32, fisher: F32, first: int) -> None:
    """fisher += qᵀx² for a block of rows and the columns from `first` on."""
    for c in range(fisher.shape[0]):
        for d in range(uintp(first), uintp(fisher.shape[1])):
            total = _ZERO
            for b in range(x.shape[0]):
                total += q[b, c] * (x[b, d] * x[b, d])
            fisher[c, d] += total


def add_block(x: F32, q: F32, fisher: F32) -> None:
    """fisher += qᵀx² for a block of rows; compiled, it is `_simd`'s."""
    add_columns(x, q, fisher, 0)


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
