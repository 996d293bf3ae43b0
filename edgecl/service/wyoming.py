"""Taught words as wake words of Wyoming, the protocol of Home Assistant's Assist; extra [wyoming].

Sound comes from the clients. Each connection has a stream of its own, and all follow the live revision: a lesson counts
from the next chunk on. The protocol knows no authentication: who may connect is a matter of the address.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import edgecl
from edgecl.errors import DataError, EdgeclError, SettingError
from edgecl.live.events import Summary
from edgecl.live.inputs.chunks import Piece
from edgecl.live.listener import spotter_for
from edgecl.live.options import Listening
from edgecl.live.scorer import LiveScorer
from edgecl.live.stream import Stream
from edgecl.notes import Logger
from edgecl.service.addresses import Address
from edgecl.service.labels import identifiers, spoken
from edgecl.service.presence import Presence
from edgecl.service.wyoming_messages import LONGEST_LINE, Converter, ProtocolError, read_message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from wyoming.event import Event as Message

    from edgecl.live.events import Event
    from edgecl.operations.open_store import OpenStore

logger = Logger(__name__)

PORT = 10400
"""Of openWakeWord, which Home Assistant suggests."""
PRESENCE = "wyoming"
MOST_CLIENTS = 16
IDLE_S = 5.0
"""A client that has sent nothing for so long gives way to another."""
FORGOTTEN_S = 600.0
"""A client that has sent nothing for so long is gone."""
WRITING_S = 5.0
PIECE_S = 0.5
"""Of sound that is looked at without a break, whatever comes at once."""
STOPPING_S = 1.0
URL = "https://www.home-assistant.io/integrations/wyoming"


def avahi_service(store: Path, port: int) -> str:
    """Return a service file for Avahi, by which Home Assistant finds the listener."""
    return (
        '<?xml version="1.0" standalone="no"?>\n'
        '<!DOCTYPE service-group SYSTEM "avahi-service.dtd">\n'
        "<service-group>\n"
        f"  <name>edgecl {escape(store.absolute().name)}</name>\n"
        f"  <service><type>_wyoming._tcp</type><port>{port}</port></service>\n"
        "</service-group>\n"
    )


class WyomingServer:
    """Serves while it is entered, by a thread of its own.

    Parameters
    ----------
    publish
        Is given every event, whichever client it was for.

    Raises
    ------
    SettingError
        The store does not take sound; when entered, the address cannot be listened at.
    DataError
        When entered: the extra [wyoming] is missing.
    """

    def __init__(
        self, opened: OpenStore, address: Address, *, how: Listening, publish: Callable[[Event], None] = lambda _: None
    ) -> None:
        self.extractor = opened.extractor
        if not self.extractor.contract.is_sound:
            raise SettingError(f"Wyoming carries sound, the store takes {self.extractor.contract.modality}")
        self.opened, self.how, self.publish = opened, how, publish
        self.live = LiveScorer(opened, threshold=how.threshold, wake=how.wake)
        self.summary = Summary()
        self._address = address
        self._clients: dict[asyncio.Task[None], Client] = {}
        self._closing: set[asyncio.WriteTransport] = set()
        """Connections whose last answer is not yet read."""
        self._is_over = False
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgecl wyoming", daemon=True)
        self._presence = Presence(PRESENCE, opened.store.path)

    @property
    def port(self) -> int:
        """The port that is listened at, once entered."""
        return int(self._socket.getsockname()[1])

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self._address.host}:{self.port}"

    def labels(self) -> tuple[str, ...]:
        """The words of the live revision."""
        return spoken(self.opened.store.current().body["classes"])

    def __enter__(self) -> WyomingServer:
        try:
            import wyoming.wake  # noqa: F401
        except ImportError as error:
            raise DataError("Wyoming needs the package wyoming: pip install 'edgecl[wyoming]'") from error
        self.live.refresh()
        self._socket = self._address.bound(parameter="wyoming")
        self._presence.__enter__()
        self._thread.start()
        self._is_up.wait(STOPPING_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOPPING_S)
        self._presence.__exit__(None, None, None)
        if not self._thread.is_alive():  # else the thread, which still uses it, closes it with its server
            self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._accept, sock=self._socket, limit=LONGEST_LINE)
        self._is_up.set()
        await self._stop.wait()
        self._is_over = True
        server.close()
        for task in self._clients:
            task.cancel()
        for transport in self._closing:
            transport.abort()
        # those accepted a moment ago get as far as being sent away
        pending = asyncio.all_tasks() - {asyncio.current_task()}
        if pending:
            await asyncio.wait(pending, timeout=STOPPING_S / 2)
        for _ in range(3):
            await asyncio.sleep(0)  # a transport lets go of its socket a round after it was aborted

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its beginning to its end."""
        task = asyncio.current_task()
        assert task is not None
        if not self._has_room():
            writer.transport.abort()
            return
        _keep_alive(writer)
        self._clients[task] = client = Client(self, reader, writer)
        try:
            await client.serve()
        except asyncio.CancelledError:  # it gives way, or the server ends: what waits for it is thrown away
            writer.transport.abort()
        except (TimeoutError, OSError, ProtocolError, EdgeclError) as error:
            logger.debug("a Wyoming client was left: %s", error)
        finally:
            del self._clients[task]
            self._leave(writer)

    def _leave(self, writer: asyncio.StreamWriter) -> None:
        """Close a connection; what its client does not read in time is thrown away."""
        writer.close()
        if self._is_over or writer.transport.get_write_buffer_size() == 0:
            writer.transport.abort()
        else:
            self._closing.add(writer.transport)
            self._loop.call_later(WRITING_S, self._cut, writer.transport)

    def _cut(self, transport: asyncio.WriteTransport) -> None:
        transport.abort()
        self._closing.discard(transport)

    def _has_room(self) -> bool:
        """Test whether another client may stay; one that has said nothing, or nothing for long, gives way."""
        if len(self._clients) < MOST_CLIENTS or self._is_over:
            return not self._is_over
        task, idlest = min(self._clients.items(), key=lambda one: (one[1].has_spoken, one[1].last_heard))
        if idlest.has_spoken and time.monotonic() - idlest.last_heard < IDLE_S:
            return False
        task.cancel()
        return len(self._clients) < 2 * MOST_CLIENTS  # those that were left have not all ended yet


class Client:
    """One connection: what it asked for, and the stream that it sends."""

    def __init__(self, server: WyomingServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._names: frozenset[str] | None = None
        """Identifiers that were asked for; None: any."""
        self._context: dict[str, Any] | None = None
        self._stream: Stream | None = None
        self._has_detected = False
        self.has_spoken = False
        self.last_heard = time.monotonic()

    async def serve(self) -> None:
        """Answer messages until the client leaves, or its sound ends."""
        try:
            while (message := await asyncio.wait_for(read_message(self._reader), FORGOTTEN_S)) is not None:
                self.last_heard, self.has_spoken = time.monotonic(), True
                answer = self._answers.get(message.type)
                if answer is not None:
                    await answer(self, message)
                if message.type == "audio-stop":
                    return
        finally:
            if self._stream is not None:
                self._stream.settle()

    async def _describe(self, _message: Message) -> None:
        await self._write(_info(self._server.labels(), self._server.live.revision))

    async def _ping(self, message: Message) -> None:
        from wyoming.ping import Pong

        text = message.data.get("text")
        await self._write(Pong(text=text if isinstance(text, str) else None).event())

    async def _detect(self, message: Message) -> None:
        names, context = message.data.get("names"), message.data.get("context")
        self._context = context if isinstance(context, dict) else None
        wanted = [one for one in names if isinstance(one, str)] if isinstance(names, list) else []
        self._names = frozenset(wanted) or None
        unknown = set(wanted) - set(identifiers(self._server.labels()).values())
        if unknown:
            logger.warning("a Wyoming client asks for %s, which the store does not know", ascii(sorted(unknown))[:200])

    async def _begin(self, _message: Message) -> None:
        server = self._server
        contract = server.extractor.contract
        if self._stream is not None:
            self._stream.settle()
        self._stream = Stream(server.extractor, spotter_for(contract, server.how), server.summary)
        server.live.give(self._stream.spotter)
        self._converter = Converter(contract.sample_rate_hz)
        self._has_detected = False

    async def _hear(self, message: Message) -> None:
        if self._stream is None:
            await self._begin(message)
        assert self._stream is not None
        signal = self._converter(message)
        if self._server.live.refresh():
            self._server.summary.revisions.append(self._server.live.revision)
        self._server.live.give(self._stream.spotter)
        timestamp = message.data.get("timestamp")
        when = timestamp if isinstance(timestamp, int) else None
        step = round(PIECE_S * self._server.extractor.contract.sample_rate_hz)
        for at in range(0, len(signal), step):
            self.last_heard = time.monotonic()
            for event in self._push(signal[at : at + step]):
                await self._report(event, when)
            await asyncio.sleep(0)  # a message may hold a minute of sound: others are answered between its pieces

    def _push(self, signal: NDArray[np.float32]) -> list[Event]:
        assert self._stream is not None
        summary = self._server.summary
        started = time.perf_counter()
        events = self._stream.push(Piece(signal))
        spent = time.perf_counter() - started
        summary.busy_s += spent
        summary.worst_hop_ms = max(summary.worst_hop_ms, 1e3 * spent)
        return events

    async def _end(self, _message: Message) -> None:
        from wyoming.wake import NotDetected

        for event in self._stream.end() if self._stream else []:
            await self._report(event, None)
        if not self._has_detected:
            await self._write(NotDetected(context=self._context).event())

    async def _report(self, event: Event, timestamp: int | None) -> None:
        from wyoming.wake import Detection

        self._server.publish(event)
        name = identifiers(self._server.labels()).get(event.label)
        if name is None or (self._names is not None and name not in self._names):
            return
        self._has_detected = True
        await self._write(Detection(name=name, timestamp=timestamp, context=self._context).event())

    async def _write(self, message: Message) -> None:
        from wyoming.event import async_write_event

        try:
            await asyncio.wait_for(async_write_event(message, self._writer), WRITING_S)
        except (ValueError, RecursionError) as error:  # what is sent back is the client's own
            raise ProtocolError(f"what is sent back cannot be written: {type(error).__name__}") from error

    _answers: dict[str, Callable[[Client, Message], Coroutine[Any, Any, None]]] = {  # noqa: RUF012
        "describe": _describe,
        "ping": _ping,
        "detect": _detect,
        "audio-start": _begin,
        "audio-chunk": _hear,
        "audio-stop": _end,
    }


def _info(labels: tuple[str, ...], revision: int) -> Message:
    from wyoming.info import Attribution, Info, WakeModel, WakeProgram

    maker = Attribution(name="edgecl", url=URL)
    models = [
        WakeModel(
            name=name,
            description=label,
            phrase=label,
            attribution=maker,
            installed=True,
            version=str(revision),
            languages=[],
        )
        for label, name in identifiers(labels).items()
    ]
    program = WakeProgram(
        name="edgecl",
        description="Words taught on this device",
        attribution=maker,
        installed=True,
        version=edgecl.__version__,
        models=models,
    )
    return Info(wake=[program]).event()


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Have the system find out about peers that vanish, and send small messages at once."""
    one = writer.get_extra_info("socket")
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
