"""A program of the user's own for every event: `--exec`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

from edgecl.errors import EdgeclError, SettingError

if TYPE_CHECKING:
    from edgecl.live.events import Event

LONGEST_S = 60.0
"""After which a program is ended."""


OF_A_SHELL = {"|", "||", "&", "&&", ";", "<", ">", ">>", "2>", "2>&1"}


class Execution:
    """Runs a program per event, one after another: the event is a JSON line on stdin, and $EDGECL_LABEL its label.

    No shell is involved: a label is data, and never becomes part of a command.

    Raises
    ------
    SettingError
        There is no such program, or it is written for a shell.
    """

    def __init__(self, command: str) -> None:
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise SettingError(f"{command!a} is not a command: {error}", parameter="execute") from error
        if not self._arguments or shutil.which(self._arguments[0]) is None:
            raise SettingError(f"{command!a}: there is no such program", parameter="execute")
        if shell := [one for one in self._arguments if one in OF_A_SHELL]:
            raise SettingError(
                f"{command!a}: no shell is run, and {shell[0]} would be an argument: write sh -c '...'",
                parameter="execute",
            )

    def take(self, event: Event) -> None:
        """Run the program with an event; raises EdgeclError where it fails."""
        environment = {**os.environ, "EDGECL_LABEL": event.label, "EDGECL_CONFIDENCE": f"{event.confidence:.4f}"}
        line = json.dumps(event.as_dict()).encode() + b"\n"
        try:
            done = subprocess.run(  # noqa: S603 (the user's own command, split into arguments)
                self._arguments,
                input=line,
                env=environment,
                stdout=subprocess.DEVNULL,
                timeout=LONGEST_S,
                check=False,
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EdgeclError(f"{self._arguments[0]}: {error}") from error
        if done.returncode:
            raise EdgeclError(f"{self._arguments[0]} ended with exit code {done.returncode}")
