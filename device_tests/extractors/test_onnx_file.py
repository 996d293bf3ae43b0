"""The digest of a graph."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from edgecl.errors import ContractError
from edgecl.extractors.onnx import digests, graph_digest, require_self_contained
from edgecl.learner import Learner


def test_the_graph_digest_leaves_the_metadata_out() -> None:
    version, metadata, graph = b"\x08\x0a", b"\x72\x03abc", b"\x3a\x04wxyz"
    assert graph_digest(version + metadata + graph) == graph_digest(version + graph + b"\x72\x01d")
    assert graph_digest(version + graph) != graph_digest(version + b"\x3a\x04wxyy")


@pytest.mark.parametrize("fields", [(0, 1), (0, 1, 2), (2, 0, 1), (0, 2, 1), (2, 0, 2, 1, 2)])
def test_both_digests_are_those_of_their_bytes_wherever_the_metadata_is(fields: Sequence[int]) -> None:
    version, graph, metadata = b"\x08\x0a", b"\x3a\x04wxyz", b"\x72\x03abc"
    content = b"".join((version, graph, metadata)[one] for one in fields)
    of_graph = hashlib.sha256(content.replace(metadata, b"")).hexdigest()
    assert digests(content) == (hashlib.sha256(content).hexdigest(), of_graph)


@pytest.mark.parametrize("damaged", [b"\x3a\x05wxyz", b"\x3a", b"\xff" * 20, b"\x0f"])
def test_the_graph_digest_of_no_message_is_an_error(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut short|no such number|no field"):
        graph_digest(damaged)


def model_of(*nodes: Any, initializers: Sequence[Any] = (), domains: Sequence[str] = ("",)) -> Any:
    onnx = pytest.importorskip("onnx", reason="models are made with the extra [export]")
    helper = onnx.helper
    value = helper.make_tensor_value_info("signal", onnx.TensorProto.FLOAT, ["n", 4])
    graph = helper.make_graph(list(nodes), "graph", [value], [value], initializer=list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(one, 1) for one in domains])


def external(name: str) -> Any:
    onnx = pytest.importorskip("onnx")
    tensor = onnx.TensorProto(name=name, data_type=1, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def test_a_model_in_one_file_passes() -> None:
    onnx = pytest.importorskip("onnx")
    weights = onnx.helper.make_tensor("w", 1, [4], [1.0, 2.0, 3.0, 4.0])
    weights.data_location = onnx.TensorProto.DEFAULT
    add = onnx.helper.make_node("Add", ["signal", "w"], ["out"])
    quantised = onnx.helper.make_node("DynamicQuantizeMatMul", ["signal"], ["out"], domain="com.microsoft")
    model = model_of(add, quantised, initializers=[weights], domains=["", "com.microsoft", "ai.onnx.ml"])
    require_self_contained(model.SerializeToString())


def test_external_data_is_refused_wherever_it_is() -> None:
    onnx = pytest.importorskip("onnx")
    constant = onnx.helper.make_node("Constant", [], ["c"], value=external("c"))
    inner = onnx.helper.make_graph([constant], "inner", [], [])
    branch = onnx.helper.make_node("If", ["signal"], ["out"], then_branch=inner, else_branch=inner)
    sparse = model_of()
    sparse.graph.sparse_initializer.add().values.CopyFrom(external("s"))
    function = model_of()
    function.functions.add().node.append(constant)
    for model in (model_of(initializers=[external("w")]), model_of(constant), model_of(branch), sparse, function):
        with pytest.raises(ValueError, match="weights are in another file"):
            require_self_contained(model.SerializeToString())


def test_a_field_whose_number_others_would_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="no such field"):
        require_self_contained(b"\xba\x80\x80\x80\x10\x00")  # field 7, the graph, with bit 32 set


def test_custom_domains_and_operators_that_read_files_are_refused() -> None:
    onnx = pytest.importorskip("onnx")
    custom = onnx.helper.make_node("Mine", ["signal"], ["out"], domain="my.ops")
    context = onnx.helper.make_node("EPContext", ["signal"], ["out"], domain="com.microsoft")
    for model, reason in (
        (model_of(custom), "domain 'my.ops'"),
        (model_of(domains=["", "my.ops"]), "domain 'my.ops'"),
        (model_of(context), "EPContext reads other files"),
    ):
        with pytest.raises(ValueError, match=reason):
            require_self_contained(model.SerializeToString())


def test_init_refuses_weights_of_another_file_before_any_runtime_sees_them(tmp_path: Path) -> None:
    path = tmp_path / "external.onnx"
    path.write_bytes(model_of(initializers=[external("w")]).SerializeToString())
    with (
        mock.patch("edgecl.extractors.onnx.onnx_session") as session,
        pytest.raises(ContractError, match="save the model as one file"),
    ):
        Learner.create(tmp_path / "store", extractor=path)
    session.assert_not_called()


def test_a_model_of_endless_fields_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 500,000 fields"):
        require_self_contained(b"\x08\x01" * 600_000)
    with pytest.raises(ValueError, match="no such field"):
        require_self_contained(bytes(1 << 20))
