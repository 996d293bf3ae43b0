"""A few of the lessons and kills of `tools/soak`, and that it notices what a store must not do."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from ..support.tools import tool

pytest.importorskip("onnx", reason="the exporter needs the extra [export]")

pytestmark = pytest.mark.host


@pytest.fixture
def soaking(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = tool("measure.soak", monkeypatch)
    monkeypatch.setattr(module, "PEAK_BYTES", 1 << 30)  # where numba compiles at run time it takes more
    return module


def test_a_store_whose_writer_is_killed_ends_as_one_that_was_taught_in_one_go(soaking: Any, tmp_path: Path) -> None:
    size = soaking.Size(samples=1600, lessons=16, classes=12, kills=3, seed=0)
    found = soaking.soaked(tmp_path, size)
    assert found["fault"] is None
    assert found["kills"] == found["survived"] > 0
    assert found["done"]["forget"] > 0
    assert found["head_difference"] < importlib.import_module("measure.soak_checks").HEAD_DIFFERENCE
    assert found["accuracy"] == found["fresh_accuracy"]


def test_memory_beyond_the_budget_is_a_fault(soaking: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "PEAK_BYTES", 1 << 20)
    found = soaking.soaked(tmp_path, soaking.Size(samples=100, lessons=2, classes=3, kills=0, seed=0))
    assert found["fault"].startswith("peak resident memory")


def test_a_file_that_is_left_behind_is_a_fault(soaking: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "LOOK_EVERY", 1)
    soak = soaking.Soak(tmp_path, soaking.Size(samples=100, lessons=2, classes=3, kills=0, seed=0))
    (tmp_path / "spool" / "rows").write_bytes(b"left")
    with pytest.raises(soaking.SoakError, match="1 files are left behind"):
        soak.run()
