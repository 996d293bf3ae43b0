"""The modules of `tools/`, where it is beside the tests."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def tool(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a module of `tools/`, such as "report.results"; skips where there is none."""
    if not TOOLS.exists():
        pytest.skip("tools is not beside the tests")
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module(name)
