"""A few of the lessons of `tools/contention`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.stores import folder_in_memory
from ..support.tools import tool

pytestmark = pytest.mark.host


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_in_memory() as path:
        yield path


def test_writers_at_once_lose_nothing_though_their_lock_is_removed(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    contention = tool("measure.contention", monkeypatch)
    found = contention.contended(folder, contention.Size(commits=120))
    assert found["faults"] == []
    assert found["lost"] == 0
    assert min(found["others"].values()) > 0
