"""How the program ends: at once, and nothing that was to be done is left out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ..support.commands import command_line

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


def redirected(how: str, *arguments: str) -> tuple[int, str]:
    """Exit code and stderr of a command whose streams a shell has led elsewhere."""
    command = ["sh", "-c", f'"$@" {how}', "sh", *command_line(*arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [("help", "data"), ("--version",), ("doctor", "--json")])
@pytest.mark.parametrize("how", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_written_to_by_nobody(how: str, arguments: tuple[str, ...]) -> None:
    assert redirected(how, *arguments) == (0, "")


def test_no_file_gets_the_number_of_a_stream_that_is_closed() -> None:
    script = (
        "import os, sys; os.close(0); os.close(2); from edgecl.cli.__main__ import open_streams; open_streams(); "
        "print(os.open(os.devnull, os.O_RDONLY) > 2)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n"


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("learn", "--help"), ("help", "data"), ()])
def test_output_that_cannot_be_written_is_a_message(arguments: tuple[str, ...]) -> None:
    code, said = redirected(">/dev/full", *arguments)
    assert "Traceback" not in said
    assert code == (1 if arguments else 2)  # without a command, help is a refusal on stderr
