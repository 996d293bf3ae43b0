"""Minibatch steps of a softmax-linear head with momentum and a proximal EWC penalty."""

from __future__ import annotations

import numpy as np
from numpy import uintp

from edgecl_kernels._types import F32, I8, I32
from edgecl_kernels.products import multiply_rows
from edgecl_kernels.quantise import gather_rows
from edgecl_kernels.softmax import softmax_columns

_ZERO = np.float32(0)
_ONE = np.float32(1)
_TINY = np.float32(1e-20)  # denormals made the update 26 times slower, so residuals and velocities stop here


def residuals(p: F32, slots: I32, labels: I32, sample_weights: F32, classes: int) -> None:
    """p[b, :classes] = sample_weights[b] * (p[b] - onehot(label of slot b)); an empty slot has x = 0 to go with it."""
    for b in range(slots.shape[0]):
        weight = sample_weights[b]
        for c in range(uintp(classes)):
            value = weight * p[b, c]
            p[b, c] = _ZERO if value < _TINY else value
        if slots[b] >= 0:
            p[b, labels[slots[b]]] -= weight


def update_columns(
    parameters: F32, x: F32, p: F32, momentum: np.float32, rate: np.float32, strength: np.float32, first: int
) -> None:
    """Momentum, gradient, descent and proximal step for the columns from `first` on: see `refine_steps`."""
    for c in range(parameters.shape[1]):
        for d in range(uintp(first), uintp(parameters.shape[2])):
            v = momentum * parameters[1, c, d]
            for b in range(x.shape[0]):
                v += p[b, c] * x[b, d]
            v = _ZERO if abs(v) < _TINY else v
            s = strength * parameters[2, c, d]
            parameters[1, c, d] = v
            parameters[0, c, d] = (parameters[0, c, d] - rate * v + s * parameters[3, c, d]) / (_ONE + s)


def update_parameters(
    parameters: F32, x: F32, p: F32, momentum: np.float32, rate: np.float32, strength: np.float32
) -> None:
    """Momentum, gradient, descent and proximal step; compiled, it is `_simd`'s."""
    update_columns(parameters, x, p, momentum, rate, strength, 0)


def refine_steps(
    parameters: F32,
    rows: I8,
    scales: F32,
    labels: I32,
    schedule: I32,
    sample_weights: F32,
    rates: F32,
    momentum: np.float32,
    penalty: np.float32,
    offset: F32,
    factor: np.float32,
    lift_width: int,
    seed: int,
    x: F32,
    p: F32,
) -> None:
    """Run one minibatch step for each row of `schedule` (S, B), updating weights and velocity in place.

    `parameters` (4, C, ld): weights θ, velocity v, precision Λ, anchor θ*; the bias is the weight of the
    constant column that `gather_rows` adds. A step gathers its rows into x (B, ld); with p = softmax(xθᵀ) in
    p (B, cp), cp >= C,

        G = Σ_b sample_weights[b] (p_b - onehot_b) x_bᵀ,    v = momentum v + G,    θ' = θ - rate v,
        θ = (θ' + rate penalty Λ θ*) / (1 + rate penalty Λ)

    the last being the proximal step of `penalty/2 Σ Λ(θ - θ*)²` (Kirkpatrick et al. 2017), stable for any
    strength. An entry of `schedule` below 0 is an empty slot and contributes nothing. `labels` (N) are below
    C; `rates` (S), `sample_weights` (B); the rest as in `gather_rows`.
    """
    classes = parameters.shape[1]
    for step in range(schedule.shape[0]):
        slots = schedule[step]
        gather_rows(rows, scales, slots, offset, factor, lift_width, seed, x)
        multiply_rows(x, parameters[0], p)
        softmax_columns(p, classes)
        residuals(p, slots, labels, sample_weights, classes)
        rate, strength = rates[step], rates[step] * penalty
        update_parameters(parameters, x, p, momentum, rate, strength)
