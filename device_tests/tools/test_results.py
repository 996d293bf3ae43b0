"""Results files: every measured part has its script, and a script writes its part alone."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import pytest

from ..support.tools import TOOLS, tool

FILES = sorted((TOOLS / "results").glob("*.md"))
PART = re.compile(r"<!-- tools/(\w+) ?([\w -]*) -->\n(.+?)\n<!-- end -->", re.DOTALL)  # a part, or an option of one


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Any:
    return tool("report.results", monkeypatch)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_measured_part_is_that_of_a_script_and_has_figures(path: Path) -> None:
    parts = PART.findall(path.read_text())
    assert len(parts) == path.read_text().count("<!-- tools/")
    assert bool(parts) == (path.stem != "README")
    for script, _, tables in parts:
        assert script == path.stem
        assert (TOOLS / script).is_file()
        assert re.search(r"\d", tables)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_links_lead_to_files(path: Path) -> None:
    linked = re.findall(r"\]\(([^)#]+)\)", path.read_text())
    assert [name for name in linked if not (path.parent / name).is_file()] == []


def test_the_first_page_names_every_file() -> None:
    if not FILES:
        pytest.skip("tools is not beside the tests")
    text = (TOOLS / "results" / "README.md").read_text()
    others = [path.name for path in (TOOLS / "results").iterdir() if path.name != "README.md"]
    assert [name for name in others if f"({name})" not in text] == []


def test_a_script_replaces_its_part_and_keeps_what_is_around_it(results: Any) -> None:
    table = results.Results("count", "Counts", "first")
    text = table.replaced("", "one")
    assert text == "# Counts\n\nWritten by `tools/count first`.\n\n<!-- tools/count first -->\none\n<!-- end -->\n"
    other = results.Results("count", "Counts", "second").replaced(f"{text}\nBy hand.\n", "three")
    again = table.replaced(other, "two")
    assert again == other.replace("one", "two")
    assert "By hand." in again


def test_a_whole_run_writes_the_results_file_and_a_part_only_what_was_given(
    results: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    table = results.Results("count", "Counts")
    table.keep("one", given=None, is_whole=False)
    assert list(tmp_path.iterdir()) == []
    table.keep("one", given=tmp_path / "given.md", is_whole=True)
    assert [path.name for path in tmp_path.iterdir()] == ["given.md"]
    table.keep("one", given=None, is_whole=True)
    assert (tmp_path / "count.md").read_text() == (tmp_path / "given.md").read_text()


def test_the_option_says_which_file_a_whole_run_writes(results: Any) -> None:
    parser = argparse.ArgumentParser()
    results.Results("count", "Counts").add_option(parser)
    assert "tools/results/count.md" in " ".join(parser.format_help().split())
    assert parser.parse_args(["--markdown", "a.md"]).markdown == Path("a.md")


def test_what_is_printed_is_shown_and_kept(results: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with results.printed() as text:
        print("4 of 4")
    assert text.getvalue() == capsys.readouterr().out == "4 of 4\n"
