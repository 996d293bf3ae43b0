"""`learn --via`: the lesson is handed to a listener that has loaded all it needs; numpy is not loaded here."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from edgecl.errors import EdgeclError, SettingError
from edgecl.store.files import read_file

ARGUMENTS = "edgecl.arguments"
"""Where `ctx.meta` has the command line."""
PREFIX = "EDGECL_LEARN_"
LONGEST = 1 << 13  # bytes of what a listener says of its socket
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7)
_LOADED_AHEAD = (
    "edgecl.cli.app",
    "edgecl.cli.commands.learn",
    "edgecl.learner",
    "edgecl.learning.candidates",
    "edgecl.learning.loop",
    "edgecl.operations.teaching",
    "edgecl.sources.activity",
    "edgecl.sources.reading",
)


def handed_over(ctx: click.Context, store: Path, path: Path, *, via: Path | None) -> int | None:
    """Have a listener teach the lesson of this command line.

    Parameters
    ----------
    via
        The listener's socket; None: that of a listener that runs on the store, if there is one.

    Returns
    -------
    int or None
        The exit code; None where no listener runs on the store.

    Raises
    ------
    SettingError
        `via` is no socket of a listener of this user on this store.
    """
    named = via or _announced(store)
    if named is None:
        return None
    request = {"lesson": _request(ctx.meta[ARGUMENTS][1:], path), "store": str(store.resolve())}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
            one.connect(str(named))
            _require_own(one)
            return _followed(one, request)
    except (OSError, ValueError) as error:
        if via is None:
            return None
        why = getattr(error, "strerror", None) or error
        raise SettingError(f"no listener takes lessons of {store} at {via}: {why}", parameter="via") from error


def _announced(store: Path) -> Path | None:
    try:
        told = json.loads(bytes(read_file(store / "listener.json", limit=LONGEST)))
        return Path(told["control"])
    except (EdgeclError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _require_own(one: socket.socket) -> None:
    """Refuse a socket of another user: it would be given a terminal to write to."""
    _, user, _ = _CREDENTIALS.unpack(one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if user not in (0, os.geteuid()):
        raise ValueError(f"it belongs to user {user}")


def _request(arguments: Sequence[str], path: Path) -> dict[str, Any]:
    """Return the command line without what chose the listener; of `-` the file that stdin was kept in."""
    kept, words = [], iter(arguments)
    for word in words:
        if word == "--via":
            next(words, None)
        elif not word.startswith("--via="):
            kept.append(str(path) if word == "-" else word)
    environment = {name: text for name, text in os.environ.items() if name.startswith(PREFIX)}
    environment.pop(f"{PREFIX}VIA", None)
    return {"arguments": kept, "folder": str(Path.cwd()), "environment": environment}


def _followed(one: socket.socket, request: dict[str, Any]) -> int:
    """Send a request with our streams, and wait for the exit code; an interrupt is passed on."""
    with Path(os.devnull).open("rb") as nothing:  # a lesson beside a listener does not ask on our terminal
        socket.send_fds(one, [json.dumps(request).encode() + b"\n"], [nothing.fileno(), 1, 2])
    with one.makefile("rb") as answers:
        begun = _object(answers.readline())
        if not begun.get("pid"):
            raise ValueError(begun.get("error", "it does not answer"))
        with _interrupts_passed_on(int(begun["pid"])):
            ended = _object(answers.readline())
    if "exit_code" not in ended:
        click.echo("Error: the listener ended, and the lesson with it", err=True)
    return int(ended.get("exit_code", 1))


def _object(line: bytes) -> dict[str, Any]:
    found = json.loads(line or b"{}")
    if not isinstance(found, dict):
        raise ValueError("its answer is no object")
    return found


@contextmanager
def _interrupts_passed_on(process: int) -> Iterator[None]:
    def forward(number: int, frame: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(process, number)

    before = signal.signal(signal.SIGINT, forward)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def prepare() -> None:
    """Load what a lesson loads."""
    for name in _LOADED_AHEAD:
        import_module(name)
    from edgecl_kernels import implementation

    implementation()


def taught(arguments: Sequence[str]) -> int:
    """Run `edgecl learn` in a process that was forked for it, and return its exit code."""
    from edgecl.cli import interrupts
    from edgecl.cli.app import main

    for number, name in enumerate(("stdin", "stdout", "stderr")):
        setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    interrupts.hold()
    try:
        main(["learn", *arguments, "--no-via"], prog_name="edgecl")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    finally:
        interrupts.ignore()
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
    return 0
