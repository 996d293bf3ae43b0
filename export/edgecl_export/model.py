"""Extractor and head as one ONNX file: a clip in, the probability of each class out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, helper, numpy_helper

from edgecl.errors import SettingError
from edgecl_export.wakeword import write

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgecl.extractors.contract import Contract
    from edgecl.model.model import Model

PREFIX = "edgecl_head/"


def export_model(
    extractor: Path, model: Model, out: Path, *, contract: Contract, revision: int, thresholds: Mapping[str, float]
) -> int:
    """Write extractor and head; returns the bytes written.

    The graph takes a signal (1, clip_samples, channels) as the contract says, placed by the caller where it is longer,
    and gives `probabilities` (1, C), in the order of the metadata's labels, and `novelty` (1,), that of the head alone:
    1 minus the best logit over the typical one. `predict` measures novelty by distances, which the graph does not have.

    Parameters
    ----------
    thresholds
        Score of each word against background, where the store listens for words; for information.

    Raises
    ------
    SettingError
        The extractor is not ONNX or takes texts, the store lifts its latents, nothing is taught, or `out` cannot be
        written.
    """
    features = model.settings.features
    if model.head is None:
        raise SettingError("nothing has been taught yet", remedy="learn")
    if contract.modality == "text" or features.lift_width:
        raise SettingError("texts, and stores that lift their latents, are not exported as one graph")
    try:
        whole = onnx.load(extractor)
    except (DecodeError, OSError, ValueError) as error:
        raise SettingError(f"{extractor} is not ONNX: only such extractors are exported with a head") from error
    _append_head(whole, model, contract)
    told = {
        "labels": json.dumps(list(model.head.labels), ensure_ascii=False),
        "thresholds": json.dumps(dict(thresholds), ensure_ascii=False),
        "contract": json.dumps(contract.metadata(), ensure_ascii=False),
        "head": model.head.kind,
        "revision": str(revision),
    }
    del whole.metadata_props[:]
    helper.set_model_props(whole, {f"edgecl.{name}": text for name, text in told.items()})
    onnx.checker.check_model(whole, full_check=True)
    return write(whole, out)


def _append_head(whole: onnx.ModelProto, model: Model, contract: Contract) -> None:
    """Replace the graph's outputs by those of the head."""
    graph, head = whole.graph, model.head
    assert head is not None
    defaults = {one.name for one in graph.initializer}
    signal = onnx.ValueInfoProto()
    signal.CopyFrom(next(one for one in graph.input if one.name not in defaults))
    _fix_shape(signal, (1, contract.clip_samples, len(contract.channels)))
    frames = graph.output[0].name
    del graph.input[:]  # a state with a default becomes what it is by default
    graph.input.append(signal)
    steps = _Steps(graph)
    total = steps.add("ReduceSum", frames, steps.constant("axis", np.array([1], np.int64)), keepdims=0)
    pooled = steps.add("Div", total, steps.constant("frames", np.float32(contract.pool_frames)))
    mean = np.broadcast_to(np.asarray(contract.mean, np.float32), (1, contract.dimension))
    latent = steps.add("Sub", pooled, steps.constant("mean", mean))
    if contract.normalisation == "l2":
        latent = steps.add("LpNormalization", latent, axis=1, p=2)
    if model.centre is not None:
        latent = steps.add("Sub", latent, steps.constant("centre", np.asarray(model.centre.shift, np.float32)[None]))
    if model.settings.features.projection:
        projection = model.settings.features.project(np.eye(contract.dimension, dtype=np.float32))
        latent = steps.add("MatMul", latent, steps.constant("projection", projection))
    product = steps.add("MatMul", latent, steps.constant("weights", head.weights.T))
    logits = steps.add("Add", product, steps.constant("bias", head.bias[None]))
    steps.add("Softmax", logits, name="probabilities", axis=1)
    _append_novelty(steps, logits, head.typical)
    del graph.output[:]
    count = len(head.labels)
    graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, (1, count)))
    graph.output.append(helper.make_tensor_value_info("novelty", TensorProto.FLOAT, (1,)))


def _append_novelty(steps: _Steps, logits: str, typical: NDArray[np.float32]) -> None:
    """1 less the best logit over what is typical of its class, between 0 and 1; 0 where that is not known."""
    safe = np.where(typical > 0, typical, 1).astype(np.float32)
    best = steps.add("ArgMax", logits, axis=1, keepdims=1)
    largest = steps.add("GatherElements", logits, best, axis=1)
    usual = steps.add("GatherElements", steps.constant("typical", safe[None]), best, axis=1)
    is_known = steps.add(
        "GatherElements", steps.constant("known", (typical > 0).astype(np.float32)[None]), best, axis=1
    )
    one = steps.constant("one", np.ones((1, 1), np.float32))
    missing = steps.add("Sub", one, steps.add("Div", largest, usual))
    bounded = steps.add("Clip", missing, steps.constant("low", np.float32(0)), steps.constant("high", np.float32(1)))
    known = steps.add("Mul", bounded, is_known)
    steps.add("Squeeze", known, steps.constant("axis", np.array([1], np.int64)), name="novelty")


def _fix_shape(value: onnx.ValueInfoProto, shape: tuple[int, ...]) -> None:
    dims = value.type.tensor_type.shape.dim
    for dim, size in zip(dims, shape, strict=True):
        dim.Clear()
        dim.dim_value = size


class _Steps:
    """Appends nodes to a graph under names of their own."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph, self._count = graph, 0
        self._constants: set[str] = set()

    def constant(self, name: str, values: NDArray[np.generic] | np.generic) -> str:
        full = PREFIX + name
        if full not in self._constants:
            self._graph.initializer.append(
                numpy_helper.from_array(np.ascontiguousarray(values).reshape(np.shape(values)), full)
            )
            self._constants.add(full)
        return full

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        self._count += 1
        out = name or f"{PREFIX}{self._count}_{operator}"
        self._graph.node.append(helper.make_node(operator, inputs, [out], name=out, **attributes))
        return out
