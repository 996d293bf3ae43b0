"""Pages of documentation: their blocks of code, and the commands and schemas in these."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

import edgecl
from edgecl.cli.app import main

ROOT = Path(__file__).resolve().parents[2]
DOCS = Path(edgecl.__file__).parent / "docs"
README = ROOT / "README.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))]
DEMO_DATA = ROOT / "tools" / "examples" / "write_demo_data.py"


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    info: str
    text: str


@dataclass(frozen=True)
class Command:
    """One command of a page, with what the page shows of its output."""

    text: str
    shown: tuple[str, ...] = ()


def blocks(page: Path, *languages: str) -> list[Block]:
    found = re.findall(r"^```(\w+) ?(.*)\n((?:.*\n)*?)```$", page.read_text(), re.MULTILINE)
    return [Block(*one) for one in found if one[0] in languages]


def commands(page: Path) -> Iterator[Command]:
    """Yield the commands of all blocks; in a "console" they begin with "$ ", and their output follows."""
    for block in blocks(page, "sh", "console"):
        if block.language == "sh":
            lines = _loops_in_a_line(block.text).splitlines()
            yield from (Command(line.partition("   #")[0].strip()) for line in lines if line.strip())
        else:
            for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                line, _, shown = part.partition("\n")
                yield Command(line, tuple(shown.splitlines()))


def _loops_in_a_line(text: str) -> str:
    return re.sub(r"^for .*\n(?:.*\n)*?done$", lambda loop: loop[0].replace("\n", " ; "), text, flags=re.MULTILINE)


def named_commands(page: Path) -> Iterator[list[str]]:
    """Yield the words after `edgecl` wherever code of a page names a command."""
    spans = re.findall(r"`([^`\n]+)`", page.read_text())
    for span in [*spans, *(one.text for one in commands(page))]:
        for part in re.split(r" \| | ; ", span):
            if match := re.search(r"(?:^|/|-u edgecl )edgecl ([a-z].*)", part):
                yield re.sub(r"\"[^\"]*\"|'[^']*'", "WORDS", match[1]).split()


def options_of(path: list[str]) -> set[str]:
    """The options of a command, found by as many words as name one, and of the groups above it."""
    command: click.Command = main
    options = {"-h", "--help", "--version"}
    for word in path:
        if isinstance(command, click.Group):
            command = (
                command.get_command(click.Context(command), word) or command
            )  # or the STORE of `inbox STORE label`
            options |= {name for one in command.params for name in one.opts}
    return options


def commands_below(name: str) -> list[list[str]]:
    """A command and those below it, each as its words."""
    command = main.get_command(click.Context(main), name)
    below = command.list_commands(click.Context(command)) if isinstance(command, click.Group) else []
    return [[name], *([name, one] for one in below)]


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of every section of json.md, closed: here a field that it does not list is an error."""
    first, *sections = re.split(r"^## ", (DOCS / "json.md").read_text(), flags=re.MULTILINE)
    shared = _closed(_json(first)["$defs"])
    return {section.partition("\n")[0]: {"$defs": shared, **_closed(_json(section))} for section in sections}


def _json(text: str) -> dict[str, Any]:
    match = re.search(r"^```json\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert match
    found: dict[str, Any] = json.loads(match[1])
    return found


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _closed(one) for name, one in schema.items()}
    if made.get("type") == "object" and "properties" in made:
        made.setdefault("additionalProperties", False)
    return made


def write_inputs(folder: Path) -> None:
    """Write what a user would have beside the demo's data: windows of a sensor and tables, one with a drift."""
    draw = np.random.default_rng(0)
    windows = draw.normal(0, 1, (60, 128, 3)).astype(np.float32)
    windows[:30] *= np.linspace(0, 3, 128, dtype=np.float32)[:, None]
    told: dict[str, Any] = {"rate_hz": 50.0, "channels": ["x", "y", "z"], "label_names": ["rising", "level"]}
    for name in ("windows.npz", "lesson.npz"):
        np.savez(folder / name, X=windows, y=[0] * 30 + [1] * 30, **told)
    rows = draw.normal(0, 1, (3000, 2)).round(3)
    for name, count in {"stream.csv": 3000, "tomorrow.csv": 5}.items():
        labels = [("up", "down")[int((a > b) == (number < 1500))] for number, (a, b) in enumerate(rows[:count])]
        lines = [f"{a},{b},{label}" for (a, b), label in zip(rows[:count], labels, strict=True)]
        (folder / name).write_text("\n".join(["a,b,y", *lines]) + "\n")
