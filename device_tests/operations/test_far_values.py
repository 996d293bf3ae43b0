"""A column in another unit than the extractor of a table was made by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecl.extractors.contract import Contract
from edgecl.extractors.opening import open_extractor
from edgecl.learner import Learner
from edgecl.operations.far_values import FEWEST_ROWS, FarValues
from edgecl.operations.late_labels import LateLabel, Row, follow_by_id

from ..support.recordings import contract_of

export = pytest.importorskip("edgecl_export")
pytestmark = pytest.mark.host  # the extractor of a table is made by the exporter
SAID = "values of 'amount' lie far beyond those that the extractor was made by"


@pytest.fixture
def shop(tmp_path: Path) -> Learner:
    like = tmp_path / "like.csv"
    like.write_text("amount,hour,label\n" + "".join(f"{at % 90 + 10},{at % 24},{'ab'[at % 2]}\n" for at in range(300)))
    export.export_table(tmp_path / "t.onnx", like)
    return Learner.create(tmp_path / "shop", extractor=tmp_path / "t.onnx", max_classes=2)


def rows(contract: Contract, factor: float) -> tuple[np.ndarray, list[str]]:
    cells = np.zeros((100, len(contract.channels)))
    cells[:, 0], cells[:, 1] = (np.arange(100) % 90 + 10) * factor, np.arange(100) % 24
    return cells, ["a", "b"] * 50


@pytest.mark.parametrize(("factor", "is_named"), [(1.0, False), (3.0, False), (100.0, True), (-100.0, True)])
def test_a_column_in_another_unit_is_named(
    shop: Learner, factor: float, is_named: bool, caplog: pytest.LogCaptureFixture
) -> None:
    cells, labels = rows(shop.contract, factor)
    shop.follow(cells, labels, dry_run=True)
    assert (SAID in caplog.text) == is_named
    caplog.clear()
    arrivals = [Row(str(at), {"amount": str(one[0]), "hour": str(one[1])}) for at, one in enumerate(cells)]
    follow_by_id(shop.opened, [*arrivals, LateLabel("1", "a")], dry_run=True).finish()
    assert (SAID in caplog.text) == is_named
    assert "'hour'" not in caplog.text


def test_a_prediction_names_a_column_in_another_unit(shop: Learner, caplog: pytest.LogCaptureFixture) -> None:
    shop.learn(*rows(shop.contract, 1.0), force=True)
    caplog.clear()
    shop.predict(rows(shop.contract, 1.0)[0])
    assert SAID not in caplog.text
    shop.predict(rows(shop.contract, 100.0)[0])
    assert SAID in caplog.text


def test_few_rows_and_extractors_that_cut_nothing_name_nothing(shop: Learner, tmp_path: Path) -> None:
    far = np.full((FEWEST_ROWS, shop.contract.dimension), 8, np.float32)
    few, enough = FarValues(shop.contract), FarValues(shop.contract)
    few.add(far[1:])
    enough.add(far)
    assert (list(few.notes()), len(list(enough.notes()))) == ([], 2)
    export.export_identity(tmp_path / "i.onnx", ["amount", "hour"])
    for contract in (open_extractor(tmp_path / "i.onnx").contract, contract_of("imu", 50.0, ("ax", "ay"), 20, 10)):
        other = FarValues(contract)
        other.add(far[:, : len(contract.channels)])
        assert list(other.notes()) == []
