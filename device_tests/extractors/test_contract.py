"""Contracts: as texts, their ranges, and what damaged ones are refused for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgecl.errors import ContractError
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.contract import Contract

from ..support.extractors import VOICE


def test_a_contract_survives_being_written_as_texts() -> None:
    again = Contract.from_metadata(VOICE.metadata(), file="x.onnx")
    assert again.metadata() == VOICE.metadata()
    np.testing.assert_array_equal(again.mean, VOICE.mean)
    assert again.channels == VOICE.channels
    assert again.sample_rate_hz == VOICE.sample_rate_hz


def test_what_an_extractor_was_adapted_to_is_stated_where_there_is_something() -> None:
    stated: dict[str, int | str] = {"rank": 8, "texts": 4_923, "intents": 40, "digest": "ab"}
    adapted = replace(VOICE, adapted=stated)
    assert Contract.from_metadata(adapted.metadata(), file="x.onnx").adapted == stated
    assert VOICE.adapted is None
    assert "edgecl.adapted" not in VOICE.metadata()


def test_a_latent_sees_the_window_of_its_first_frame_and_a_hop_for_each_further_one() -> None:
    assert VOICE.clip_samples == 12_400 + 8 * 1_280


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("modality", "smell", "wanted one of voice"),
        ("normalisation", "l1", "wanted one of l2"),
        ("sample_rate_hz", -1.0, "sample_rate_hz"),
        ("sample_rate_hz", float("nan"), "sample_rate_hz"),
        ("channels", (), "no channels"),
        ("channels", ("\udcff",), "can be written as UTF-8"),
        ("source", "caf\udce9", "can be written as UTF-8"),
        ("units", ("a", "b"), "2 units for 1 channels"),
        ("pool_frames", 0, "1 or more"),
        ("hop_samples", 20_000, "leaves gaps"),
        ("dimension", 4, "wanted 4 finite numbers"),
        ("dimension", 0, "dimension 0"),
        ("mean", np.array([1, 2, np.inf], np.float32), "3 finite numbers"),
        ("shrinkage_floor", 1.5, "shrinkage_floor"),
    ],
)
def test_a_contract_out_of_range_is_refused(field: str, value: object, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        replace(VOICE, **{field: value})


@pytest.mark.parametrize(
    ("key", "text", "complaint"),
    [
        ("format", None, "x.onnx has no contract"),
        ("format", "2", "update edgecl"),
        ("window_samples", None, "lacks"),
        ("window_samples", "many", "cannot be read"),
        ("mean", "[1, 2", "cannot be read"),
        ("mean", "[1, 2]", "3 finite numbers"),
        ("channels", "{", "cannot be read"),
        ("channels", "7", "cannot be read"),
        ("adapted", "7", "cannot be read"),
    ],
)
def test_damaged_metadata_is_refused(key: str, text: str | None, complaint: str) -> None:
    metadata = VOICE.metadata()
    metadata.pop("edgecl." + key, None)
    if text is not None:
        metadata["edgecl." + key] = text
    with pytest.raises(ContractError, match=complaint):
        Contract.from_metadata(metadata, file="x.onnx")


def test_the_voice_contract_says_what_the_file_holds(voice: FileExtractor) -> None:
    contract = voice.contract
    assert (contract.modality, contract.channels, contract.sample_rate_hz) == ("voice", ("pcm",), 16_000)
    assert (contract.window_samples, contract.hop_samples) == (12_400, 1_280)
    assert (contract.pool_frames, contract.dimension) == (9, 96)
    assert contract.licence == "Apache-2.0"
    assert np.linalg.norm(contract.mean) > 1
