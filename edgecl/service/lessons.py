"""Commands that change a store, run one after another, each in a process of its own at low priority.

A service that teaches in its own process would hold a lesson's memory for good, and stop listening while it learns.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

NICENESS = 15
POLL_S = 0.2
KILLED_AFTER_S = 3.0  # where a command does not end as it should
LONGEST_WAIT_S = 120.0
"""For the command before, until a caller is sent away."""


class Lessons:
    """Runs commands of one store.

    Parameters
    ----------
    program
        The command line to run, up to the name of a command.
    store
        Its folder.
    """

    def __init__(self, program: Sequence[str], store: Path) -> None:
        self._program = tuple(program)
        self._store = store.absolute()
        self._is_over = threading.Event()
        self._one_at_a_time = threading.Lock()

    def run(self, verb: str, *arguments: str, before: Sequence[str] = ()) -> dict[str, Any]:
        """Run `verb STORE --json arguments`, and return the last object that it printed with its "exit_code".

        Parameters
        ----------
        before
            Arguments that stand between STORE and the others, such as the name of a subcommand.
        """
        if not self._one_at_a_time.acquire(timeout=LONGEST_WAIT_S):
            return {"error": "another lesson is taking very long: try again later", "exit_code": 1}
        try:
            return self._finished([*self._program, verb, str(self._store), *before, "--json", *arguments])
        finally:
            self._one_at_a_time.release()

    def stop(self) -> None:
        """End what runs; it is committed whole or not at all."""
        self._is_over.set()

    def _finished(self, command: list[str]) -> dict[str, Any]:
        if self._is_over.is_set():
            return {"error": "the service is stopping", "exit_code": 1}
        ends = float("inf")
        try:
            started = subprocess.Popen(  # noqa: S603 (the arguments are a list, and follow the verb)
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                env={**os.environ, "EDGECL_LEARN_NO_VIA": "1"},  # handed to our own socket it would wait for itself
            )
        except (OSError, ValueError) as error:  # ValueError: NUL, or half of a surrogate pair
            return {"error": f"the command could not be started: {error}", "exit_code": 1}
        with started as child:
            with suppress(OSError):  # it has ended already
                os.setpriority(os.PRIO_PROCESS, child.pid, NICENESS)
            while True:
                try:
                    out, _ = child.communicate(timeout=POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    if self._is_over.is_set():
                        child.terminate()
                        ends = min(ends, time.monotonic() + KILLED_AFTER_S)
                    if time.monotonic() > ends:
                        child.kill()
        return {**_last(out), "exit_code": child.returncode}


def _last(out: bytes) -> dict[str, Any]:
    """The last JSON object of what a command printed."""
    *_, last = [b"{}", *out.splitlines()]
    try:
        found = json.loads(last)
    except ValueError:
        return {"error": "the command ended without an answer"}
    return found if isinstance(found, dict) else {"answer": found}


def options_of(said: Mapping[Any, Any]) -> list[str]:
    """Return what a user settles or answers, the members of a request, as options of a command.

    >>> options_of({"label": "tea", "label_case": None, "distinct": True})
    ['--label=tea', '--distinct']
    """
    options = {"--label": "label", "--label-case": "label_case", "--same-as": "same_as"}
    named = [f"{option}={said[name]}" for option, name in options.items() if said.get(name) is not None]
    return [*named, *(["--distinct"] if said.get("distinct") else [])]
