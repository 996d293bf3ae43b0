"""Softmax-linear steps, one a label, with a rate of its own for each weight (AdaGrad: Duchi, Hazan and Singer 2011)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import uintp

from edgecl_kernels._types import F32, I32
from edgecl_kernels.softmax import softmax_columns

_ZERO = np.float32(0)
_ONE = np.float32(1)
_SMALL = np.float32(1e-8)  # keeps the first step of a weight finite
_SURE = np.float32(1e-6)  # a residual this small is no news, and its square would be denormal


def row_product(x: F32, row: int, weights: F32, c: int) -> Any:
    """Product of a row of x (n, d) and a row of weights (C, d)."""
    total = _ZERO
    for k in range(uintp(x.shape[1])):
        total += x[row, k] * weights[c, k]
    return total


def linear_scores(x: F32, row: int, weights: F32, classes: int, out: F32, at: int) -> None:
    """out[at, :classes] = weights x[row]."""
    for c in range(classes):
        out[at, c] = row_product(x, row, weights, c)


def adagrad_row(x: F32, row: int, residual: np.float32, rate: np.float32, parameters: F32, c: int) -> None:
    """One step of the weights of a class: g = residual x, G += g², w -= rate g/√G."""
    for k in range(uintp(x.shape[1])):
        g = residual * x[row, k]
        total = parameters[1, c, k] + g * g
        parameters[1, c, k] = total
        parameters[0, c, k] -= rate * g / math.sqrt(total + _SMALL)


def adagrad_learn(
    x: F32, row: int, label: int, weight: np.float32, classes: int, rate: np.float32, parameters: F32, p: F32
) -> None:
    """One step towards the label of a row; p (1, C) is overwritten with the answer before the step."""
    linear_scores(x, row, parameters[0], classes, p, 0)
    softmax_columns(p, classes)
    for c in range(classes):
        residual = weight * (p[0, c] - (_ONE if c == label else _ZERO))
        if abs(residual) > _SURE:
            adagrad_row(x, row, residual, rate, parameters, c)


def adagrad_steps(x: F32, labels: I32, weights: F32, rate: np.float32, parameters: F32, out: F32) -> None:
    """out (n, C) = softmax(W x), each row answered before the step towards its label.

    x (n, d); labels (n) below C; `weights` (n) of the steps; `parameters` (2, C, d): W, and G, the sum of the squared
    gradients, both written in place: G += g², W -= rate g/√G (Duchi, Hazan and Singer 2011, diagonal, without
    proximal term).
    """
    for row in range(x.shape[0]):
        adagrad_learn(x, row, labels[row], weights[row], out.shape[1], rate, parameters, out[row : row + 1])
