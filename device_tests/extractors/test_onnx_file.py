"""The digest of a graph."""

from __future__ import annotations

import pytest

from edgecl.extractors.onnx import graph_digest


def test_the_graph_digest_leaves_the_metadata_out() -> None:
    version, metadata, graph = b"\x08\x0a", b"\x72\x03abc", b"\x3a\x04wxyz"
    assert graph_digest(version + metadata + graph) == graph_digest(version + graph + b"\x72\x01d")
    assert graph_digest(version + graph) != graph_digest(version + b"\x3a\x04wxyy")


@pytest.mark.parametrize("damaged", [b"\x3a\x05wxyz", b"\x3a", b"\xff" * 20, b"\x0f"])
def test_the_graph_digest_of_no_message_is_an_error(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut short|no such number|no field"):
        graph_digest(damaged)
