"""The feed of tools/plugged loses hops as a sound card would: those that a listener does not take in time."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.native("real time")
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("program", "is_lost"), [("import time; time.sleep(9)", True), ("open(0, 'rb').read()", False)]
)
def test_hops_are_lost_where_nobody_reads(program: str, is_lost: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    load: Any = importlib.import_module("measure.plugged_load")
    monkeypatch.setattr(load, "HOP_S", 0.02)
    command = [sys.executable, "-c", f"print(flush=True); {program}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
        assert one.stdout is not None
        one.stdout.readline()  # it has started, however busy the machine is
        with load.Feed(one) as feed:
            time.sleep(1)
        one.kill()
    assert feed.hops > 10
    assert (feed.lost > 0) == is_lost
