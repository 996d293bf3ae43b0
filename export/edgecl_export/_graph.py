"""ONNX graphs, node by node, the same bytes each time."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
_END = 2**31 - 1


class Graph:
    """A graph that grows by appending; every method returns the name of what it made."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[Any]] = {}

    def constant(self, name: str, values: ArrayLike) -> str:
        """Keep an array; the same name again means the same array."""
        self._constants[name] = np.ascontiguousarray(values)
        return name

    def integers(self, *values: int) -> str:
        """A vector of int64, shared by all nodes that ask for the same one."""
        return self.constant("i_" + "_".join(map(str, values)), np.array(values, np.int64))

    def number(self, value: float) -> str:
        """A float32 scalar, shared likewise."""
        return self.constant(f"f_{value:g}", np.array(value, np.float32))

    def add(self, operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        """Append a node with one output, which bears the node's name."""
        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def split(self, tensor: str, sizes: list[int], *, axis: int, name: str) -> list[str]:
        """Cut a tensor along an axis."""
        parts = [f"{name}_{index}" for index in range(len(sizes))]
        self._nodes.append(helper.make_node("Split", [tensor, self.integers(*sizes)], parts, name=name, axis=axis))
        return parts

    def slice(self, tensor: str, start: int, stop: int | None, *, axis: int, name: str, step: int = 1) -> str:
        """`tensor[start:stop:step]` along one axis."""
        bounds = (self.integers(start), self.integers(_END if stop is None else stop))
        return self.add("Slice", tensor, *bounds, self.integers(axis), self.integers(step), name=name)

    def taps(self, tensor: str, count: int, *, axis: int, name: str) -> list[str]:
        """`count` views of a tensor, each shifted by one more along an axis, all of the same length."""
        if count == 1:
            return [tensor]
        stops = [index - count + 1 or None for index in range(count)]
        return [self.slice(tensor, index, stops[index], axis=axis, name=f"{name}_{index}") for index in range(count)]

    def model(
        self,
        *,
        inputs: dict[str, tuple[str | int, ...]],
        outputs: dict[str, tuple[str | int, ...]],
        name: str,
    ) -> onnx.ModelProto:
        """The checked model; an input that is also a constant may be left out by the caller."""
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in inputs.items()],
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in outputs.items()],
            [numpy_helper.from_array(values, key) for key, values in self._constants.items()],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="edgecl"
        )
        onnx.checker.check_model(model, full_check=True)
        return model
