"""A socket by which the owner of a listener has it start a lesson, in a process of its own at low priority.

One JSON line in, `{"learn": "/path/to/clips", "label": "coffee"}` (the label is that of all clips), and one out:
what the lesson printed as JSON, with its "exit_code"; or `{"error": ...}`. Lessons are taught one after another.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from edgecl.errors import SettingError

NICENESS = 15
LONGEST_LINE = 1 << 16
POLL_S, PATIENCE_S = 0.2, 5.0
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7)


class Control:
    """Listens at `path`, for its own user and root only, while it is entered.

    Parameters
    ----------
    path
        The socket.
    store
        That is taught.
    command
        How a lesson is started: "learn", the store, and what was asked follow.

    Raises
    ------
    SettingError
        When entered: `path` is taken, or cannot be made.
    """

    def __init__(self, path: Path, store: Path, *, command: Sequence[str]) -> None:
        self._path = path
        self._command = command
        self._store = store.absolute()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="edgecl control", daemon=True)

    def __enter__(self) -> Control:
        _remove_abandoned(self._path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        before = os.umask(0o177)  # 0600 from its first moment
        try:
            self._socket.bind(str(self._path))
        except OSError as error:
            self._socket.close()
            why = error.strerror or error
            raise SettingError(f"{self._path} cannot be made: {why}", parameter="control") from error
        finally:
            os.umask(before)
        self._socket.listen(4)
        self._socket.settimeout(POLL_S)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while not self._is_over.is_set():
            with suppress(OSError):  # nobody came, or somebody left: the next one may ask
                peer, _ = self._socket.accept()
                with peer:
                    peer.settimeout(PATIENCE_S)
                    peer.sendall(json.dumps(self._answer(peer)).encode() + b"\n")

    def _answer(self, peer: socket.socket) -> dict[str, Any]:
        with peer.makefile("rb") as file:
            line = file.readline(LONGEST_LINE)  # before anything is refused: an answer to what nobody has read is lost
        _, user, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if user not in (0, os.geteuid()):
            return {"error": f"user {user} does not own this listener"}
        try:
            asked = json.loads(line)
        except (ValueError, RecursionError):
            asked = None
        match asked:
            case {"learn": str(path), **rest} if Path(path).is_absolute() and set(rest) <= {"label"}:
                label = rest.get("label")
                return self._lesson([path] if label is None else [path, f"--label={label}"])
        return {"error": 'wanted a line {"learn": "/absolute/path", "label": "optional"}'}

    def _lesson(self, arguments: list[str]) -> dict[str, Any]:
        command = [*self._command, "learn", str(self._store), *arguments, "--json"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:  # noqa: S603
            os.setpriority(os.PRIO_PROCESS, child.pid, NICENESS)
            while True:
                try:
                    out, _ = child.communicate(timeout=POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    if self._is_over.is_set():
                        child.terminate()  # it is committed whole or not at all
        *_, last = [b"{}", *out.splitlines()]
        return {**json.loads(last), "exit_code": child.returncode}


def _remove_abandoned(path: Path) -> None:
    """A socket that a killed listener left is in the way; one that is listened at, or any other file, is not ours."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SettingError(f"{path} is there, and no socket: name a path that is free", parameter="control")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
            try:
                one.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
        raise SettingError(f"{path} is taken by another listener", parameter="control")
