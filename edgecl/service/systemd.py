"""Notify systemd (sd_notify(3)) that the service is ready and alive, where it asks for that."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress


class Notifier:
    """Sends to $NOTIFY_SOCKET; does nothing where there is none."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        # systemd wants to hear twice in this time
        self._every_s = int(os.environ.get("WATCHDOG_USEC") or 0) / 2e6
        self._due = 0.0
        self._watched: list[Callable[[], bool]] = []

    def watch(self, is_alive: Callable[[], bool]) -> None:
        """Feed the watchdog only as long as this is true too, such as of a thread."""
        self._watched.append(is_alive)

    def send(self, state: str) -> None:
        """One message, such as READY=1; a systemd that does not listen is no reason to stop."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as one:
            one.setblocking(False)
            with suppress(OSError):
                one.sendto(state.encode(), address)

    def alive(self) -> None:
        """Feed the watchdog, if it is due."""
        if self._every_s and time.monotonic() >= self._due and all(is_alive() for is_alive in self._watched):
            self._due = time.monotonic() + self._every_s
            self.send("WATCHDOG=1")
