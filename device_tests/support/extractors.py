"""Contracts, sound and movement for extractors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.errors import ContractError
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.contract import Contract
from edgecl.extractors.opening import builtin_extractor, open_extractor

VOICE = Contract(
    modality="voice",
    sample_rate_hz=16_000.0,
    channels=("pcm",),
    units=("full scale",),
    window_samples=12_400,
    hop_samples=1_280,
    pool_frames=9,
    dimension=3,
    mean=np.array([0.1, -2.5, 1e-7], np.float32),
    normalisation="l2",
    shrinkage_floor=0.03,
    source="a test, “quoted”",
    licence="Apache-2.0",
    graph_digest="00",
)


def extractor_file(name: str, factory: pytest.TempPathFactory) -> Path:
    """Made by this checkout's exporter where there is one, else the one that was installed."""
    try:
        import edgecl_export
    except ImportError:
        try:
            return builtin_extractor(name)
        except ContractError as error:
            pytest.skip(f"no exporter and no {name}.onnx here: {error}")
    path = factory.mktemp("extractors") / f"{name}.onnx"
    {"voice": edgecl_export.export_voice, "imu": edgecl_export.export_imu}[name](path)
    return path


def sound(rng: np.random.Generator, n_samples: int) -> NDArray[np.float32]:
    """A tone that wanders through noise, (n_samples, 1)."""
    pitch = 200 + 1500 * np.abs(np.cumsum(rng.normal(size=n_samples)) / 300)
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / 16_000) * rng.uniform(0.05, 0.5)
    return (tone + rng.normal(size=n_samples) * 1e-3)[:, None].astype(np.float32)


def movement(rng: np.random.Generator, extractor: FileExtractor, count: int) -> list[NDArray[np.float32]]:
    shape = (extractor.contract.window_samples, len(extractor.contract.channels))
    return [(np.cumsum(rng.normal(size=shape), axis=0) * 0.3).astype(np.float32) for _ in range(count)]


def narrow_extractor(source: Path, out: Path, columns: list[int], *, name: str = "a narrow copy") -> Path:
    """Write an extractor that has some columns of the frames of another one."""
    onnx = pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
    from edgecl_export._contract import write

    contract = open_extractor(source).contract
    model = onnx.load(source)
    frames, whole = model.graph.output[0], "whole frames"
    for node in model.graph.node:
        node.output[:] = [whole if one == frames.name else one for one in node.output]
        node.input[:] = [whole if one == frames.name else one for one in node.input]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(columns, np.int64), "kept columns"))
    model.graph.node.append(onnx.helper.make_node("Gather", [whole, "kept columns"], [frames.name], axis=2))
    frames.type.tensor_type.shape.dim[2].dim_value = len(columns)
    write(model, replace(contract, dimension=len(columns), mean=contract.mean[columns], source=name), out)
    return out
