"""The table of edgecl beside River's learners: which runs are compared, and which are made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..support.tools import tool


def run(learner: str, accuracy: float, *, seed: int = 0, us: float = 10, name: str = "SEA") -> dict[str, Any]:
    about = {"set": name, "seed": seed, "delay": 0, "learner": learner, "rows": 1000}
    return {**about, "accuracy": accuracy, "us": us, "bytes": 2048}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Any:
    return tool("report.stream_peers", monkeypatch).as_markdown


def test_learners_are_compared_on_the_streams_that_both_have_seen(table: Any) -> None:
    ours = [run("edgecl", 0.9), run("edgecl", 0.5, seed=1)]
    text = table([*ours, run("River adaptive random forest", 0.8, us=250)])
    assert "| edgecl | 70.0 | 70.0 | 2 | 10 | 2 KiB |" in text
    assert "| River adaptive random forest | +10.0 | +10.0 | 1 | 25.0 × |" in text
    assert "edgecl is +10.0 points above" in text
    assert "25 times the time, +10.0 points at the least (SEA)" in text


def test_a_learner_that_lacks_a_set_has_no_mean_and_is_not_the_best(table: Any) -> None:
    whole = [
        run("edgecl", 0.9),
        run("edgecl", 0.9, name="steps"),
        run("River A", 0.7),
        run("River A", 0.7, name="steps"),
    ]
    text = table([*whole, run("River B", 0.99)])
    assert "| River B | 99.0 |  |  | 1 | 10 | 2 KiB |" in text
    assert "The best of River on average over the sets is River A" in text


def test_what_a_file_has_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peers = tool("measure.stream_peers", monkeypatch)
    monkeypatch.setattr(peers, "river_learners", dict)
    one_set = {"limit": 50, "only": ["majority"], "sets": ["SEA"]}
    first, second = peers.runs(range(1), set(), **one_set)
    file = tmp_path / "runs.jsonl"
    file.write_text(json.dumps(first) + "\n")
    assert [*peers.runs(range(1), peers.already(file), **one_set)] == [second]
    assert (first["delay"], second["delay"]) == (0, 100)


def test_shorter_runs_of_a_set_in_the_same_file_are_left_out(table: Any) -> None:
    text = table([run("edgecl", 0.9), {**run("edgecl", 0.5, seed=1), "rows": 200}])
    assert "| edgecl | 90.0 | 90.0 | 1 | 10 | 2 KiB |" in text
