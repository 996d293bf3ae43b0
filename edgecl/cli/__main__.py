"""The program `edgecl`, also `python -m edgecl.cli` where the script is not on the path."""

from __future__ import annotations

import atexit
import gc
import os
import sys

from edgecl.cli import interrupts

# Objects between two rounds of the collector, which finds next to nothing in modules that stay until the end: at
# Python's 700 it takes a twentieth of a lesson, at 10,000 a thirtieth. A lesson makes 48,000.
COLLECT_EVERY = 100_000


def run() -> None:
    """Run the command line and end the process; an interrupt ends it with 130, wherever it falls."""
    interrupts.hold()
    open_streams()
    gc.set_threshold(COLLECT_EVERY)
    try:
        from edgecl.cli.app import main

        main(prog_name="edgecl")
    except SystemExit as end:
        interrupts.ignore()
        _leave(end.code)
        raise
    finally:
        interrupts.ignore()


def open_streams() -> None:
    """Lead to nowhere what the caller has closed of stdin, stdout and stderr.

    A file of a store would get its number, and with it what compiled libraries print. A closed `sys.stdin` stays None.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115


def _leave(code: object) -> None:
    """End the process as Python does, but for taking every module apart, which takes a tenth of a lesson.

    Where that could lose something, as with output that nobody takes or with a thread that is waited for, it returns.
    """
    threading = sys.modules.get("threading")
    is_waited_for = threading and any(not one.daemon for one in threading.enumerate()[1:])  # the first is this one
    if not isinstance(code, int) or is_waited_for:
        return
    atexit._run_exitfuncs()
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except (OSError, ValueError):
        return
    os._exit(code)


if __name__ == "__main__":
    run()
