"""The public names: what is listed is what there is, documented, with examples that run."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

import edgecl

from .support.commands import voice_extractor

NAMES = {
    "Contract", "ContractError", "DataError", "EdgeclError", "Extractor", "Learner", "Lesson",
    "LessonCollector", "MemoryObjects", "Model", "ModelError", "Policy", "Run", "Sample", "SettingError", "Settings",
    "Skip", "Store", "StoreDamagedError", "StoreLockedError", "StoreMissingError", "Verdict", "drift", "judge", "learn",
    "metrics", "open_extractor", "read_samples",
}  # fmt: skip
PUBLIC = sorted(NAMES)


def examples(name: str) -> list[doctest.DocTest]:
    """The examples of a public name: those of its methods, or of the functions of a module, with it."""
    found = getattr(edgecl, name)
    home = found if isinstance(found, types.ModuleType) else importlib.import_module(found.__module__)
    return [one for one in doctest.DocTestFinder().find(found, name, module=home, globs=vars(home)) if one.examples]


def test_what_is_listed_can_be_imported_and_nothing_else_is() -> None:
    assert set(edgecl.__all__) == NAMES
    for name in PUBLIC:
        assert getattr(edgecl, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = edgecl.Nothing  # type: ignore[attr-defined]


def test_the_name_of_before_still_works_and_says_what_it_is_called_now() -> None:
    with pytest.warns(DeprecationWarning, match=r"edgecl\.Device is now edgecl\.Learner"):
        assert edgecl.Device is edgecl.Learner


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_says_what_it_is_with_an_example_that_runs(name: str) -> None:
    voice_extractor()
    found = getattr(edgecl, name)
    assert inspect.getdoc(found)
    assert examples(name), f"{name} has no example"
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    for one in examples(name):
        assert runner.run(one).failed == 0


def test_every_public_method_says_what_it_does() -> None:
    for owner in (edgecl.Learner, edgecl.Run, edgecl.Lesson, edgecl.Model, edgecl.Store):
        for name, method in inspect.getmembers(owner, lambda one: callable(one) or isinstance(one, property)):
            if not name.startswith("_"):
                assert inspect.getdoc(method), f"{owner.__name__}.{name} says nothing"


def test_the_package_is_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "edgecl", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"edgecl {edgecl.__version__}\n"


@pytest.mark.native("emulation is slower")
def test_the_examples_are_short_together() -> None:
    voice_extractor()
    runner, started = doctest.DocTestRunner(verbose=False), time.process_time()
    for name in PUBLIC:
        for one in examples(name):
            runner.run(one)
    assert time.process_time() - started < 4


@pytest.mark.native("reads the sources")
def test_no_class_or_file_is_too_long_to_read() -> None:
    for path in Path(edgecl.__file__).parent.rglob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < 250, f"{path}: {node.name}"
