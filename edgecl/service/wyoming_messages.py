"""Messages of the Wyoming protocol, read within bounds: a client's lengths are not believed.

A message is a line of JSON, then as many bytes of JSON as it announces, then as many of payload. The package's own
reader allocates whatever is announced.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from wyoming.event import Event as Message

LONGEST_LINE = 1 << 16
LARGEST_DATA = 1 << 16
LARGEST_PAYLOAD = 1 << 18
"""Eight seconds of 16-bit sound at 16 kHz: clients send a tenth of a second."""
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 4_000, 192_000


class ProtocolError(ValueError):
    """A client does not speak the protocol."""


async def read_message(reader: asyncio.StreamReader) -> Message | None:
    """Return the next message, or None at the end; raises ProtocolError where a client sends something else."""
    from wyoming.event import Event as Message

    try:
        line = await reader.readline()
        if not line:
            return None
        header = json.loads(line)
        data = dict(header.get("data") or {})
        if length := _length(header, "data_length", LARGEST_DATA):
            data |= json.loads(await reader.readexactly(length))
        payload = await reader.readexactly(_length(header, "payload_length", LARGEST_PAYLOAD))
        if not isinstance(header["type"], str):
            raise ProtocolError("a message has a type that is not text")
        return Message(type=header["type"], data=data, payload=payload)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, asyncio.IncompleteReadError) as error:
        raise ProtocolError(f"not a Wyoming message: {type(error).__name__}") from error


def _length(header: dict[str, Any], name: str, largest: int) -> int:
    length = header.get(name) or 0
    if not isinstance(length, int) or not 0 <= length <= largest:
        raise ProtocolError(f"{name} is {length!a:.20}, at most {largest} is read")
    return length


class Converter:
    """Chunks of PCM of any usual kind to a signal (n, 1) in [-1, 1] at one rate; keeps the state of a stream."""

    def __init__(self, rate_hz: float) -> None:
        from wyoming.audio import AudioChunkConverter

        self._convert = AudioChunkConverter(rate=round(rate_hz), width=2, channels=1).convert
        self._kind: tuple[int, int, int] | None = None
        self._rate_hz = rate_hz

    def __call__(self, message: Message) -> NDArray[np.float32]:
        """Convert an audio chunk; raises ProtocolError where it is none."""
        from wyoming.audio import AudioChunk

        try:
            chunk = AudioChunk.from_event(message)
            self._check(chunk.rate, chunk.width, chunk.channels)
            whole = len(chunk.audio) - len(chunk.audio) % (chunk.width * chunk.channels)
            chunk.audio = chunk.audio[:whole]
            sound = self._convert(chunk).audio if whole else b""
        except ProtocolError:
            raise
        except Exception as error:
            raise ProtocolError(f"not an audio chunk: {type(error).__name__}") from error
        return np.frombuffer(sound, "<i2").astype(np.float32)[:, None] / np.float32(32768)

    def _check(self, rate: object, width: object, channels: object) -> None:
        kind = (rate, width, channels)
        if not all(isinstance(one, int) for one in kind):
            raise ProtocolError("an audio chunk does not say what it is")
        if not LOWEST_RATE_HZ <= rate <= HIGHEST_RATE_HZ or width not in (1, 2, 3, 4) or channels not in (1, 2):  # type: ignore[operator]
            raise ProtocolError(f"sound of {kind} is not converted")
        if self._kind not in (None, kind):
            raise ProtocolError("the kind of sound changed within a stream")
        self._kind = kind  # type: ignore[assignment]
