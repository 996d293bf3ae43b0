"""Addresses that servers are bound to: `[HOST:]PORT`."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from edgecl.errors import SettingError
from edgecl.units import number_of

LOOPBACK = "127.0.0.1"
LONGEST_PORT = 8  # digits
BACKLOG = 128  # connections that wait to be accepted


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, parameter: str = "") -> Address:
        """Read `[HOST:]PORT`; without HOST it is loopback.

        Raises
        ------
        SettingError
            When the port is not a number from 0 to 65535.

        >>> Address.parse("10400"), Address.parse("[::1]:80")
        (Address(host='127.0.0.1', port=10400), Address(host='::1', port=80))
        """
        host, _, port = text.rpartition(":")
        number = number_of(port, digits=LONGEST_PORT)
        if number is None or number > 65535:
            raise SettingError(f"{text!a} is not an address: wanted PORT or HOST:PORT", parameter=parameter)
        return cls(host.strip("[]") or LOOPBACK, number)

    @property
    def is_loopback(self) -> bool:
        """Test whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_wildcard(self) -> bool:
        """Test whether it stands for every address of this machine."""
        return self.host in ("0.0.0.0", "::", "")  # noqa: S104 (compared, not bound)

    def bound(self, *, parameter: str = "") -> socket.socket:
        """Return a listening socket.

        Raises
        ------
        SettingError
            When the address is taken, or not one of this machine.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        one = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((self.host, self.port))
            one.listen(BACKLOG)
        except (OSError, TypeError, ValueError) as error:  # the latter two of a host that cannot be encoded as a name
            one.close()
            why = (error.strerror or str(error)) if isinstance(error, OSError) else "no machine has such a name"
            at = f"{self.host}:{self.port}" if self.host.isprintable() else f"{self.host!a}:{self.port}"
            raise SettingError(f"{at} cannot be listened at: {why}", parameter=parameter) from error
        return one
