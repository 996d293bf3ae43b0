"""How the program ends: at once, and nothing that was to be done is left out."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.native("starts processes")
AT_EXIT = """
import atexit, sys
from edgecl.cli.__main__ import run
atexit.register(lambda: print("left"))
sys.argv = ["edgecl", *sys.argv[1:]]
run()
"""
WITH_A_THREAD = """
import sys, threading, time
from edgecl.cli.__main__ import run
threading.Thread(target=lambda: (time.sleep(1), print("waited"))).start()
sys.argv = ["edgecl", "--version"]
run()
"""


def ended(script: str, *arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines on stdout of a script, at whose end is a pipe as a program has it."""
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["status", "nowhere"], 5), (["--none"], 2)])
def test_what_was_to_be_done_at_the_end_is_done_and_the_exit_code_stays(arguments: list[str], code: int) -> None:
    found, lines = ended(AT_EXIT, *arguments)
    assert (found, lines[-1]) == (code, "left")


def test_a_thread_that_is_at_work_is_waited_for() -> None:
    code, lines = ended(WITH_A_THREAD)
    assert (code, lines[-1]) == (0, "waited")
