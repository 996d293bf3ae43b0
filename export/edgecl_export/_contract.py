"""Putting a contract into a model, and checking by reading it back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from edgecl.errors import ContractError
from edgecl.extractor import Contract, open_extractor, graph_digest


def write(model: onnx.ModelProto, contract: Contract, out: Path) -> Contract:
    """Write a model with its contract, and run what was written.

    Parameters
    ----------
    model
        Its metadata is replaced.
    contract
        Without a graph digest, which is set here.
    out
        The file to write.

    Returns
    -------
    Contract
        As read back.

    Raises
    ------
    ContractError
        What was written cannot be read back, or answers something else than the contract says.
    """
    del model.metadata_props[:]
    contract = replace(contract, graph_digest=graph_digest(model.SerializeToString(deterministic=True)))
    helper.set_model_props(model, contract.metadata())
    out.write_bytes(model.SerializeToString(deterministic=True))
    return check(out, contract)


def check(out: Path, wanted: Contract) -> Contract:
    """Open a file that was just written, and run it once on faint noise."""
    extractor = open_extractor(out)
    if extractor.contract.metadata() != wanted.metadata():
        raise ContractError(f"{out}: the contract reads back as another one")
    shape = (wanted.clip_samples, len(wanted.channels))
    noise = np.random.default_rng(0).normal(scale=1e-2, size=shape).astype(np.float32)
    frames = extractor.frames(noise)
    if frames.shape != (wanted.pool_frames, wanted.dimension):
        raise ContractError(
            f"{out}: {shape[0]} samples give frames of shape {frames.shape}, "
            f"wanted {(wanted.pool_frames, wanted.dimension)}: are window and hop those of the graph?"
        )
    return extractor.contract
