"""Putting a contract into a model, and checking by reading it back."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from edgecl.errors import ContractError, SettingError
from edgecl.extractors.contract import Contract
from edgecl.extractors.onnx import graph_digest
from edgecl.extractors.opening import open_extractor
from edgecl.store.files import beside, flush, require_replaceable


def write(model: onnx.ModelProto, contract: Contract, out: Path) -> Contract:
    """Write a model with its contract, and run what was written.

    Parameters
    ----------
    model
        Its metadata is replaced.
    contract
        Its graph digest is set here.
    out
        The file to write; left as it was if anything fails.

    Returns
    -------
    Contract
        As read back.

    Raises
    ------
    ContractError
        What was written cannot be read back, or answers something else than the contract says.
    SettingError
        `out` cannot be written.
    """
    del model.metadata_props[:]
    contract = replace(contract, graph_digest=graph_digest(model.SerializeToString(deterministic=True)))
    helper.set_model_props(model, contract.metadata())
    return place(model.SerializeToString(deterministic=True), contract, out)


def place(content: bytes, contract: Contract, out: Path) -> Contract:
    """Write an extractor beside `out`, check it, and only then give it that name; raises as `write`."""
    out = require_replaceable(out)
    part = beside(out)
    try:
        part.write_bytes(content)
        checked = _check(part, contract, out)
        flush(part)
        part.replace(out)
    except OSError as error:
        raise SettingError(f"cannot write {out}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink()
    return checked


def _check(part: Path, wanted: Contract, out: Path) -> Contract:
    extractor = open_extractor(part)
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
