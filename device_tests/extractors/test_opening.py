"""Files that are refused, and those that do not ship."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecl.errors import ContractError
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.opening import builtin_extractor, open_extractor


def test_a_flipped_bit_in_the_graph_is_noticed(voice_file: Path, tmp_path: Path) -> None:
    content = bytearray(voice_file.read_bytes())
    content[len(content) // 2] ^= 1  # within the weights: it loads all the same
    path = tmp_path / "voice.onnx"
    path.write_bytes(content)
    with pytest.raises(ContractError, match="export it again"):
        open_extractor(path)


@pytest.mark.parametrize("kept", [0, 1, 7, 1_000, 1_000_000])
def test_a_truncated_file_is_refused(voice_file: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "voice.onnx"
    path.write_bytes(voice_file.read_bytes()[:kept])
    with pytest.raises(ContractError):
        open_extractor(path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.onnx"
    path.write_text("a list of things to do, and not a graph")
    with pytest.raises(ContractError, match="not an ONNX file"):
        open_extractor(path)


@pytest.mark.parametrize("name", ["nothing.onnx", "."])
def test_a_path_without_a_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ContractError, match="cannot be read"):
        open_extractor(tmp_path / name)


def test_the_file_digest_is_that_of_the_file(voice: FileExtractor, voice_file: Path) -> None:
    from hashlib import sha256

    assert voice.digest == sha256(voice_file.read_bytes()).hexdigest()


def test_an_extractor_that_does_not_ship_says_how_to_make_it() -> None:
    with pytest.raises(ContractError, match="no smell extractor ships") as raised:
        builtin_extractor("smell")
    assert raised.value.remedy == "export"
