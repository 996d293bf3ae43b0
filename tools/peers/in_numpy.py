"""numpy, with buffers kept between steps; and pycoral's softmax regression as an algorithm, written in numpy.

pycoral itself (pycoral/learn/backprop/softmax_regression.py, weights D x C) is not on any registry used here, and its
Eigen code needs a board's package. It has neither EWC nor momentum; its L2 term is 0 unless asked for.
"""

from __future__ import annotations

import ctypes
import os
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from peers.contestant import Contestant, Ready, without_bias
from peers.workloads import (
    FISHER_ROWS,
    HERDING_PICKS,
    HERDING_ROWS,
    MOMENTUM,
    RATE,
    SCATTER_ROWS,
    STEPS,
    STRENGTH,
    Case,
    softmax,
)

F32 = NDArray[np.float32]


def blas_kernel() -> str:
    """Name of the processor whose kernels numpy's OpenBLAS uses here; empty where there is no OpenBLAS."""
    mapped = (line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines())
    for path in dict.fromkeys(path for path in mapped if "openblas" in path):
        library = ctypes.CDLL(path)
        for prefix, suffix in (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")):
            if ask := getattr(library, f"{prefix}openblas_get_corename{suffix}", None):
                ask.restype = ctypes.c_char_p
                return str(ask().decode())
    return ""


def softmax_in_place(z: F32) -> None:
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)


def step(case: Case) -> Ready:
    weights, velocity, precision, anchor = case.start.copy()
    latents, labels, schedule, every = case.padded, case.labels, case.schedule, np.arange(case.batch)
    x, z = np.empty((case.batch, case.columns), np.float32), np.empty((case.batch, case.classes), np.float32)
    gradient, pull = np.empty_like(weights), np.empty_like(weights)

    def one(slots: NDArray[np.int32]) -> None:
        np.take(latents, slots, axis=0, out=x)
        np.dot(x, weights.T, out=z)
        softmax_in_place(z)
        z[every, labels[slots]] -= 1
        np.multiply(z, np.float32(1 / case.batch), out=z)
        np.dot(z.T, x, out=gradient)
        np.subtract(weights, anchor, out=pull)
        np.multiply(pull, precision, out=pull)
        np.multiply(pull, np.float32(STRENGTH), out=pull)
        np.multiply(velocity, np.float32(MOMENTUM), out=velocity)
        np.add(velocity, gradient, out=velocity)
        np.add(velocity, pull, out=velocity)
        np.multiply(velocity, np.float32(RATE), out=pull)
        np.subtract(weights, pull, out=weights)

    def run() -> None:
        for slots in schedule:
            one(slots)

    return Ready(run, STEPS, lambda: weights)


def fisher(case: Case) -> Ready:
    x, weights = case.padded[:FISHER_ROWS], case.start[0]
    out = np.empty_like(weights)

    def run() -> None:
        z = x @ weights.T
        softmax_in_place(z)
        z *= 1 - z
        np.dot(z.T, x * x, out=out)

    return Ready(run, answer=lambda: out)


def herding(case: Case) -> Ready:
    """The sums kept as the kernel keeps them: one product of the rows with a row for each pick."""
    x = case.latents[:HERDING_ROWS].copy()
    order = np.empty(HERDING_PICKS, np.int32)

    def run() -> None:
        z = x - x.mean(axis=0)
        scores = np.einsum("nd,nd->n", z, z)
        for k in range(HERDING_PICKS):
            order[k] = scores.argmin()
            scores += 2 * (z @ z[order[k]])
            scores[order[: k + 1]] = np.inf

    return Ready(run, answer=lambda: order)


def scatter(case: Case) -> Ready:
    """The full matrix, by the symmetric product that numpy picks for XᵀX."""
    x, out = case.latents[:SCATTER_ROWS].copy(), np.zeros((case.dimension, case.dimension), np.float32)
    product = np.empty_like(out)

    def run() -> None:
        np.dot(x.T, x, out=product)
        np.add(out, product, out=out)

    return Ready(run, SCATTER_ROWS, answer=lambda: out)


def scatter_float64(case: Case) -> Ready:
    x, out = case.latents[:SCATTER_ROWS].copy(), np.zeros((case.dimension, case.dimension))
    product, wide = np.empty_like(out), np.empty(x.shape)

    def run() -> None:
        np.copyto(wide, x)
        np.dot(wide.T, wide, out=product)
        np.add(out, product, out=out)

    return Ready(run, SCATTER_ROWS, answer=lambda: out)


def pycoral_step(case: Case) -> Ready:
    """One step of pycoral's algorithm: features (B, D), weights (D, C), bias (C)."""
    used = case.dimension + 1
    weights, bias = case.start[0, :, : case.dimension].T.copy(), case.start[0, :, used - 1].copy()
    latents, targets, slots = case.latents, np.eye(case.classes, dtype=np.float32)[case.labels], cycle(case.schedule)

    def run() -> None:
        chosen = next(slots)
        features = latents[chosen]
        residual = softmax(features @ weights + bias)
        residual -= targets[chosen]
        residual /= np.float32(case.batch)
        weights[...] -= np.float32(RATE) * (features.T @ residual)
        bias[...] -= np.float32(RATE) * residual.sum(axis=0)

    plain = {"strength": 0.0, "momentum": 0.0}
    return Ready(run, 1, lambda: without_bias(weights.T, bias, case), plain)


_LIMITED = f", OpenBLAS as for {blas_kernel()}" if "OPENBLAS_CORETYPE" in os.environ else ""
CONTESTANTS = [
    Contestant(
        f"numpy{_LIMITED}",
        {
            "step": step,
            "fisher": fisher,
            "herding": herding,
            "scatter": scatter,
            "scatter-float64": scatter_float64,
        },
    ),
    Contestant(f"pycoral's algorithm (numpy{_LIMITED})", {"step": pycoral_step}),
]
