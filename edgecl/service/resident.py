"""A process that waits beside a listener with all that a lesson loads, and forks itself for each lesson.

It is forked from the listener before that has threads, and shares its memory as long as neither writes. The lesson is
a child of its own, at low priority, with the caller's stdin, stdout, stderr and folder: it prints what
`edgecl learn` prints, and its memory ends with it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

NICENESS = 15
LONGEST_REQUEST = 1 << 20
STREAMS = 3
"""Descriptors that come with a request: stdin, stdout and stderr of the caller."""

Lesson = Callable[[Sequence[str]], int]
"""Runs the command line with the arguments and returns its exit code."""


class Resident:
    """Runs lessons in forks of a process that has loaded what they need; made before any thread is started.

    Parameters
    ----------
    lesson
        What is run in each fork.
    prepare
        Called once, in the process that waits: loads what lessons need.
    """

    def __init__(self, lesson: Lesson, *, prepare: Callable[[], None]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lesson = 0
        self.pid = os.fork()
        if self.pid == 0:
            self._socket.close()
            _wait_for_requests(theirs, lesson, prepare)
        theirs.close()

    def begin(self, request: Mapping[str, Any], streams: Sequence[int]) -> int:
        """Start one lesson.

        Parameters
        ----------
        request
            "arguments", "folder" and "environment" of the command.
        streams
            The caller's stdin, stdout and stderr.

        Returns
        -------
        int
            The lesson's process; 0 where it could not be started.
        """
        with suppress(OSError):  # then there is no answer either
            socket.send_fds(self._socket, [json.dumps(request).encode()], list(streams))
        self._lesson = int(self._answer().get("pid", 0))
        return self._lesson

    def end(self) -> int:
        """Wait for the lesson that was started last and return its exit code."""
        code = int(self._answer().get("exit_code", 1))
        self._lesson = 0
        return code

    def stop(self) -> None:
        """End the process that waits; a lesson that runs is committed whole or not at all."""
        if self._lesson:
            with suppress(ProcessLookupError):
                os.kill(self._lesson, signal.SIGTERM)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # also wakes who waits for an answer
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        self._socket.close()

    def _answer(self) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(self._socket.recv(LONGEST_REQUEST) or b"{}")
        except OSError:
            return {}
        return answer


def _wait_for_requests(server: socket.socket, lesson: Lesson, prepare: Callable[[], None]) -> None:
    """Serve until the listener closes its end; never returns."""
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)  # the listener's sound and its events are not ours to keep open
        os.dup2(nothing, 1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        prepare()
        while True:
            message, streams, _, _ = socket.recv_fds(server, LONGEST_REQUEST, STREAMS)
            if not message:
                break
            _run(server, lesson, json.loads(message), streams)
    finally:
        os._exit(0)  # the listener's buffers and open files are not ours to flush


def _run(server: socket.socket, lesson: Lesson, request: Mapping[str, Any], streams: list[int]) -> None:
    child = os.fork()
    if child == 0:
        os._exit(_teach(lesson, request, streams))
    for one in streams:
        os.close(one)
    server.send(json.dumps({"pid": child}).encode())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    server.send(json.dumps({"exit_code": code if code >= 0 else 128 - code}).encode())


def _teach(lesson: Lesson, request: Mapping[str, Any], streams: list[int]) -> int:
    """Run one lesson as if it had been started by the caller."""
    for ours, theirs in enumerate(streams):
        os.dup2(theirs, ours)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    return lesson(request["arguments"])


def announcement(store: Path) -> Path:
    """Return the file by which a listener tells other processes of its user where its socket is."""
    return store / "listener.json"
