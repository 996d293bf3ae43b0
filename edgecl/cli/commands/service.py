"""`edgecl service`: run a listener as a service."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from edgecl.cli.options import example, json_option
from edgecl.cli.text import print_json
from edgecl.cli.warn import warn

DEFAULT_STORE = Path("/var/lib/edgecl/kitchen")


@click.group(epilog=example("edgecl service install /var/lib/edgecl/kitchen --print"))
def command() -> None:
    """Install or print systemd units: a listener, a page, a daily health check.

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
@click.option("--with-page", is_flag=True, help="Start the page with its listener, not the listener alone.")
@click.option("--own", is_flag=True, help="For your own user: no root, no account, no sandbox; ends when you log out.")
@click.option("--folder", metavar="FOLDER", type=click.Path(path_type=Path), help="Where units are written.")
@click.option("--no-start", is_flag=True, help="Write the units; start nothing.")
@click.option("--unit", metavar="NAME", help="Print this unit alone, ready to be saved.")
@click.option("--user", metavar="NAME", help="Account of the services. [default: edgecl, made by systemd]")
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
@click.option(
    "--page",
    "page_options",
    metavar="OPTIONS",
    default="--host 0.0.0.0 --tls",
    help="Options of `edgecl serve`, as one word. [default: --host 0.0.0.0 --tls]",
)
@json_option
def install(
    store: Path,
    as_text: bool,
    with_page: bool,
    own: bool,
    folder: Path | None,
    no_start: bool,
    unit: str | None,
    user: str | None,
    program: Path | None,
    listen_options: str,
    page_options: str,
    as_json: bool,
) -> None:
    """Write the units filled in with store, user, program and options, and start them.

    STORE is the store to listen for and to check. [default: /var/lib/edgecl/kitchen]
    """
    from edgecl.cli.commands.listen import command as listen
    from edgecl.cli.commands.serve import command as serve
    from edgecl.service.home import home_folder
    from edgecl.service.units import FOLDER, filled, for_user

    units = filled(
        store.absolute(),
        user=user,
        program=_program(program),
        listen_options=_options("listen", listen, store, listen_options),
        page_options=_options("serve", serve, store, page_options),
    )
    if own:
        units = for_user(units)
    if unit is not None:
        units = _only(units, unit)
    target = folder or (home_folder() / ".config/systemd/user" if own else FOLDER)
    if as_text:
        _print(units, target, is_one=unit is not None, as_json=as_json)
    else:
        _install(units, target, own=own, is_started=not no_start, with_page=with_page, as_json=as_json)
        if not os.path.exists(store / "current"):  # noqa: PTH110 (a folder that may not be read is no error)
            warn(f"no store is found at {store.absolute()}: what is started does not run before there is one")


def _print(units: Mapping[str, str], folder: Path, *, is_one: bool, as_json: bool) -> None:
    if as_json:
        print_json({"folder": str(folder), "units": dict(units)})
        return
    for number, (name, text) in enumerate(units.items()):
        if not is_one:
            click.echo(("\n" if number else "") + f"# --- {folder / name}")
        click.echo(text, nl=False)


def _install(
    units: Mapping[str, str], folder: Path, *, own: bool, is_started: bool, with_page: bool, as_json: bool
) -> None:
    from edgecl.service.units import write

    written = write(units, folder)
    wanted = ["edgecl-page.service" if with_page else "edgecl-listen.service", "edgecl-health.timer"]
    control = ["systemctl", *(["--user"] if own else [])]
    commands = [[*control, "daemon-reload"], [*control, "enable", "--now", *(one for one in wanted if one in units)]]
    ran = [shlex.join(one) for one in commands if is_started and _has_run(one)]
    left = [shlex.join(one) for one in commands if shlex.join(one) not in ran]
    if as_json:
        print_json({"written": [str(one) for one in written], "ran": ran, "to_run": left})
        return
    for one in written:
        click.echo(f"{one} is written")
    if left:
        click.echo("To start them:\n" + "\n".join(f"  {one}" for one in left))


def _has_run(command: list[str]) -> bool:
    """Run a command of systemd; False where it is not there, or fails."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0  # noqa: S603


def _only(units: Mapping[str, str], name: str) -> dict[str, str]:
    if name not in units:
        raise click.BadParameter(f"{name!r} is not one of {', '.join(units)}", param_hint="--unit")
    return {name: units[name]}


def _options(name: str, command: click.Command, store: Path, text: str) -> list[str]:
    """Return the words of the text, once the command of that name has accepted them."""
    option = {"listen": "--listen", "serve": "--page"}[name]
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}", param_hint=option) from error
    if {"-h", "--help"} & set(words):
        raise click.BadParameter("--help is not an option of a service", param_hint=option)
    command.make_context(f"edgecl {name}", [str(store), *words])
    return words


def _program(path: Path | None) -> list[str]:
    """Return the words that start edgecl: a given program, the installed one, or the interpreter with the module."""
    installed = Path(sys.executable).with_name("edgecl") if path is None else path
    if path is not None or installed.is_file():
        return [str(installed.absolute())]
    return [sys.executable, "-m", "edgecl.cli"]
