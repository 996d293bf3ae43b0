"""The client of paho, with a bound on what it keeps of a message: MQTT allows 256 MiB, and any client may publish."""

from __future__ import annotations

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

LONGEST_PACKET = (1 << 20) + (1 << 17)
"""More than the longest document with its topic; of a longer packet this much is kept, which nothing reads."""
PIECE = 1 << 16


class BoundedClient(paho.Client):
    """Keeps the beginning of a packet that is too long, reads past the rest, and stays connected."""

    failure = ""
    """Why it could not be connected last, which `on_connect_fail` is not given."""

    def reconnect(self) -> MQTTErrorCode:
        """Connect again; raises OSError where that fails."""
        try:
            return super().reconnect()
        except OSError as error:
            self.failure = getattr(error, "verify_message", "") or error.strerror or str(error)
            raise

    def _sock_recv(self, bufsize: int) -> bytes:
        data = super()._sock_recv(min(bufsize, PIECE))
        packet = self._in_packet
        if len(data) > 1 and len(packet["packet"]) >= LONGEST_PACKET:
            # what called this subtracts the length of what it gets, and keeps it
            packet["to_process"] -= len(data) - 1
            return data[:1]
        return data
