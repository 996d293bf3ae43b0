"""The table of tools/fraud_table: means over streams, and patterns that were never found."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def stream(after: int | None, recall: float) -> dict[str, Any]:
    shares = {"average precision": 0.5, "recall": recall, "classic at the end": 1.0, "new patterns": 0.0}
    return {**shares, "found after": {"gift cards": after}, "us": 12.4}


def test_streams_are_averaged_and_what_was_never_found_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    as_markdown = importlib.import_module("report.fraud_table").as_markdown
    text = as_markdown({"naive": [stream(8, 0.5), stream(None, 1.0)], "replay": [stream(None, 0.0)]})
    assert text.splitlines()[2:] == [
        "| naive | 0.500 | 75.0% | 100.0% | 0.0% | 8 (1 of 2 never) | 12 |",
        "| replay | 0.500 | 0.0% | 100.0% | 0.0% | never (1 of 1 never) | 12 |",
    ]
