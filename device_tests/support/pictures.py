"""Contracts, extractors and files of pictures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.extractors import contract
from edgecl.extractors.contract import Contract

SIZE = 32


def picture_contract(size: int = SIZE, dimension: int = 48) -> Contract:
    return contract.picture_contract(
        size,
        mean=np.zeros(dimension, np.float32),
        normalisation="l2",
        shrinkage_floor=0.1,
        source="a test",
        licence="Apache-2.0",
    )


def colours_extractor(path: Path) -> Path:
    """Write an extractor of pictures without weights: the mean colour of each of 16 tiles."""
    pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
    from edgecl_export._contract import write
    from edgecl_export._graph import Graph

    graph = Graph()
    tiles = graph.add("Reshape", "signal", graph.integers(0, 4, SIZE // 4, 4, SIZE // 4, 3), name="tiles")
    means = graph.add("ReduceMean", tiles, name="means", axes=[2, 4], keepdims=0)
    scaled = graph.add("Mul", means, graph.number(1 / 255), name="scaled")
    graph.add("Reshape", scaled, graph.integers(0, 1, 48), name="frames")
    model = graph.model(
        inputs={"signal": ("batch", SIZE * SIZE, 3)}, outputs={"frames": ("batch", 1, 48)}, name="colours"
    )
    write(model, picture_contract(), path)
    return path


def scene(seed: int = 0, *, width: int = 48, height: int = 40) -> NDArray[np.uint8]:
    """Return a picture (height, width, 3) with a corner that is red, and no symmetry."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 200, (5, 6, 3))
    picture = np.kron(coarse, np.ones((height // 5, width // 6, 1))).astype(np.uint8)
    picture[: height // 5, : width // 3] = (230, 10, 20)
    return picture


def encoded(picture: NDArray[Any], kind: str = "PNG", *, mode: str | None = None, **more: Any) -> bytes:
    """Return a picture as a file of Pillow's."""
    image = pytest.importorskip("PIL.Image", reason="picture files need the extra [image]")
    made, stream = image.fromarray(picture), io.BytesIO()
    (made if mode is None else made.convert(mode)).save(stream, kind, **more)
    return stream.getvalue()
