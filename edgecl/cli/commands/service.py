"""`edgecl service`: run a listener as a service."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from edgecl.cli.options import example, json_option
from edgecl.cli.text import print_json

DEFAULT_STORE = Path("/var/lib/edgecl/kitchen")


@click.group(epilog=example("edgecl service install /var/lib/edgecl/kitchen --print"))
def command() -> None:
    """Print systemd units for a listener and a daily health check.

    Needs systemd, and `arecord` for the sound. `edgecl help device` describes the installation on a board.
    """


@command.command(
    epilog=example(
        "edgecl service install /var/lib/edgecl/kitchen --print",
        "edgecl service install /var/lib/edgecl/kitchen --print --unit edgecl-listen.service",
        'edgecl service install /srv/hall --print --user pi --listen "--json --wake marvin"',
    )
)
@click.argument("store", metavar="[STORE]", required=False, type=click.Path(path_type=Path), default=DEFAULT_STORE)
@click.option("--print", "as_text", is_flag=True, help="Print the units; nothing is installed.")
@click.option("--unit", metavar="NAME", help="Print this unit alone, ready to be saved.")
@click.option("--user", metavar="NAME", default="edgecl", help="Account of the services. [default: edgecl]")
@click.option(
    "--program", metavar="FILE", type=click.Path(path_type=Path), help="The program edgecl. [default: this one]"
)
@click.option(
    "--listen",
    "listen_options",
    metavar="OPTIONS",
    default="--inbox --json",
    help="Options of `edgecl listen`, as one word. [default: --inbox --json]",
)
@json_option
def install(
    store: Path, as_text: bool, unit: str | None, user: str, program: Path | None, listen_options: str, as_json: bool
) -> None:
    """Print the units filled in: store, user, program, options.

    STORE is the store to listen for and to check. [default: /var/lib/edgecl/kitchen]
    """
    from edgecl.service.units import FOLDER, filled

    if not as_text:
        raise click.UsageError(f"only printing is supported so far: add --print, and save the units to {FOLDER}")
    options = _listen_options(store, listen_options)
    units = filled(store.absolute(), user=user, program=_program(program), listen_options=options)
    if unit is not None:
        units = _only(units, unit)
    if as_json:
        print_json({"folder": str(FOLDER), "units": units})
        return
    for number, (name, text) in enumerate(units.items()):
        if unit is None:
            click.echo(("\n" if number else "") + f"# --- {FOLDER / name}")
        click.echo(text, nl=False)


def _only(units: Mapping[str, str], name: str) -> dict[str, str]:
    if name not in units:
        raise click.BadParameter(f"{name!r} is not one of {', '.join(units)}", param_hint="--unit")
    return {name: units[name]}


def _listen_options(store: Path, text: str) -> list[str]:
    """Return the words of the text, once `edgecl listen` has accepted them."""
    from edgecl.cli.commands.listen import command as listen

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}", param_hint="--listen") from error
    if {"-h", "--help"} & set(words):
        raise click.BadParameter("--help is not an option of a service", param_hint="--listen")
    listen.make_context("edgecl listen", [str(store), *words])
    return words


def _program(path: Path | None) -> list[str]:
    """Return the words that start edgecl: a given program, the installed one, or the interpreter with the module."""
    installed = Path(sys.executable).with_name("edgecl") if path is None else path
    if path is not None or installed.is_file():
        return [str(installed.absolute())]
    return [sys.executable, "-m", "edgecl.cli"]
