"""Options from the environment, and what is never taken from there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click
import pytest

from edgecl.cli.app import COMMANDS, main

from ..support.commands import edgecl, process

HUGE = "1" * 401  # larger than any float
OVERRIDES = ("force", "irreversible", "overwrite", "distinct", "same_as", "drop_missing", "repair", "yes", "help")


def all_options(command: click.Command) -> list[click.Option]:
    found = [one for one in command.params if isinstance(one, click.Option)]
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            found += all_options(below) if below else []
    return found


def test_no_numeric_option_takes_a_number_that_overflows() -> None:
    numeric = [one for one in all_options(main) if isinstance(one.type, (click.types.IntParamType, click.FloatRange))]
    assert len(numeric) > 50
    taken = []
    for one in numeric:
        with suppress(click.BadParameter):
            one.type.convert(HUGE, one, None)
            taken.append(one.opts)
    assert not taken


def test_an_option_is_read_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECL_INIT_EXTRACTOR", "no such extractor")
    assert "no such extractor" in edgecl("init", tmp_path / "kitchen").err
    monkeypatch.setenv("EDGECL_STATUS_JSON", "1")
    done = edgecl("status", tmp_path / "nothing")
    assert done.value["exit_code"] == done.code == 5


def test_the_command_line_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECL_LISTEN_THRESHOLD", "7")
    assert "7.0 is not in the range 0<=x<=1" in edgecl("listen", tmp_path).err
    assert edgecl("listen", tmp_path / "nothing", "--threshold", "0.5").code == 5


def test_what_overrides_a_refusal_is_never_taken_from_the_environment() -> None:
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)  # type: ignore[attr-defined]
        for option in all_options(command):
            wanted = option.name not in OVERRIDES
            assert bool(option.envvar) is wanted, (name, option.name)
            assert not wanted or str(option.envvar).startswith(f"EDGECL_{name.upper()}_")


def test_the_shell_completes_commands_and_options() -> None:
    for typed, at, wanted in (("edgecl li", 1, "listen"), ("edgecl listen --sco", 2, "--scores")):
        done = process(env={"_EDGECL_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(at)})
        assert wanted in done.out, done.err
