"""The scripts that users of the library copy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "tools" / "examples"
# a line, or the part of one, that shows the result
SHOWN = {
    "word_from_five_arrays.py": "coffee: accepted True, revision 3",
    "movement_stream.py": "s: biceps curl (100%)",
    "monthly_intents.py": "month 3: change address; accepted True; 5 intents",
    "drifting_table.py": "drift noticed at row",
    "without_a_store.py": "red and green swapped: accepted False",
    "fruit.py": "edgecl, no replay",
}
pytestmark = [pytest.mark.host, pytest.mark.native("runs every example")]


@pytest.mark.parametrize("script", SHOWN)
def test_an_example_shows_its_result_and_leaves_nothing_behind(tmp_path, script):
    command = [sys.executable, "-W", "error", EXAMPLES / script]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert SHOWN[script] in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        *SHOWN,
        "write_demo_data.py",
        "intents_avalanche.py",
    }  # the README's commands run the one, test_avalanche_strategy.py the other
