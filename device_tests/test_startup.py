"""What a lesson loads: a small device pays for every module at every start."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import edgecl as edgecl_package

from .support.commands import clips, edgecl, voice_extractor, write_clips

pytestmark = pytest.mark.native("starts many processes")

MOST_FILES = 46  # of edgecl, the command line apart, in which a lesson of sound calls a function
STAND_INS = {Path(f"{one}.py") for one in ("hashes", "metrics", "notes", "values")}  # for what they keep out
MOST_MODULES = 77  # of edgecl that it loads, packages and the command line included
TOO_DEAR = {
    "_hashlib", "dataclasses", "importlib.resources", "logging", "numpy.ma", "random", "shutil", "tempfile",
}  # fmt: skip
DEEPEST = 24  # frames below the loading of numpy: where its own end a chunk of the stack, each call maps a new one
MOST_OTHERS = 140  # modules of the standard library, with those that other libraries load
LIBRARIES = {"edgecl", "numpy", "onnxruntime"}
OTHER_VERBS = {
    "answering", "background", "centring", "creation", "evaluating", "forgetting", "recovery", "resizing", "status",
    "streaming",
}  # fmt: skip
OTHER_ROOMS = {"bench", "compare", "demo", "drift", "live", "service"}
SPOTTING = {
    "edgecl.spotting",
    "edgecl.spotting.reference",
    "edgecl.spotting.student",
}  # of which a lesson keeps answers
LISTING = """
import atexit, json, sys
from edgecl.cli.__main__ import run
atexit.register(lambda: print(json.dumps(sorted(sys.modules))))
run()
"""
CALLS = """
import atexit, json, sys
called = set()
def note(frame, event, argument):
    code = frame.f_code
    if event == "call" and code.co_name != "<module>" and code.co_flags & 2:  # 2: not the body of a class
        called.add(code.co_filename)
atexit.register(lambda: (sys.setprofile(None), print(json.dumps(sorted(called)))))
sys.setprofile(note)
from edgecl.cli.__main__ import run
run()
"""
STARTED = """
import atexit, gc, json, sys
seen = {"numpy": None, "rounds": 0}
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy" and seen["numpy"] is None:
            frame = sys._getframe()
            depth = 0
            while frame := frame.f_back:
                depth += 1
            seen["numpy"] = depth
def note(phase, about):
    seen["rounds"] += phase == "stop" and gc.get_threshold()[0] > 700  # those of Python's own start do not count
gc.callbacks.append(note)
sys.meta_path.insert(0, Finder())
atexit.register(lambda: print(json.dumps(seen)))
from edgecl.cli.__main__ import run
run()
"""
NOTHING = "import edgecl, json, sys; print(json.dumps(sorted(sys.modules)))"
of_numpy_2 = pytest.mark.skipif(version("numpy").startswith("1."), reason="numpy 1 loads numpy.ma and more by itself")


def listed(script: str, *arguments: object) -> set[str]:
    """The modules that a process has loaded at its end: the last line of what it prints."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that knows two words, `kitchen`, and clips of another, `clips`."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("startup")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice").code == 0
    write_clips(folder / "known", clips("teach", ("yes", "no"), most=5))
    assert edgecl("learn", folder / "kitchen", folder / "known").code == 0
    write_clips(folder / "clips", clips("teach", ("up",), most=5))
    return folder


@pytest.fixture(scope="module")
def loaded(taught: Path) -> set[str]:
    """All modules of a lesson of sound that is committed into a copy."""
    shutil.copytree(taught / "kitchen", taught / "copy")
    return listed(LISTING, "learn", taught / "copy", taught / "clips", "--json")


@pytest.fixture(scope="module")
def lesson(loaded: set[str]) -> set[str]:
    """The modules of edgecl among them."""
    return {one for one in loaded if one.partition(".")[0] == "edgecl"}


@of_numpy_2
def test_a_lesson_loads_nothing_that_is_too_dear(loaded: set[str]) -> None:
    assert "edgecl.learning.loop" in loaded
    assert loaded & TOO_DEAR == set()


@of_numpy_2
def test_a_lesson_that_prints_what_it_expects_of_others_loads_nothing_that_is_too_dear(taught: Path) -> None:
    shutil.copytree(taught / "kitchen", taught / "printed")
    loaded = listed(LISTING, "learn", taught / "printed", taught / "clips")
    assert "edgecl.spotting.background" in loaded
    assert loaded & TOO_DEAR == set()


@of_numpy_2
def test_a_lesson_loads_no_more_of_other_modules_than_it_did(loaded: set[str]) -> None:
    others = {one for one in loaded if one.partition(".")[0] not in LIBRARIES}
    assert len(others) <= MOST_OTHERS, (len(others), sorted(others))


def test_a_lesson_loads_no_other_verb_and_no_room_that_it_does_not_enter(lesson: set[str]) -> None:
    assert "edgecl.operations.teaching" in lesson
    assert {f"edgecl.operations.{one}" for one in OTHER_VERBS} & lesson == set()
    assert {f"edgecl.{one}" for one in OTHER_ROOMS} & lesson == set()
    assert {one for one in lesson if one.startswith("edgecl.spotting")} <= SPOTTING


def test_a_lesson_loads_no_more_modules_than_it_did(lesson: set[str]) -> None:
    assert len(lesson) <= MOST_MODULES, sorted(lesson)


def test_a_lesson_enters_few_files(taught: Path) -> None:
    package = Path(edgecl_package.__file__).parent
    called = listed(CALLS, "learn", taught / "kitchen", taught / "clips", "--json")
    own = {Path(one).relative_to(package) for one in called if Path(one).is_relative_to(package)}
    entered = {one for one in own if one.parts[0] != "cli"} - STAND_INS
    assert Path("operations/teaching.py") in entered
    assert len(entered) <= MOST_FILES, sorted(map(str, entered))


def test_a_lesson_loads_numpy_near_the_bottom_of_the_stack_and_collects_no_garbage(taught: Path) -> None:
    shutil.copytree(taught / "kitchen", taught / "started")
    command = [sys.executable, "-c", STARTED, "learn", str(taught / "started"), str(taught / "clips")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout.splitlines()[-1])
    assert 0 < seen["numpy"] <= DEEPEST, seen
    assert seen["rounds"] == 0, seen


def test_the_package_alone_loads_no_library() -> None:
    loaded = listed(NOTHING)
    assert {"numpy", "onnxruntime", "click", "edgecl_kernels"} & loaded == set()
    assert {one for one in loaded if one.startswith("edgecl.")} == set()
