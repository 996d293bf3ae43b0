"""Some of the inputs and clients of `tools/hostile`: refused, within their bounds."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecl.errors import EdgeclError
from edgecl.learner import Learner

from ..support.commands import voice_extractor
from ..support.tools import tool

pytestmark = pytest.mark.host
LARGE = ("2 GiB", "2,000 times", "24 million", "48 MiB")  # left to the script


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Any:
    return tool("measure.hostile", monkeypatch)


def test_hostile_inputs_are_refused(hostile: Any, tmp_path: Path) -> None:
    voice_extractor()
    words = Learner.create(tmp_path / "kitchen", extractor="voice")
    movement = Learner.create(tmp_path / "wrist", extractor="imu")
    noise = np.random.default_rng(0).normal(size=(10, 100, 6)).astype(np.float32)
    movement.learn(list(noise), ["a"] * 5 + ["b"] * 5)
    tried = 0
    for number, (name, attack) in enumerate(hostile.attacks(movement, words)):
        if any(one in name for one in LARGE):
            continue
        place = tmp_path / str(number)
        place.mkdir()
        with pytest.raises(EdgeclError):
            attack(place)()
        tried += 1
    assert tried > 20


def test_an_honest_client_is_answered_after_hostile_ones(hostile: Any, tmp_path: Path) -> None:
    found = hostile.clients(tmp_path, 12)
    assert found["survived"] == found["tried"] == 12


def test_what_is_over_a_bound_or_not_refused_is_counted_as_such(hostile: Any) -> None:
    report = importlib.import_module("report.hostile")
    good = {"input": "x", "ended": "refused: DataError", "seconds": 0.1, "mib": 1.0}
    figures = {"inputs": [good, {**good, "mib": 65.0}, {**good, "ended": "not refused"}]}
    places = {"tried": 7, "survived": 6, "found": ["x"]}
    text = report.as_markdown({**figures, "clients": {"tried": 2, "survived": 1, "slowest_s": 0.1}, "places": places})
    assert "1 of 3 within the bounds" in text
    assert "Of 7 commands" in text
    assert "odd value" not in text
    counts = {"clients": {"tried": 2, "survived": 1, "slowest_s": 0.1}, "places": places}
    text = report.as_markdown({**figures, **counts, "options": {"tried": 1552, "survived": 1551, "found": ["x"]}})
    assert "Of 1,552 with an odd value in one of their options, 1,551 ended as documented." in text
    assert text.count("| NO |") == 2
    around = {"surroundings": {"tried": 1080, "survived": 1079, "found": ["x"]}}
    assert "Of 1,080 on a full or read-only disk" in report.as_markdown({**figures, **counts, **around})


def test_an_odd_place_in_a_file_parameter_ends_a_command_as_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
    voice_extractor()
    places = tool("measure.places", monkeypatch)
    tried, found = places.attacked(tmp_path, only="restore")
    assert tried > 20
    assert found == []


def test_an_odd_value_in_an_option_ends_a_command_as_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
    voice_extractor()
    options = tool("measure.odd_options", monkeypatch)
    tried, found = options.attacked(tmp_path, only="set")
    assert tried == len(options.VALUES)
    assert found == []


@pytest.mark.parametrize("command", ["restore", "forget"])
def test_no_odd_surroundings_leave_a_store_that_is_not_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
    voice_extractor()
    surroundings = tool("measure.surroundings", monkeypatch)
    tried, found = surroundings.attacked(tmp_path, only=command, every=2)
    assert tried >= len(surroundings.surroundings()) // 2
    assert found == []


def test_a_command_that_never_ends_or_raises_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = tool("measure.places", monkeypatch)
    monkeypatch.setattr(places, "LONGEST_S", 0.2)
    pipe = places.KINDS["a pipe"](tmp_path)
    assert places.in_a_fork(lambda: os.read(os.open(pipe, os.O_RDWR), 1), tmp_path / "o")[0] == -9
    code, printed = places.in_a_fork(lambda: 1 / 0, tmp_path / "o")
    assert (code, "ZeroDivisionError" in printed) == (98, True)
