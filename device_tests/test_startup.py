"""What a lesson loads: a small device pays for every module at every start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .support.commands import clips, edgecl, voice_extractor, write_clips

MOST_MODULES = 95  # of edgecl that a lesson of sound loads, packages and the command line included
OTHER_VERBS = {
    "answering", "background", "centring", "creation", "evaluating", "forgetting", "recovery", "status", "streaming",
}  # fmt: skip
OTHER_ROOMS = {"bench", "compare", "demo", "drift", "live", "service", "spotting"}
LISTING = """
import atexit, json, sys
from edgecl.cli.__main__ import run
atexit.register(lambda: print(json.dumps([one for one in sys.modules if one.partition(".")[0] == "edgecl"])))
run()
"""
NOTHING = "import edgecl, json, sys; print(json.dumps(sorted(sys.modules)))"


def listed(script: str, *arguments: object) -> set[str]:
    """The modules that a process has loaded at its end: the last line of what it prints."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The modules of a lesson of sound."""
    voice_extractor()
    folder: Path = tmp_path_factory.mktemp("startup")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice").code == 0
    write_clips(folder / "clips", clips("teach", ("yes", "no"), most=5))
    return listed(LISTING, "learn", folder / "kitchen", folder / "clips", "--json")


def test_a_lesson_loads_no_other_verb_and_no_room_that_it_does_not_enter(lesson: set[str]) -> None:
    assert "edgecl.operations.teaching" in lesson
    assert {f"edgecl.operations.{one}" for one in OTHER_VERBS} & lesson == set()
    assert {f"edgecl.{one}" for one in OTHER_ROOMS} & lesson == set()


def test_a_lesson_loads_no_more_modules_than_it_did(lesson: set[str]) -> None:
    assert len(lesson) <= MOST_MODULES, sorted(lesson)


def test_the_package_alone_loads_no_library() -> None:
    loaded = listed(NOTHING)
    assert {"numpy", "onnxruntime", "click", "edgecl_kernels"} & loaded == set()
    assert {one for one in loaded if one.startswith("edgecl.")} == set()
