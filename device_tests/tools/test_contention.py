"""A few of the lessons of `tools/contention`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.stores import folder_in_memory

TOOLS = Path(__file__).resolve().parents[2] / "tools"
pytestmark = pytest.mark.host


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_in_memory() as path:
        yield path


def test_writers_at_once_lose_nothing_though_their_lock_is_removed(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    if not (TOOLS / "measure" / "contention.py").exists():
        pytest.skip("tools/measure/contention.py is not beside the tests")
    monkeypatch.syspath_prepend(str(TOOLS))
    contention = importlib.import_module("measure.contention")
    found = contention.contended(folder, contention.Size(commits=120))
    assert found["faults"] == []
    assert found["lost"] == 0
    assert min(found["others"].values()) > 0
