"""edgecl in Avalanche's own loop, on made-up intents."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

if importlib.util.find_spec("avalanche") is None:
    pytest.skip("avalanche-lib is not installed; it brings torch", allow_module_level=True)

EXAMPLE = Path(__file__).resolve().parents[2] / "tools" / "examples" / "intents_avalanche.py"
WORDS = {
    "balance": "how much money is on my account",
    "transfer": "send money to another person",
    "pay_bill": "settle the invoice of electricity",
    "weather": "will it rain or shine tomorrow",
    "alarm": "wake me up early in the morning",
}
pytestmark = [pytest.mark.host, pytest.mark.native("trains with torch")]


def test_the_first_intents_stay_where_training_on_the_new_ones_loses_them(tmp_path):
    lines = [
        {"text": f"{' '.join(words.split()[at % 3 :])} number {at}", "label": label, "split": split}
        for label, words in WORDS.items()
        for split, count in (("train", 30), ("test", 10))
        for at in range(count)
    ]
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(map(json.dumps, lines)))
    done = subprocess.run([sys.executable, EXAMPLE, data], text=True, capture_output=True, check=True)
    accuracy = {line.split()[0]: float(line.split()[1].rstrip("%")) for line in done.stdout.splitlines()[2:]}
    assert set(accuracy) == {"naive", "EWC", "edgecl"}
    assert accuracy["edgecl"] >= 95
    assert accuracy["naive"] <= accuracy["edgecl"] - 20
