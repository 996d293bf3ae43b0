"""The averaged peers of tools/federated_table average as Flower's strategies do."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_a_round_is_averaged_by_samples_with_and_without_flower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    module = importlib.import_module("measure.federated_averaging")
    draw = np.random.default_rng(0)
    local = [draw.standard_normal((9, 4)).astype(np.float32) for _ in range(5)]
    sizes = [3, 60, 1, 7, 12]
    wanted = sum(size * one for size, one in zip(sizes, local, strict=True)) / sum(sizes)
    for flower in {None, module.FLOWER}:
        monkeypatch.setattr(module, "FLOWER", flower)
        for proximal in (0.0, 0.1):
            assert np.allclose(module.averaging(proximal)(local, sizes), wanted, atol=1e-6)
