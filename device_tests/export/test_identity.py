"""The extractor for tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the exporter needs the extra [export]")

from edgecl_export import export_identity

from edgecl.errors import ContractError
from edgecl.extractors.opening import open_extractor

pytestmark = pytest.mark.host


def test_rows_come_out_as_they_went_in(tmp_path: Path, rng: np.random.Generator) -> None:
    export_identity(tmp_path / "table.onnx", ["price", "demand", "hour"])
    rows = rng.normal(size=(40, 3)).astype(np.float32)
    latents = open_extractor(tmp_path / "table.onnx").latents([row[None] for row in rows])
    np.testing.assert_array_equal(latents, rows)


def test_the_contract_names_the_columns(tmp_path: Path) -> None:
    contract = export_identity(tmp_path / "table.onnx", ["price", "demand"], units=["€", "MW"])
    assert (contract.modality, contract.normalisation, contract.dimension) == ("table", "none", 2)
    assert (contract.channels, contract.units) == (("price", "demand"), ("€", "MW"))


def test_no_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no channels"):
        export_identity(tmp_path / "table.onnx", [])
