"""Odd values in every option of every command: numbers that are none, negative, without end, of thousands of digits.

python -m measure.odd_options --json FILE [--every N] [--only COMMAND]

Each command runs in a process of its own, forked from one that has loaded it, in 4 GiB of address space. It has to end
in time with a documented exit code and without a traceback, and to take no more memory than an honest run does by far.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click

from edgecl.cli.app import main as commands
from measure import places

VALUES = (
    *("-1", "0", "-0", "1", "nan", "inf", "-inf", "1e308", "-1e308", "5e-324", "1e999", "0x10", "1_0", "1,5", "\u0661"),
    *("\u00b2", "", " ", "abc", "-", "=", ",", ":", "%", "1%", "nan%", "9" * 18, "9" * 401, "9" * 5000, "1e9", "1e18"),
    *("1000000000", "4294967295", "\udcff", "\u202e", "a=1", "a=nan", "a=" + "9" * 5000, "a:1", "0:" + "9" * 5000),
)
ADDRESS_SPACE = 4 << 30
LARGEST_MIB = 1024.0  # of resident memory
WAITS = {"federate gateway", "federate join", "federate serve", "service install"}  # for others, or for the system
BASE = {
    **places.BASE,
    "serve": (places.TABLE, "--listen", "{nowhere}"),  # refused once all options are read
    "compare": ("{rows.csv}", "--extractor", "{identity.onnx}", "--strategies", "closed-form", "--seeds", "1"),
    "bench": (places.TABLE, "--rounds", "3"),
    "federate run": ("{rows.csv}", "--extractor", "{identity.onnx}", "--rounds", "1"),
    "export image": ("-o", "{new}"),
}


def main() -> None:
    places.keep_what_is_found(attacked, __doc__)


def attacked(folder: Path, *, every: int = 1, only: str = "") -> tuple[int, list[str]]:
    """Give every option every odd value; return how many runs there were, and what went wrong."""
    return places.tried_all(_runs(), _attack, folder, named=places.named, every=every, only=only)


def _runs() -> Iterator[places.Run]:
    for name in BASE:
        for option in places.command_of(name).params:
            if isinstance(option, click.Option) and not option.is_flag and not isinstance(option.type, click.Path):
                for value in VALUES:
                    yield name, option, value


def _attack(one: places.Run, folder: Path, place: Path) -> str:
    name, option, value = one
    words = places.prepared([*name.split(), *places.words_of(BASE[name], name, option, value)], folder, place)

    def run() -> None:
        os.chdir(place)
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        try:
            commands.main(words, prog_name="edgecl")  # ends the process
        finally:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            Path("peak").write_text(f"{peak:.0f}")

    code, printed = places.in_a_fork(run, place / "printed")
    if code not in places.CODES or "Traceback" in printed:
        return f"{code}: {printed[-400:]}"
    peak = float((place / "peak").read_text()) if (place / "peak").exists() else 0.0
    return f"took {peak:.0f} MiB" if peak > LARGEST_MIB else ""


if __name__ == "__main__":
    for package in ("edgecl.learner", "edgecl.operations.teaching", "edgecl.sources.reading"):
        import_module(package)
    main()
