"""A socket by which the owner of a listener has it start a lesson, in a process of its own at low priority.

One JSON line in, `{"learn": "/path/to/clips", "label": "coffee"}` (the label is that of all clips, and where it is a
known class in another spelling "label_case" is "keep" or "lower"), and one out: what the lesson printed as JSON, with
its "exit_code"; or `{"error": ...}`. Lessons are taught one after another.
What a lesson asks is answered by `{"answer": "yeah", "same_as": "yes"}` or `{"answer": "yeah", "distinct": true}`.

`edgecl learn --via` sends `{"lesson": ..., "store": ...}` with its streams as descriptors, and a lesson is forked for
it from a process that waits with all modules loaded (`edgecl.service.resident`): `{"pid": ...}` and then
`{"exit_code": ...}` are the answers.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from edgecl.errors import SettingError
from edgecl.notes import Logger
from edgecl.service.lessons import Lessons, options_of
from edgecl.service.resident import STREAMS, Resident, announcement
from edgecl.store.files import replace_unlocked

logger = Logger(__name__)
ANSWERS = {"same_as", "distinct"}
LESSON = {"label", "label_case", *ANSWERS}
WANTED = '{"learn": "/absolute/path", "label": "optional"} or {"answer": "name", "same_as": "class"}'
LONGEST_LINE = 1 << 16
POLL_S = 0.2
PATIENCE_S = 5.0
"""For a whole request, however its bytes come, and for the thread at the end."""
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
        How a lesson is started: "learn", the store and the request follow.
    resident
        Teaches what `edgecl learn --via` hands over; without it that is refused. Stopped at the end.

    Raises
    ------
    SettingError
        When entered: `path` is taken, or cannot be made.
    """

    def __init__(self, path: Path, store: Path, *, command: Sequence[str], resident: Resident | None = None) -> None:
        self._path = path
        self._store = Path(os.path.realpath(store))
        self._resident = resident
        self._lessons = Lessons(command, store)
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
        status = self._path.stat()
        self._made = status.st_dev, status.st_ino
        self._thread.start()
        if self._resident is not None:
            with suppress(OSError):  # a store that cannot be written to is listened to all the same
                told = json.dumps({"control": str(self._path.absolute())})
                replace_unlocked(announcement(self._store), told.encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._lessons.stop()
        if self._resident is not None:
            with suppress(OSError):
                announcement(self._store).unlink()
            self._resident.stop()
        self._thread.join(2 * PATIENCE_S)
        self._socket.close()
        with suppress(FileNotFoundError):
            status = self._path.lstat()
            if (status.st_dev, status.st_ino) == self._made:  # else it is another listener's by now
                self._path.unlink()

    def is_alive(self) -> bool:
        """Test whether requests are served: for a watchdog."""
        return self._thread.is_alive()

    def _serve(self) -> None:
        while not self._is_over.is_set():
            with suppress(OSError):  # no client, or one that left: the next may connect
                peer, _ = self._socket.accept()
                with peer:
                    self._serve_one(peer)

    def _serve_one(self, peer: socket.socket) -> None:
        try:
            answer = self._answer(peer)
        except OSError:
            raise
        except Exception as error:  # nothing that a client sends may end the thread
            logger.warning("a request could not be answered: %r", error)
            answer = {"error": "this request could not be answered"}
        peer.settimeout(PATIENCE_S)
        peer.sendall(json.dumps(answer).encode() + b"\n")
        _leave(peer)

    def _answer(self, peer: socket.socket) -> dict[str, Any]:
        _, user, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if user not in (0, os.geteuid()):
            return {"error": f"user {user} does not own this listener"}
        streams: list[int] = []
        try:
            line = self._line_of(peer, streams)
            if line is None:
                return {"error": f"no whole line came within {PATIENCE_S:g} s: wanted a line {WANTED}"}
            return self._answered(line, peer, streams)
        finally:
            for one in streams:
                os.close(one)

    def _answered(self, line: bytes, peer: socket.socket, streams: Sequence[int]) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not _is_text(request):
            return {"error": f"a name or path cannot contain such characters: wanted a line {WANTED}"}
        match request:
            case {
                "lesson": {"arguments": list(), "folder": str(), "environment": dict()} as lesson,
                "store": str(store),
            }:
                return self._handed(lesson, store, peer, streams)
            case {"learn": str(path), **rest} if Path(path).is_absolute() and set(rest) <= LESSON:
                return self._lessons.run("learn", path, *options_of(rest))
            case {"answer": str(name), **rest} if rest and set(rest) <= ANSWERS:
                return self._lessons.run("inbox", name, *options_of(rest), before=("answer",))
        return {"error": f"wanted a line {WANTED}"}

    def _handed(
        self, lesson: Mapping[str, Any], store: str, peer: socket.socket, streams: Sequence[int]
    ) -> dict[str, Any]:
        """Teach a lesson with the caller's own streams."""
        if self._resident is None or len(streams) != STREAMS:
            return {"error": "this listener takes no lessons with streams"}
        if Path(store) != self._store:
            return {"error": f"it listens to {self._store}"}
        pid = self._resident.begin(lesson, streams)
        if not pid:
            return {"error": "the lesson could not be started"}
        peer.sendall(json.dumps({"pid": pid}).encode() + b"\n")
        return {"exit_code": self._resident.end()}

    def _line_of(self, peer: socket.socket, streams: list[int]) -> bytes | None:
        """Return a line of a client, and add its descriptors; None where none comes in time, or the service ends."""
        deadline, line = time.monotonic() + PATIENCE_S, b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or self._is_over.is_set() or len(line) >= LONGEST_LINE:
                return None
            peer.settimeout(min(left, POLL_S))
            try:
                more, found, _, _ = socket.recv_fds(peer, LONGEST_LINE, STREAMS)
                streams += found
            except TimeoutError:
                continue
            if not more:
                break
            line += more
        return line


def _leave(peer: socket.socket) -> None:
    """End what is sent, and wait shortly for the client to end: who still sends would lose the answer."""
    ends = time.monotonic() + POLL_S
    with suppress(OSError):
        peer.shutdown(socket.SHUT_WR)
        while (left := ends - time.monotonic()) > 0:
            peer.settimeout(left)
            if not peer.recv(LONGEST_LINE):
                return


def _is_text(request: object) -> bool:
    """Test whether all words of a request can be arguments of a command."""
    words = request.values() if isinstance(request, dict) else ()
    try:
        return not any(b"\0" in word.encode() for word in words if isinstance(word, str))
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


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
