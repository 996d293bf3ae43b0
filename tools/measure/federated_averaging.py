"""Federated averaging of a linear softmax head on the same latents: FedAvg and FedProx, as a loop of our own.

McMahan et al. 2017 (weights averaged by samples) and Li et al. 2020 (μ/2 |w - w_round|² added to the loss of every
device). Where Flower is installed, its strategies FedAvg and FedProx average the devices' results in each round
(`aggregate_fit`); a simulation of theirs starts one process for each device and round, which changes no figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDS, EPOCHS, BATCH = 100, 5, 16
RATES = (1.0, 4.0, 16.0)
FLOWER = metadata.version("flwr") if find_spec("flwr") else None
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
    kept, mean = [], averaging(proximal)
    for _ in range(ROUNDS):
        local = [_trained(weights, x, y, rate=rate, proximal=proximal, draw=draw) for x, y in data]
        weights = mean(local, [len(y) for _, y in data]).astype(np.float32)
        kept.append(weights)
    losses = [_losses(weights, x, y) for x, y in data]
    return float(np.mean(np.concatenate(losses))), kept


def averaging(proximal: float) -> Callable[[Sequence[NDArray[np.float32]], Sequence[int]], NDArray[np.floating]]:
    """Return what averages the weights of devices by their samples: Flower's strategy where it is installed."""
    if FLOWER is None:
        return lambda local, sizes: np.tensordot(np.array(sizes) / sum(sizes), np.array(local), axes=1)
    from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
    from flwr.server.strategy import FedAvg, FedProx

    silent: dict[str, Any] = {"fit_metrics_aggregation_fn": lambda _: {}}  # else it warns in every round
    strategy = FedProx(proximal_mu=proximal, **silent) if proximal else FedAvg(**silent)

    def mean(local: Sequence[NDArray[np.float32]], sizes: Sequence[int]) -> NDArray[np.floating]:
        results = [
            (None, FitRes(Status(Code.OK, ""), ndarrays_to_parameters([weights]), size, {}))
            for weights, size in zip(local, sizes, strict=True)
        ]
        found: NDArray[np.floating] = parameters_to_ndarrays(strategy.aggregate_fit(1, results, [])[0])[0]
        return found

    return mean


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
