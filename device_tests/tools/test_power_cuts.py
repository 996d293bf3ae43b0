"""A few of the points at which `tools/power_cuts` kills and fails the commands; the tool takes all."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from ..support.commands import voice_extractor

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "measure" / "power_cuts.py"
FEW = 12  # every so manieth point


@pytest.fixture(scope="module")
def cuts() -> Any:
    if not SCRIPT.exists():
        pytest.skip("tools/measure/power_cuts.py is not beside the tests")
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    spec = importlib.util.spec_from_file_location("cuts", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["cuts"] = module
    path = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


@pytest.mark.host
@pytest.mark.parametrize("fault", ["signal=KILL", "error=ENOSPC"])
def test_a_forgetting_hit_at_any_call_leaves_the_old_or_the_new_store(cuts: Any, tmp_path: Path, fault: str) -> None:
    voice_extractor()
    forget = cuts.prepared(tmp_path, only="forget")[-1]
    results = list(cuts.injected(forget, tmp_path, fault, every=FEW))
    assert len(results) >= 3
    assert [one for one in results if one[0]] == []
