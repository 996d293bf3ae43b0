"""What the documents say: commands run, options exist, links resolve, figures are measured."""

from __future__ import annotations

import fnmatch
import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import edgecl as package
from edgecl.cli.app import COMMANDS
from edgecl.cli.commands.help import read, topics

from .support.documents import (
    DOCS,
    PAGES,
    README,
    ROOT,
    Command,
    blocks,
    commands,
    commands_below,
    named_commands,
    options_of,
    write_inputs,
)

if not README.exists():
    pytest.skip("there is no README.md beside the tests", allow_module_level=True)
MOST_LINES = 200
WRITE_DEMO_DATA = "tools/examples/write_demo_data.py ."
# what a line needs, or is, that no test can have: a microphone, root, another machine, an index, this suite
NOT_RUN = ("arecord ", "sudo ", "scp ", "journalctl ", "pip install", "tools/demo", "tools/test", "/opt/edgecl/",
           "ffmpeg ", "v4l2-ctl ", "mkfifo ", "tail -n +1 -f ", "accept-suggestions", "--wyoming ",
           "image.onnx", "--adapt ", "learn door", "predict door", "listen door")  # fmt: skip
# options of other programs that the documents name
FOREIGN = {"--items", "--resolution", "--system", "--groups", "--now", "--target", "--failed", "--only", "--peers",
           "--set-fmt-video", "--stream-mmap", "--stream-to"}  # fmt: skip
NUMBER = r"\d[\d,]*(?:\.\d+)?"
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the documents' commands read, in which `edgecl` and `tools` are those under test."""
    from .extractors.test_text import write

    python = shlex.quote(sys.executable)
    (tmp_path / "bin").mkdir()
    for name, start in {"edgecl": f"{python} -m edgecl.cli", "python3": python}.items():
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {start} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    work = tmp_path / "work"
    work.mkdir()
    (work / "tools").symlink_to(ROOT / "tools")
    write_inputs(work)
    write(work / "text.onnx")
    return work


def can_run(command: Command) -> bool:
    return not any(one in command.text for one in NOT_RUN)


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], cwd=folder, text=True, capture_output=True, check=False)


def run_python(code: str, folder: Path) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def comparable(text: str) -> str:
    """The text without what differs from run to run: dates, times, and the size of what has a date in it."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE", text)
    return re.sub(r"(strategy [\w-]+); .* memory (.*); .* written", r"\1; memory \2", text)


def matches(shown: tuple[str, ...], printed: str) -> bool:
    """Whether the page shows what was printed; "..." stands for any lines, and nothing shown for anything."""
    pattern = "\n".join(".*" if line == "..." else re.escape(comparable(line)) for line in shown)
    return not shown or re.fullmatch(pattern, comparable(printed.rstrip("\n")), re.DOTALL) is not None


@pytest.mark.host
@pytest.mark.native("runs every command of the README")
def test_the_readmes_commands_run_and_print_what_it_shows(folder):
    found = [one for one in commands(README) if can_run(one)]
    assert len(found) >= 20
    for command in found:
        done = run(command.text, folder)
        is_rejected = any(line.startswith("REJECTED") for line in command.shown)
        assert done.returncode == (3 if is_rejected else 0), f"{command.text}: {done.stderr}"
        assert matches(command.shown, done.stdout), f"{command.text} prints\n{done.stdout}"
    (code,) = blocks(README, "python")
    assert run_python(code.text, folder).startswith("True 2\n")


def test_output_that_the_readme_does_not_show_is_noticed():
    assert matches(("a 1.5 s", "..."), "a 1.5 s\nb\n")
    assert not matches(("a 1.5 s", "..."), "a 1.6 s\nb\n")
    assert not matches(("a",), "a\nb\n")


@pytest.mark.host
@pytest.mark.native("runs every command of the documents")
@pytest.mark.parametrize("topic", ["data", "streams", "listening", "bench"])
def test_the_commands_of_a_document_run(folder, topic):
    setup = [
        "tools/examples/write_demo_data.py .",
        "edgecl init kitchen --extractor voice",
        "edgecl learn kitchen clips",
    ]
    found = [one.text for one in commands(DOCS / f"{topic}.md") if can_run(one)]
    assert found
    for command in [*setup, *found]:
        done = run(command, folder)
        assert done.returncode == 0, f"{command}: {done.stderr}"


@pytest.mark.host
@pytest.mark.native("embeds the demo's clips")
def test_the_python_of_the_document_runs(folder):
    assert run(WRITE_DEMO_DATA, folder).returncode == 0
    found = blocks(DOCS / "python.md", "python")
    assert len(found) == 3
    for block in found:
        assert run_python(block.text, folder).startswith("True")


def test_every_reason_not_to_run_a_command_is_needed():
    found = [one.text for page in PAGES for one in commands(page)]
    assert [reason for reason in NOT_RUN if not any(reason in command for command in found)] == []


@each_page
def test_commands_and_options_that_a_page_names_exist(page):
    for words in named_commands(page):
        shown = f"`edgecl {' '.join(words)}`"
        assert words[0].rstrip(",.;:") in {*COMMANDS, "COMMAND"}, shown
        used = {word.rstrip(",.;:") for word in words if re.match(r"--?[a-z]", word)}
        assert used <= options_of(words), shown


@each_page
def test_every_option_that_a_page_names_is_one(page):
    known = set().union(*(options_of(path) for name in COMMANDS for path in commands_below(name)))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]", page.read_text()))
    assert named <= known | FOREIGN


def test_every_command_is_in_the_readme_or_a_document():
    text = "".join(page.read_text() for page in [README, *DOCS.glob("*.md")] if page.name not in ("cli.md", "json.md"))
    assert [name for name in COMMANDS if f"edgecl {name}" not in text] == []


@each_page
def test_relative_links_resolve(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        assert re.match(r"https?:", target) or (page.parent / target).exists(), target


@each_page
def test_files_of_the_repository_that_a_page_names_exist(page):
    if page.name == "CHANGELOG.md":
        return  # it speaks of what was
    for name in re.findall(r"(?<![\w/.-])(?:tools|edgecl|device_tests|kernels|export)/[\w./-]*\w", page.read_text()):
        assert (ROOT / name).exists(), name


def test_files_on_the_map_exist():
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_]*(?:\.py)?)`", (ROOT / "ARCHITECTURE.md").read_text())
    assert len(named) >= 20
    assert [name for name in named if not (DOCS.parent / name).exists()] == []


def test_the_document_of_the_api_names_what_there_is():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", (DOCS / "python.md").read_text(), re.MULTILINE)
    assert {name for first, _ in rows for name in re.findall(r"`(\w+)`", first)} == set(package.__all__)
    verbs = next(second for first, second in rows if first == "`Learner`").split("`")[1].split()
    assert len(verbs) >= 15
    assert [verb for verb in verbs if not hasattr(package.Learner, verb)] == []


def test_the_readme_is_short_and_names_what_sets_everything_up():
    text = README.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    assert "tools/demo" in text
    assert "tools/test" in text


@pytest.mark.parametrize("topic", topics())
def test_a_document_has_a_heading_and_is_linked_from_the_readme(topic):
    assert re.match(r"# \S.*\n\n", read(topic))
    assert f"(edgecl/docs/{topic}.md)" in README.read_text()


def test_figures_of_the_readme_are_those_of_the_measured_tables():
    row = r"^\| [^|]+ \| ([^|]+) \| \[\w+\]\((tools/results/\w+\.md)\) \|$"
    rows = re.findall(row, README.read_text(), re.MULTILINE)
    assert len(rows) == 6
    for figures, file in rows:
        assert set(re.findall(NUMBER, figures)) <= set(re.findall(NUMBER, (ROOT / file).read_text())), file


def test_documents_are_in_the_wheel():
    globs = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["edgecl"]
    for path in [*DOCS.iterdir(), *(DOCS.parent / "data" / "systemd").iterdir()]:
        name = path.relative_to(DOCS.parent).as_posix()
        assert any(fnmatch.fnmatch(name, one) for one in globs), name
    if os.environ.get("EDGECL_TEST_INSTALLED") == "1":
        held = {str(path) for path in importlib.metadata.files("edgecl") or ()}
        assert {f"edgecl/docs/{path.name}" for path in (ROOT / "edgecl" / "docs").glob("*.md")} <= held


@pytest.mark.host
def test_the_page_of_commands_is_what_the_commands_print():
    command = [sys.executable, ROOT / "tools" / "make_cli_docs", "--check"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
