"""Minibatch steps of a softmax-linear head with momentum and a proximal EWC penalty."""

from __future__ import annotations

import numpy as np
from numpy import uintp

from edgecl_kernels._types import F32, I8, I32, Index
from edgecl_kernels.products import accumulate_one, accumulate_tile, multiply_rows
from edgecl_kernels.quantise import gather_rows
from edgecl_kernels.softmax import softmax_columns

_ZERO = np.float32(0)
_ONE = np.float32(1)
_TINY = np.float32(1e-20)  # denormals made the update 26 times slower, so residuals and velocities stop here
_PANEL = 1024  # columns of a panel: three velocities of it stay in the first-level cache over a minibatch


def residuals(p: F32, slots: I32, labels: I32, sample_weights: F32, classes: int) -> None:
    """p[b, :classes] = sample_weights[b] * (p[b] - onehot(label of slot b)); an empty slot has x = 0 to go with it."""
    for b in range(slots.shape[0]):
        weight = sample_weights[b]
        for c in range(uintp(classes)):
            value = weight * p[b, c]
            p[b, c] = _ZERO if value < _TINY else value
        if slots[b] >= 0:
            p[b, labels[slots[b]]] -= weight


def descend(parameters: F32, c: int, rate: np.float32, strength: np.float32, first: Index, last: Index) -> None:
    """θ' = θ - rate v, then θ = (θ' + s θ*) / (1 + s), s = strength * precision, for one class."""
    for d in range(first, last):
        v = parameters[1, c, d]
        v = _ZERO if abs(v) < _TINY else v
        s = strength * parameters[2, c, d]
        parameters[1, c, d] = v
        parameters[0, c, d] = (parameters[0, c, d] - rate * v + s * parameters[3, c, d]) / (_ONE + s)


def update_panel(
    parameters: F32,
    x: F32,
    p: F32,
    momentum: np.float32,
    rate: np.float32,
    strength: np.float32,
    first: int,
    last: int,
) -> None:
    """Momentum, gradient pᵀx and descent for columns first ... last, three classes at a time."""
    classes = parameters.shape[1]
    velocity = parameters[1]
    for c in range(0, classes, 3):
        stop = min(c + 3, classes)
        for b in range(0, x.shape[0], 4):
            decay = momentum if b == 0 else _ONE
            if c + 3 <= classes:
                accumulate_tile(x, b, p, c, decay, uintp(first), uintp(last), velocity)
            else:
                for single in range(c, stop):
                    accumulate_one(x, b, p, single, decay, uintp(first), uintp(last), velocity)
        for single in range(c, stop):
            descend(parameters, single, rate, strength, uintp(first), uintp(last))


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
    classes, columns = parameters.shape[1], parameters.shape[2]
    for step in range(schedule.shape[0]):
        slots = schedule[step]
        gather_rows(rows, scales, slots, offset, factor, lift_width, seed, x)
        multiply_rows(x, parameters[0], p)
        softmax_columns(p, classes)
        residuals(p, slots, labels, sample_weights, classes)
        rate, strength = rates[step], rates[step] * penalty
        for first in range(0, columns, _PANEL):
            last = min(first + _PANEL, columns)
            update_panel(parameters, x, p, momentum, rate, strength, first, last)
