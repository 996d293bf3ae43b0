"""What a stream's summary counts of the level of sound."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from edgecl.extractors.contract import Contract
from edgecl.live.events import Summary
from edgecl.live.level import TOGETHER, Level


@pytest.mark.parametrize("sizes", [[1280] * (2 * TOGETHER + 3), [640, 1280, 2000, 1280], [1], []])
def test_pieces_are_counted_as_if_each_were_looked_at_alone(sizes: list[int], rng: np.random.Generator) -> None:
    contract = cast("Contract", SimpleNamespace(sample_rate_hz=16_000.0, hop_samples=1280, channels=("pcm",)))
    summary = Summary()
    level = Level(contract, summary)
    pieces = [rng.uniform(-0.9, 0.9, (size, 1)).astype(np.float32) + np.float32(0.02) for size in sizes]
    for piece in pieces[::3]:
        piece[len(piece) // 2] = -1
    for piece in pieces:
        level.add(piece)
    level.settle()
    level.settle()  # what was counted is not counted again
    assert summary.samples == sum(sizes)
    assert summary.total == pytest.approx(sum(float(piece.sum(dtype=np.float64)) for piece in pieces), abs=1e-3)
    assert summary.clipped_s == pytest.approx(sum(sizes[::3]) / 16_000)
