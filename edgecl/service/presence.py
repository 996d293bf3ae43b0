"""Whether a service of some kind runs for a store: an abstract socket, which no killed process leaves behind."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgecl.hashes import sha256

if TYPE_CHECKING:
    from types import TracebackType

SOCKETS = Path("/proc/net/unix")  # all of this machine, an abstract one with @ before its name


class Presence:
    """Shows that a service runs, while it is entered. A second one of the kind shows nothing of its own."""

    def __init__(self, kind: str, store: Path) -> None:
        self._address = _address(kind, store)

    def __enter__(self) -> Presence:
        import socket

        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with suppress(OSError):
            self._socket.bind(self._address)
            self._socket.listen(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()


def is_running(kind: str, store: Path) -> bool:
    """Test whether a service of a kind runs for a store on this machine.

    The kernel's list answers without `socket`, which takes longer to load than all else here.
    """
    address = _address(kind, store)
    try:
        return b" @" + os.fsencode(address[1:]) + b"\n" in SOCKETS.read_bytes()
    except OSError:
        return _is_connectable(address)


def _is_connectable(address: str) -> bool:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as one:
        try:
            one.connect(address)
        except BlockingIOError:  # it is there, and others ask as well
            return True
        except OSError:
            return False
        return True


def _address(kind: str, store: Path) -> str:
    name = sha256(os.fsencode(os.path.realpath(store))).hexdigest()[:32]
    return f"\0edgecl-{kind}-{name}"
