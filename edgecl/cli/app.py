"""Where a command is found by its name, and where an error becomes a message and an exit code.

::

    0    done; a lesson accepted, proven or not
    1    error: a disk that is full, a store that is locked, ...
    2    usage: an option that cannot work, a budget that is too small
    3    a lesson rejected by the gate, or unproven where proof was required, or all of it waits for an answer
    4    data that cannot be used
    5    no model, or a damaged one
    130  interrupted

With --json an error is also a JSON object on stdout, `{"error": ..., "exit_code": ...}`: the last line where
a command prints lines, else the only one.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

import edgecl
from edgecl.cli import interrupts, warn
from edgecl.cli.text import printable
from edgecl.errors import EdgeclError
from edgecl.notes import AT_FIRST

# name -> its line in `edgecl --help`, without loading its module
COMMANDS = {
    "demo": "Show the loop on spoken commands, then on exercises; `pictures` on drawn road signs under weather.",
    "init": "Make a store: one model in one folder.",
    "learn": "Learn from labelled samples; commit only if known classes do not get worse.",
    "follow": "Answer each row of a stream, then learn from its label.",
    "predict": "Predict the class of clips, windows, rows or texts.",
    "record": "Record clips of one word from raw PCM on stdin or from a microphone.",
    "listen": "Follow a stream of sound, movement or pictures and print its events.",
    "serve": "Serve a page by which a phone teaches the device.",
    "inbox": "List what waits for you, export one recording, or teach some.",
    "wrong": "Correct the last detection: teach it as another class or as background.",
    "centre": "Adapt to a user or place with samples that have no labels.",
    "eval": "Measure accuracy on labelled samples.",
    "set": "Set from which novelty on an answer is unknown.",
    "keep": "Say which classes are kept, and which give way first.",
    "resize": "Change memory, disk or number of classes of a store that has learnt.",
    "upgrade": "Put a better extractor under a store, and teach its classes again from recordings.",
    "status": "Show what the store knows and how full it is.",
    "history": "List revisions and decisions, oldest first.",
    "rollback": "Make an earlier revision the live one.",
    "share": "Write what the store has learnt to a file for other devices, without samples.",
    "merge": "Take in what other devices have learnt; commit only if known classes do not get worse.",
    "federate": "Merge many devices in rounds, on Flower.",
    "forget": "Remove a class for good, as if it had never been taught.",
    "backup": "Write a store to one file, signed where a key is given.",
    "restore": "Make the store of a backup.",
    "report": "Write one HTML file about a store: decisions, accuracy, memory and time.",
    "compare": "Compare all strategies on your own data.",
    "bench": "Measure the cost of a lesson on this board, phase by phase.",
    "doctor": "Check this machine and a store; repair a damaged store.",
    "export": "Build an extractor on a development machine.",
    "service": "Install or print systemd units: a listener, a page, a daily health check.",
    "help": "Read the documents: data, Python, JSON, devices and more.",
}

# names that other tools give to what a command does, and that do not resemble its own
OTHER_NAMES = {
    "add": "learn", "check": "doctor", "classify": "predict", "correct": "wrong", "create": "init", "delete": "forget",
    "fit": "learn", "info": "status", "label": "inbox", "list": "status", "log": "history", "new": "init",
    "remove": "forget", "rm": "forget", "run": "listen", "show": "status", "start": "listen", "teach": "learn",
    "test": "eval", "train": "learn", "undo": "rollback", "web": "serve",
}  # fmt: skip

INTERRUPTED = 130
# what an extra installs, by the package that is missed
EXTRAS = {
    "ai_edge_litert": "tflite",
    "cryptography": "sign",
    "flwr": "federated",
    "livekit": "export",
    "numba": "jit",
    "onnx": "export",
    "paho": "mqtt",
    "sounddevice": "mic",
    "soundfile": "audio",
    "soxr": "audio",
    "tokenizers": "text",
    "wyoming": "wyoming",
}
# what may happen to a command through no fault of the library
MACHINE = (ImportError, KeyboardInterrupt, MemoryError, OSError)
_JSON = "edgecl.json"


# what is said anew each time, never by the environment: it overrides a refusal, or answers a question
NEVER_FROM_ENVIRONMENT = {
    "distinct", "drop_missing", "force", "help", "irreversible", "overwrite", "repair", "same_as", "version", "yes",
}  # fmt: skip


class Failure(click.ClickException):
    """A message with its exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click declares it for the class


class Commands(click.Group):
    """The commands, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"edgecl.cli.commands.{cmd_name}").command
        _read_environment(command, f"EDGECL_{cmd_name.upper()}")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            if args[0] in OTHER_NAMES:
                ctx.fail(f"No such command {args[0]!r}. Did you mean {OTHER_NAMES[args[0]]!r}?")
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_JSON] = "--json" in args or bool(os.environ.get(f"EDGECL_{args[0].upper()}_JSON" if args else ""))
        ctx.meta["edgecl.arguments"] = list(args)
        try:
            return super().parse_args(ctx, args)
        except BrokenPipeError:
            raise  # click ends quietly
        except OSError as error:  # --help and --version print at once
            with _unwritable_output_dropped():
                _flush()
            raise Failure(f"writing the output failed: {error.strerror or error}", 1) from error

    def invoke(self, ctx: click.Context) -> Any:
        _print_anything()
        warn.BEGUN.clear()
        try:
            return self.run_interruptibly(ctx)
        except BrokenPipeError:
            raise  # click ends quietly
        except (click.ClickException, EdgeclError, *MACHINE) as error:
            failure = _failure(error)
            if failure is None:
                raise  # a mistake of ours: the traceback is wanted
            with _unwritable_output_dropped():
                if ctx.meta[_JSON]:
                    told = {"error": failure.format_message(), "exit_code": failure.exit_code}
                    click.echo(json.dumps(told))
                _flush()
            raise failure from error.__cause__

    def run_interruptibly(self, ctx: click.Context) -> Any:
        """Run the command; `interrupts` knows this function by its name, and lets interrupts fall only in here."""
        interrupts.expected()
        result = super().invoke(ctx)
        _flush()  # here, where a full disk can still be reported
        return result


def _flush() -> None:
    """Write what stdout holds; where it is closed there is nothing to write to."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _is_of_output(error: OSError) -> bool:
    """Test whether it was raised where results are printed, and not where files are written."""
    name, trace = "", error.__traceback__
    while trace is not None:
        name, trace = trace.tb_frame.f_code.co_name, trace.tb_next
    return name in ("echo", "_flush")


def _read_environment(command: click.Command, prefix: str) -> None:
    """Let options be given as EDGECL_<COMMAND>_<OPTION>; an option on the command line goes first."""
    for one in command.params:
        if isinstance(one, click.Option) and not one.envvar and one.name not in NEVER_FROM_ENVIRONMENT:
            longest = max(one.opts, key=len).lstrip("-")
            one.envvar = f"{prefix}_{longest.replace('-', '_').upper()}"
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            if below is not None:
                _read_environment(below, f"{prefix}_{name.replace('-', '_').upper()}")


@contextmanager
def _unwritable_output_dropped() -> Iterator[None]:
    """What cannot be written to stdout is given up, or the interpreter would try again at its end and fail there."""
    try:
        yield
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failure(error: BaseException) -> click.ClickException | None:
    """What to tell the user, or None where the user has nothing to do with it."""
    if _is_interrupt(error):
        return Failure(_what_was_done(), INTERRUPTED)
    match error:
        case click.ClickException():
            return error
        case EdgeclError():
            from edgecl.cli.advice import advice  # few commands fail
            from edgecl.cli.stdin import without_folder

            said = without_folder(printable(str(error)))
            return Failure(said + advice(error.parameter, error.remedy, offered=_offered()), error.exit_code)
        case MemoryError():
            return Failure(f"out of memory: {printable(str(error)) or 'nothing was committed'}", 1)
        case ImportError():
            return _unloadable(error)
        case OSError() if _is_of_output(error):
            done = f"; {'; '.join(_done())}" if warn.BEGUN else ""
            return Failure(f"writing the output failed: {error.strerror or error}{done}", 1)
        case OSError():
            return Failure(printable(f"{error.filename or 'the system'}: {error.strerror or error}"), 1)
    return None


def _offered() -> set[str]:
    """Return the options of the command that was called: an error may name one that others have."""
    ctx = click.get_current_context()
    command: click.Command = ctx.command
    for word in ctx.meta["edgecl.arguments"]:
        if isinstance(command, click.Group):
            command = command.get_command(ctx, word) or command
    return {option for one in command.params for option in one.opts}


def _what_was_done() -> str:
    """What an interrupted command did and did not do to the stores that it had opened."""
    return f"interrupted before the end: {'; '.join(_done()) or 'no store was opened or changed'}"


def _done() -> list[str]:
    """Return what was done to each store that was opened, or why that cannot be read."""
    from edgecl.store.store import Store

    done = []
    for path, before in warn.BEGUN.items():
        name = printable(str(path))
        try:
            now = Store.open(path).current().number
        except EdgeclError as error:
            done.append(printable(str(error)))
            continue
        if now == before:
            done.append(f"nothing was committed to {name}, revision {before} is live")
        else:
            done.append(f"revision {now} of {name} is committed and live, what follows a commit may be missing")
    return done


def _is_interrupt(error: BaseException | None) -> bool:
    """Also where a library that was just being loaded turned the interrupt into an error of its own."""
    return error is not None and (
        isinstance(error, KeyboardInterrupt) or _is_interrupt(error.__cause__ or error.__context__)
    )


def _unloadable(error: ImportError) -> click.ClickException | None:
    # A library that is there and that the system refuses: no memory, or another library is missing.
    if ".so" in os.path.basename(error.path or ""):  # noqa: PTH119 (pathlib is not loaded here)
        return Failure(f"{error.name or error.path} is installed and cannot be loaded: {printable(str(error))}", 1)
    package = (error.name or "").partition(".")[0]
    if package in EXTRAS:
        return Failure(f"this needs the package {package}: pip install 'edgecl[{EXTRAS[package]}]'", 1)
    if not package:  # raised by us, with advice
        return Failure(str(error), 1)
    return None


def _print_anything() -> None:
    """File names may hold bytes that the terminal's encoding lacks: print them escaped, do not fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `edgecl demo`, then `edgecl init kitchen --extractor voice`. "
    "`edgecl COMMAND --help` has examples, `edgecl help` lists the documents.",
)
@click.version_option(edgecl.__version__, message="edgecl %(version)s")
def main() -> None:
    """Teach a small device new things from a few examples, without the cloud and without forgetting."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a device has other work, and each thread costs memory
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime would report its use to its maker
    AT_FIRST[:] = [warn.of_the_library]
