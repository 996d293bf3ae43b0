"""Federated averaging of a linear softmax head on the same latents: FedAvg and FedProx, as a loop of our own.

McMahan et al. 2017 (weights averaged by samples) and Li et al. 2020 (μ/2 |w - w_round|² added to the loss of every
device). Flower's strategies average in the same way; a simulation of theirs starts one process for each device and
round, which changes none of the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS, EPOCHS, BATCH = 100, 5, 16
RATES = (1.0, 4.0, 16.0)
Device = Mapping[str, NDArray[np.float32]]


def averaged(
    devices: Sequence[Device], classes: Sequence[str], tested: NDArray[np.float32], *, proximal: float
) -> list[NDArray[np.intp]]:
    """Return the answers to what is tested after every round, under the rate of least loss on what is taught."""
    data = [_rows(one, classes) for one in devices]
    best = min((_run(data, len(classes), rate, proximal) for rate in RATES), key=lambda run: run[0])
    return [(tested @ weights[:-1] + weights[-1]).argmax(axis=1) for weights in best[1]]


def _rows(device: Device, classes: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    x = np.concatenate(list(device.values()))
    y = np.concatenate([np.full(len(rows), classes.index(label)) for label, rows in device.items()])
    return np.column_stack([x, np.ones(len(x), np.float32)]), y


def _run(
    data: Sequence[tuple[NDArray[np.float32], NDArray[np.intp]]], classes: int, rate: float, proximal: float
) -> tuple[float, list[NDArray[np.float32]]]:
    """Return the loss on all that is taught after the last round, and the weights (D + 1, C) of every round."""
    draw = np.random.default_rng(0)
    weights = np.zeros((data[0][0].shape[1], classes), np.float32)
    sizes, kept = np.array([len(y) for _, y in data], np.float32), []
    for _ in range(ROUNDS):
        local = [_trained(weights, x, y, rate=rate, proximal=proximal, draw=draw) for x, y in data]
        weights = np.tensordot(sizes / sizes.sum(), np.array(local), axes=1).astype(np.float32)
        kept.append(weights)
    losses = [_losses(weights, x, y) for x, y in data]
    return float(np.mean(np.concatenate(losses))), kept


def _trained(
    start: NDArray[np.float32],
    x: NDArray[np.float32],
    y: NDArray[np.intp],
    *,
    rate: float,
    proximal: float,
    draw: np.random.Generator,
) -> NDArray[np.float32]:
    weights = start.copy()
    for _ in range(EPOCHS):
        order = draw.permutation(len(y))
        for first in range(0, len(y), BATCH):
            rows = order[first : first + BATCH]
            shares = _softmax(x[rows] @ weights)
            shares[np.arange(len(rows)), y[rows]] -= 1
            weights -= rate * (x[rows].T @ shares / len(rows) + proximal * (weights - start))
    return weights


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _losses(weights: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.intp]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = -np.log(np.maximum(_softmax(x @ weights)[np.arange(len(y)), y], 1e-12))
    return found
