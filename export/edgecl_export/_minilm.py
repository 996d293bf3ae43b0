"""The graph of all-MiniLM-L6-v2 with int8 weights: its weights by their names, and as PyTorch runs them.

A weight W (in, out) is int8 with a scale for each column, which the graph multiplies when it is loaded; all else is
float32. So what is trained on here (extra `[export-adapt]`) is the network that a device runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgecl.errors import ContractError

LAYERS, HEADS, WIDTH = 6, 12, 384
AT_ONCE = 64  # texts that are embedded together
ADAPTED = tuple(
    f"encoder.layer.{layer}.attention.self.{part}" for layer in range(LAYERS) for part in ("query", "value")
)
Pair = tuple[Any, Any]  # tensors (WIDTH, rank) and (rank, WIDTH): what is added to a weight is their product
_PREFIX, _WEIGHT, _BIAS = "inner.", ".weight", ".bias"
_TABLE = f"{_PREFIX}embeddings.word_embeddings{_WEIGHT}"
_QUANTISED, _SCALE, _LARGEST = "_q", "_scale", 127


def read_weights(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    """Return weights and biases by their names in MiniLM, as float32."""
    arrays = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    for name in [name.removesuffix(_QUANTISED) for name in arrays if name.endswith(_QUANTISED)]:
        arrays[name] = arrays[name + _QUANTISED].astype(np.float32) * arrays[name + _SCALE]
    found = {name.removeprefix(_PREFIX): array for name, array in arrays.items() if name.startswith(_PREFIX)}
    return found | {layer + _WEIGHT: arrays[tensor] for layer, tensor in _tensors(model).items()}


def merge(model: onnx.ModelProto, changes: Mapping[str, NDArray[np.float32]]) -> None:
    """Add to weights of a model.

    Parameters
    ----------
    changes
        (in, out), by the name of the layer.
    """
    weights, tensors = read_weights(model), _tensors(model)
    held = {one.name: one for one in model.graph.initializer}
    for layer, change in changes.items():
        whole = weights[layer + _WEIGHT] + change
        scale = np.abs(whole).max(axis=0, keepdims=True) / np.float32(_LARGEST)
        rounded = np.rint(whole / np.where(scale > 0, scale, 1)).astype(np.int8)
        for suffix, array in ((_QUANTISED, rounded), (_SCALE, scale.astype(np.float32))):
            name = tensors[layer] + suffix
            held[name].CopyFrom(numpy_helper.from_array(array, name))


def look_up_packed(model: onnx.ModelProto) -> None:
    """Let the graph look up the rows of a text's tokens in int8, and make floats of these alone.

    As it comes it multiplies its table of 30,522 words first, which ONNX Runtime does when a session opens: 47 MB that
    stay, and as much again meanwhile. The numbers are the same.
    """
    nodes = model.graph.node
    (unpacked,) = (node for node in nodes if list(node.output) == [_TABLE])
    (looked_up,) = (node for node in nodes if list(node.input)[:1] == [_TABLE])
    (cast,) = (node for node in nodes if list(node.input) == [_TABLE + _QUANTISED])
    ids, row = looked_up.input[1], looked_up.output[0]
    parts = [
        helper.make_node("Gather", [_TABLE + _QUANTISED, ids], [row + _QUANTISED]),
        helper.make_node("Gather", [_TABLE + _SCALE, ids], [row + _SCALE]),
        helper.make_node("Cast", [row + _QUANTISED], [row + "_cast"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [row + "_cast", row + _SCALE], [row]),
    ]
    left = (node for node in nodes if node is not cast and node is not unpacked)
    made = [one for node in left for one in (parts if node is looked_up else [node])]
    del nodes[:]
    nodes.extend(made)


def _tensors(model: onnx.ModelProto) -> dict[str, str]:
    """Return the names of weights in the graph, by layers: those of biases alone are the network's own."""
    weights = {node.output[0]: node.input[1] for node in model.graph.node if node.op_type == "MatMul"}
    sums = [node.input for node in model.graph.node if node.op_type == "Add"]
    return {
        bias.removeprefix(_PREFIX).removesuffix(_BIAS): weights[product]
        for product, bias in sums
        if product in weights and bias.startswith(_PREFIX)
    }


def load_torch() -> Any:
    """Import PyTorch; raises ContractError where it is not installed."""
    try:
        import torch
    except ImportError as error:
        raise ContractError("adapting a text extractor needs PyTorch: pip install edgecl[export-adapt]") from error
    return torch


class Encoder:
    """Texts, as numbers of tokens, to latents of length one.

    Parameters
    ----------
    weights
        Of `read_weights`; they stay as they are.
    pairs
        Of the layers in ADAPTED; may be empty.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]], pairs: Mapping[str, Pair]) -> None:
        self._torch, self._pairs = load_torch(), pairs
        self._of = {name: self._torch.tensor(value) for name, value in weights.items()}

    def __call__(self, texts: Sequence[Sequence[int]]) -> Any:
        """Return the latents, a tensor (n, 384)."""
        torch, longest = self._torch, max(map(len, texts))
        ids = torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts])
        given = torch.tensor([[at < len(text) for at in range(longest)] for text in texts])  # (n, tokens)
        x = self._of["embeddings.word_embeddings.weight"][ids]  # (n, tokens, 384)
        x = x + self._of["embeddings.position_embeddings.weight"][:longest]
        x = self._normed(x + self._of["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(LAYERS):
            x = self._layer(x, given, f"encoder.layer.{layer}.")
        mean = (x * given[..., None]).sum(dim=1) / given.sum(dim=1, keepdim=True)
        return torch.nn.functional.normalize(mean, dim=1)

    def latents(self, texts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the latents (n, 384) of any number of texts, those of like length together."""
        out = np.empty((len(texts), WIDTH), np.float32)
        by_length = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        with self._torch.no_grad():
            for first in range(0, len(texts), AT_ONCE):
                rows = by_length[first : first + AT_ONCE]
                out[rows] = self([texts[row] for row in rows]).numpy()
        return out

    def _layer(self, x: Any, given: Any, at: str) -> Any:
        functional = self._torch.nn.functional
        query, key, value = (
            self._linear(x, f"{at}attention.self.{part}").unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in ("query", "key", "value")
        )  # (n, heads, tokens, 32)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=given[:, None, None, :])
        seen = self._linear(seen.transpose(1, 2).flatten(2), f"{at}attention.output.dense")
        x = self._normed(x + seen, f"{at}attention.output.LayerNorm")
        wide = functional.gelu(self._linear(x, f"{at}intermediate.dense"))
        return self._normed(x + self._linear(wide, f"{at}output.dense"), f"{at}output.LayerNorm")

    def _linear(self, x: Any, at: str) -> Any:
        out = x @ self._of[at + _WEIGHT] + self._of[at + _BIAS]
        if at not in self._pairs:
            return out
        down, up = self._pairs[at]
        return out + x @ down @ up

    def _normed(self, x: Any, at: str) -> Any:
        scale, shift = self._of[at + _WEIGHT], self._of[at + _BIAS]
        return self._torch.nn.functional.layer_norm(x, (WIDTH,), scale, shift, eps=1e-12)
