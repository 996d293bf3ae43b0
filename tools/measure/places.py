"""Odd places in the file parameters of every command: pipes, devices, links, names that are no text, other files.

python measure/places.py --json FILE [--every N] [--only COMMAND]

Each command runs in a process of its own, forked from one that has loaded it. It has to end in time with a documented
exit code and without a traceback, and what stood at the odd place has to be there still. A pipe that is named for
output is waited for, as by any program; no device of the machine is named, but one that is made for the attack.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click
import numpy as np

from edgecl.cli.app import main as commands

Run: TypeAlias = tuple[str, click.Parameter, str]  # command, parameter and the odd thing for it
AnyRun = TypeVar("AnyRun", bound=tuple[Any, ...])

LONGEST_S = 300.0  # of a clock: a demo on a busy machine takes minutes
CODES = range(6)
TABLE, MOVEMENT, VOICE = "{table}", "{movement}", "{voice}"
# each command with what it needs: an odd place takes the place of one of its files
BASE = {
    "demo": ("voice",),
    "init": ("{new}", "--extractor", "imu"),
    "learn": (TABLE, "{rows.csv}", "--dry-run"),
    "follow": (TABLE, "{rows.csv}", "--dry-run"),
    "predict": (TABLE, "{rows.csv}"),
    "record": (VOICE, "-o", "{new}", "--label", "x", "--count", "1"),
    "listen": (MOVEMENT, "{stream.csv}"),
    "inbox": (MOVEMENT,),
    "wrong": (MOVEMENT,),
    "centre": (MOVEMENT, "{stream.csv}"),
    "eval": (TABLE, "{rows.csv}"),
    "set": (TABLE, "--unknown-above", "0.7"),
    "keep": (TABLE, "a", "--always"),
    "resize": (TABLE, "--max-classes", "5"),
    "upgrade": (TABLE, "--extractor", "{identity.onnx}", "--from", "{rows.csv}"),
    "status": (TABLE,),
    "history": (TABLE,),
    "rollback": (TABLE, "1"),
    "share": (TABLE, "-o", "{new}", "--at-least", "1"),
    "merge": (TABLE, "{rows.csv}"),
    "federate app": ("-o", "{new}"),
    "forget": (TABLE, "b"),
    "backup": (TABLE, "-o", "{new}"),
    "restore": ("{x.backup}", "{new}"),
    "report": (TABLE, "-o", "{new}"),
    "doctor": (TABLE,),
    "export identity": ("--columns", "a,b", "-o", "{new}"),
    "export imu": ("-o", "{new}"),
    "export model": (TABLE, "-o", "{new}"),
    "export wrap": ("{identity.onnx}", "--modality", "table", "-o", "{new}"),
}
OUTPUTS = {"curve", "plot", "report", "output", "out"}
REPLACED = {("listen", "control", "a socket")}  # one that nobody listens at was left by a listener that was killed
WAITED_FOR = {("listen", "file"), ("follow", "path"), ("follow", "labels")}  # of a live stream


def main() -> None:
    keep_what_is_found(attacked, __doc__)


def keep_what_is_found(attacked: Callable[..., tuple[int, list[str]]], about: str | None) -> None:
    """Run an attack as the command line says and write how many were tried, how many survived and what went wrong."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th")
    parser.add_argument("--only", default="", metavar="COMMAND", help="commands whose names begin so")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgecl-attack-") as folder:
        tried, found = attacked(Path(folder), every=arguments.every, only=arguments.only)
    arguments.json.write_text(json.dumps({"tried": tried, "survived": tried - len(found), "found": found}))


def attacked(folder: Path, *, every: int = 1, only: str = "") -> tuple[int, list[str]]:
    """Put every odd place into every file parameter; return how many there were, and what went wrong."""
    return tried_all(_places(), _attack, folder, named=named, every=every, only=only)


def named(run: Run) -> str:
    """Return what a run was, for a report."""
    name, parameter, odd = run
    return f"{name} {parameter.opts[0]} {odd[:40]!a}"


def tried_all(
    runs: Iterable[AnyRun],
    attack: Callable[[AnyRun, Path, Path], str],
    folder: Path,
    *,
    named: Callable[[AnyRun], str],
    every: int,
    only: str,
) -> tuple[int, list[str]]:
    """Make stores in a folder and attack with every N-th run in shuffled order; return how many, and what went wrong.

    Parameters
    ----------
    runs
        Each begins with its command.
    attack
        Takes a run, the folder of the stores and one of its own; returns what went wrong.
    named
        Says what a run was.
    """
    code, printed = in_a_fork(lambda: prepare(folder), folder / "out")
    if code:
        raise RuntimeError(f"the stores could not be made: {printed}")
    listed = [one for one in runs if one[0].startswith(only)]
    order = np.random.default_rng(0).permutation(len(listed))  # so that each value is among every N-th
    chosen, found = [listed[at] for at in order[::every]], []
    for run in chosen:
        place = Path(tempfile.mkdtemp(dir=folder))
        if wrong := attack(run, folder, place):
            found.append(f"{named(run)}: {wrong}")
            print(found[-1], file=sys.stderr, flush=True)
        shutil.rmtree(place, ignore_errors=True)
    return len(chosen), found


def _places() -> Iterator[Run]:
    for name in BASE:
        for parameter in command_of(name).params:
            if isinstance(parameter.type, click.Path):
                for kind in KINDS:
                    is_waited = kind == "a pipe" and (parameter.name in OUTPUTS or (name, parameter.name) in WAITED_FOR)
                    if not is_waited and (name, parameter.name, kind) not in REPLACED:
                        yield name, parameter, kind


def command_of(name: str) -> click.Command:
    found: click.Command = commands
    for word in name.split():
        assert isinstance(found, click.Group)
        below = found.get_command(click.Context(found), word)
        assert below is not None, name
        found = below
    return found


def prepare(folder: Path) -> None:
    from edgecl_export.identity import export_identity

    from edgecl.learner import Learner

    draw = np.random.default_rng(0)
    rows = draw.normal(size=(60, 4)).astype(np.float32)
    rows[30:] += 2
    labels = ["a"] * 30 + ["b"] * 30
    export_identity(folder / "identity.onnx", ["a", "b", "c", "d"])
    table = Learner.create(folder / "table", extractor=folder / "identity.onnx")
    table.learn(rows, labels)
    table.backup(folder / "x.backup")
    windows = draw.normal(size=(24, 100, 6)) + np.array([0, 0, 9.8, 0, 0, 0])
    Learner.create(folder / "movement", extractor="imu").learn(list(windows.astype(np.float32)), ["rest"] * 24)
    Learner.create(folder / "voice", extractor="voice")
    lines = [",".join([*(f"{one:.4f}" for one in row), label]) for row, label in zip(rows, labels, strict=True)]
    (folder / "rows.csv").write_text("\n".join(["a,b,c,d,label", *lines]) + "\n")
    head = "timestamp,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z"
    steps = [f"{at / 50:.3f},0.1,0.2,9.8,0,0,{at % 3}" for at in range(300)]
    (folder / "stream.csv").write_text("\n".join([head, *steps]) + "\n")


def _attack(one: Run, folder: Path, place: Path) -> str:
    name, parameter, kind = one
    odd = KINDS[kind](place)
    words = prepared([*name.split(), *words_of(BASE[name], name, parameter, odd)], folder, place)
    before = _kind_of(odd)

    def run() -> None:
        os.chdir(place)
        commands.main(words, prog_name="edgecl")  # ends the process

    code, printed = in_a_fork(run, place / "printed")
    if code not in CODES or "Traceback" in printed:
        return f"{code}: {printed[-400:]}"
    return "" if before is None or _kind_of(odd) == before else "it was replaced"


def prepared(words: Sequence[str], folder: Path, place: Path) -> list[str]:
    """Return the words of a command with its files in their places; `place` gets stores of its own."""
    for store in ("table", "movement", "voice"):
        shutil.copytree(folder / store, place / store)
    known = {one: place / one for one in ("table", "movement", "voice", "new", "nowhere")}
    known |= {one: folder / one for one in ("rows.csv", "stream.csv", "identity.onnx", "x.backup")}
    return [str(known[one[1:-1]]) if one[:1] == "{" else one for one in words]


def words_of(base: Sequence[str], name: str, parameter: click.Parameter, odd: str) -> list[str]:
    """Return the arguments of a command with `odd` in the place of one parameter."""
    words = list(base)
    if isinstance(parameter, click.Option):
        given = next((one for one in parameter.opts if one in words), None)
        if given is None:
            return [*words, parameter.opts[0], odd]
        words[words.index(given) + 1] = odd
        return words
    arguments = [one.name for one in command_of(name).params if isinstance(one, click.Argument)]
    at = arguments.index(parameter.name)
    return [*words[:at], odd, *words[at + 1 :]]


def in_a_fork(action: Callable[[], int | None], out: Path) -> tuple[int, str]:
    """Run something in a process of its own; return its exit code, 98 for a traceback and -9 where time was up."""
    child = os.fork()
    if child == 0:
        os.setsid()
        for number, flags, path in ((0, os.O_RDONLY, os.devnull), (1, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, str(out))):
            os.dup2(os.open(path, flags, 0o600), number)
        os.dup2(1, 2)
        sys.stdout = sys.stderr = open(1, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
        code = 98
        try:
            code = int(action() or 0)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:  # what no command may end with
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)
    until, done = time.monotonic() + LONGEST_S, 0
    while not done:
        done, status = os.waitpid(child, os.WNOHANG)
        if not done and time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            done, status = os.waitpid(child, 0)
        time.sleep(0 if done else 0.01)
    return os.waitstatus_to_exitcode(status), out.read_text("utf-8", "replace") if out.exists() else ""


def _kind_of(path: str) -> int | None:
    with suppress(OSError):
        return stat.S_IFMT(os.lstat(path).st_mode)
    return None


def _pipe(place: Path) -> str:
    os.mkfifo(place / "pipe")
    return str(place / "pipe")


def _socket(place: Path) -> str:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(place / "socket"))
    return str(place / "socket")


def _folder(place: Path) -> str:
    (place / "folder").mkdir()
    (place / "folder" / "kept").write_text("kept")
    return str(place / "folder")


def _loop(place: Path) -> str:
    (place / "loop").symlink_to(place / "loop")
    return str(place / "loop")


def _device(place: Path) -> str:
    """/dev/zero by a link; to replace the device itself nobody tries."""
    (place / "zero").symlink_to("/dev/zero")
    return str(place / "zero")


def _pipes(place: Path) -> str:
    (place / "pipes").mkdir()
    for suffix in ("csv", "wav", "npz", "jsonl"):
        os.mkfifo(place / "pipes" / f"x.{suffix}")
    return str(place / "pipes")


def _file(name: str, begins: bytes) -> Callable[[Path], str]:
    """Return what makes a file of one kind under a name of another."""

    def made(place: Path) -> str:
        (place / name).write_bytes(begins + bytes(range(256)) * 16)
        return str(place / name)

    return made


KINDS: dict[str, Callable[[Path], str]] = {
    "a pipe": _pipe,
    "a socket": _socket,
    "a folder": _folder,
    "a link to itself": _loop,
    "a link to /dev/zero": _device,
    "a folder of pipes": _pipes,
    "a file of /proc": lambda _: "/proc/version",
    "a file of /proc without an end": lambda _: "/proc/kmsg",
    "a name of 300 letters": lambda place: str(place / ("x" * 300)),
    "a name that is no text": lambda place: str(place / os.fsdecode(b"\xff\n.csv")),
    "a file in a file": lambda place: str(place / "table" / "store.json" / "x"),
    "no folder": lambda place: str(place / "no" / "way"),
    "nothing": lambda _: "",
    "a picture named .wav": _file("x.wav", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0"),
    "a sound named .csv": _file("x.csv", b"RIFF\xff\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80>\0\0\0}\0\0\2\0\x10\0data"),
    "an archive named .jsonl": _file("x.jsonl", b"PK\3\4\x14\0\0\0\x08\0"),
    "a table named .npz": _file("x.npz", b"a,b,c,d,label\n1,2,3,4,a\n"),
    "a text named .onnx": _file("x.onnx", b'{"text": "hello", "label": "a"}\n'),
}

if __name__ == "__main__":
    for package in ("edgecl.learner", "edgecl.operations.teaching", "edgecl.sources.reading"):
        import_module(package)
    main()
