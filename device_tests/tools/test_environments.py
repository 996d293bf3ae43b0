"""What the tools install."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ..support.tools import tool

pytestmark = pytest.mark.host


@pytest.fixture
def environments(monkeypatch: pytest.MonkeyPatch) -> Any:
    return tool("common.environments", monkeypatch)


def test_the_lowest_versions_are_those_of_every_package_but_the_developers(environments: Any) -> None:
    pins = environments.lowest()
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", one) for one in pins)
    assert {"numpy==1.26.4", "onnxruntime==1.21.1"} <= set(pins)
    assert not any(one.startswith(("mypy", "pytest", "ruff", "edgecl")) for one in pins)


def test_an_empty_environment_has_no_package_of_another(environments: Any, tmp_path: Path) -> None:
    python = environments.empty_environment(tmp_path / "made")
    assert python.is_file()
    assert not list((tmp_path / "made").rglob("numpy"))
