"""ONNX Runtime training 1.19.2, its last release: forward, cross-entropy, backward and SGD; no EWC, no momentum."""

from __future__ import annotations

import tempfile
from itertools import cycle
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.training import api, artifacts

from peers.contestant import Contestant, Ready, without_bias
from peers.workloads import RATE, Case


def head(case: Case) -> onnx.ModelProto:
    """scores = latents W + b as an ONNX graph."""
    weights = case.start[0, :, : case.dimension].T.copy()
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["latents", "W", "b"], ["scores"])],
        "head",
        [helper.make_tensor_value_info("latents", TensorProto.FLOAT, ["n", case.dimension])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", case.classes])],
        [
            numpy_helper.from_array(weights, "W"),
            numpy_helper.from_array(case.start[0, :, case.dimension].copy(), "b"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def step(case: Case) -> Ready:
    with tempfile.TemporaryDirectory() as folder:
        artifacts.generate_artifacts(
            head(case),
            requires_grad=["W", "b"],
            loss=artifacts.LossType.CrossEntropyLoss,
            optimizer=artifacts.OptimType.SGD,
            artifact_directory=folder,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        state = api.CheckpointState.load_checkpoint(str(Path(folder, "checkpoint")))
        models = [str(Path(folder, f"{name}_model.onnx")) for name in ("training", "eval", "optimizer")]
        module = api.Module(models[0], state, models[1], session_options=options)
        optimizer = api.Optimizer(models[2], module)
        optimizer.set_learning_rate(RATE)
    latents, labels, slots = case.latents, case.labels.astype(np.int64), cycle(case.schedule)
    module.train()

    def run() -> None:
        chosen = next(slots)
        module(latents[chosen], labels[chosen])
        optimizer.step()
        module.lazy_reset_grad()

    def weights() -> np.ndarray:
        found = [np.asarray(state.parameters[name].data) for name in ("W", "b")]
        return without_bias(found[0].T, found[1], case)

    return Ready(run, 1, weights, {"strength": 0.0, "momentum": 0.0})


CONTESTANTS = [Contestant("ONNX Runtime training", {"step": step})]
