"""TFLite without what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecl.errors import ContractError
from edgecl.extractors.opening import open_extractor


def test_tflite_without_a_runtime_or_contract_says_so(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    with pytest.raises(ContractError, match="export wrap"):
        open_extractor(path)
