"""The server of the page: threads of `http.server`, with bounds on connections, time and bytes.

A connection is used once. A browser that is not paired can make it read a head of 32 KiB and a body of a kilobyte, no
more; where all places are taken, a connection that is not paired gives way. A slow reader of events is dropped.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from socketserver import TCPServer, ThreadingMixIn
from types import TracebackType
from typing import Any

from edgecl.notes import Logger
from edgecl.service.page import requests
from edgecl.service.page.notices import Notices
from edgecl.service.page.pairing import Pairing
from edgecl.service.page.requests import HEADERS, Answer, RefusedError, Request
from edgecl.units import number_of

logger = Logger(__name__)

MOST_CONNECTIONS = 16
LONGEST_S = 30.0
"""Of a request from its first byte to its last; streams of events are longer."""
SILENCE_S = 10.0
"""Of a client, at any point of a request."""
WRITING_S = 5.0
HEARTBEAT_S = 10.0
PUBLIC_BODY = 1 << 10
LARGEST_HEAD = 1 << 15
"""Of the first line of a request and its headers, in bytes."""
DRAINED = 1 << 16
STOPPING_S = 1.0
ENDING_S = 1.0
"""Of the thread of a connection that was cut."""

Handle = Callable[[Request], Answer | None]


@dataclass
class _Place:
    """A connection that is open."""

    connection: socket.socket
    until: float
    is_paired: bool = False
    is_cut: bool = False


class PageServer(ThreadingMixIn, TCPServer):
    """Serves while it is entered.

    Parameters
    ----------
    listening
        The socket.
    names
        By which browsers may call this machine.
    handle
        Answers requests; None asks for a stream of notices. Paired are those that `pairing` knows.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        listening: socket.socket,
        *,
        names: list[str],
        handle: Handle,
        notices: Notices,
        pairing: Pairing,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(listening.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.names, self.handle, self.notices, self.pairing, self.tls = names, handle, notices, pairing, tls
        self.is_over = threading.Event()
        self.bodies = threading.Semaphore(2)
        """Recordings that are read at once: a small device has little memory."""
        self._places: dict[int, _Place] = {}
        self._lock = threading.Lock()
        self._has_ended = threading.Condition(self._lock)
        self._own_threads = [
            threading.Thread(target=self.serve_forever, args=(0.2,), name="edgecl page", daemon=True),
            threading.Thread(target=self._keep_time, name="edgecl page time", daemon=True),
        ]

    @property
    def port(self) -> int:
        """The port that is listened at."""
        return int(self.socket.getsockname()[1])

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return len(self._places)

    def __enter__(self) -> PageServer:
        for thread in self._own_threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_over.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            for place in self._places.values():
                _cut(place.connection)
        until = time.monotonic() + STOPPING_S
        while self._places and time.monotonic() < until:
            time.sleep(0.01)
        for thread in self._own_threads:
            thread.join(0.5)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, if there is room for it."""
        if not self._admit(request):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread can be started: the place is not left taken
            self._leave(request)
            raise

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer, by the thread of the connection, and give its place back."""
        try:
            super().finish_request(request, client_address)
        finally:
            self._leave(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong with a connection; clients that leave are no error."""
        logger.debug("a connection ended", exc_info=True)

    def take_place(self, request: Any, *, is_paired: bool, until: float) -> None:
        """Say of a connection who it is, and how long it may last."""
        with self._lock:
            if place := self._places.get(id(request)):
                place.is_paired, place.until = is_paired, until

    def moved(self, request: Any, connection: socket.socket) -> None:
        """Note that a connection goes on in another socket."""
        with self._lock:
            if place := self._places.get(id(request)):
                place.connection = connection

    def _leave(self, request: socket.socket) -> None:
        with self._lock:
            self._places.pop(id(request), None)
            self._has_ended.notify_all()

    def _admit(self, request: socket.socket) -> bool:
        with self._lock:
            if self.is_over.is_set():
                return False
            staying = [one for one in self._places.values() if not one.is_cut]
            if len(staying) >= MOST_CONNECTIONS:
                strangers = [one for one in staying if not one.is_paired]
                if not strangers:
                    return False
                oldest = min(strangers, key=lambda one: one.until)
                oldest.is_cut = True
                _cut(oldest.connection)
            # those cut have not ended yet: their threads are waited for, rather than the newest being refused
            if not self._has_ended.wait_for(lambda: len(self._places) < 2 * MOST_CONNECTIONS, ENDING_S):
                return False
            self._places[id(request)] = _Place(request, time.monotonic() + LONGEST_S)
        return True

    def _keep_time(self) -> None:
        while not self.is_over.wait(1):
            now = time.monotonic()
            with self._lock:
                for place in self._places.values():
                    if place.until < now:
                        _cut(place.connection)


def _cut(connection: socket.socket) -> None:
    """End a connection whose thread is still at it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Bounded:
    """Reads a request; of its first line and its headers only so much, whatever there is."""

    def __init__(self, file: BufferedIOBase) -> None:
        self._file, self._left = file, LARGEST_HEAD
        self.read, self.close = file.read, file.close

    def readline(self, most: int) -> bytes:
        """Return a line, with its end where it is no longer than `most` bytes; raises LineTooLong at the bound."""
        line = self._file.readline(min(most, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise LineTooLong("head")
        return line


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    command = requestline = request_version = ""  # until a first line was read
    server: PageServer
    timeout = SILENCE_S
    has_read = False
    """The body was read."""

    def setup(self) -> None:
        """Encrypt where the server does; by the thread of the connection, since a client may let it wait."""
        self.place = self.request
        self.request.settimeout(SILENCE_S)
        if self.server.tls is not None:
            self._encrypt(self.server.tls)
        super().setup()
        self.rfile = _Bounded(self.rfile)  # type: ignore[assignment]

    def handle_one_request(self) -> None:
        """Read a request and answer it."""
        try:
            super().handle_one_request()
        except LineTooLong:
            self.close_connection = True
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _encrypt(self, tls: ssl.SSLContext) -> None:
        self.request = tls.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        self.server.moved(self.place, self.request)
        try:
            self.request.do_handshake()
        except OSError:
            self.request.close()
            raise

    def finish(self) -> None:
        """Close; of an encrypted connection both sides."""
        with suppress(OSError, ValueError):
            super().finish()
        with suppress(OSError, ValueError):
            if self.server.tls is not None:
                self.request.close()

    def log_message(self, *_arguments: Any) -> None:
        """Log nothing: addresses and labels are nobody's business."""

    def version_string(self) -> str:
        """Return the Server header, which says no version."""
        return "edgecl"

    def do_GET(self) -> None:
        """Answer what changes nothing."""
        self._serve("GET")

    def do_POST(self) -> None:
        """Answer what may change something."""
        self._serve("POST")

    def _serve(self, method: str) -> None:
        self.close_connection = True
        try:
            request = self._checked(method)
            answer = self.server.handle(request)
        except RefusedError as error:
            self._drain()
            answer = Answer.of({"error": str(error)}, error.status)
        except OSError:
            return
        except Exception:
            logger.exception("a request failed: %s %s", method, self.path[:80])
            answer = Answer.of({"error": "this went wrong, the log of the service says more"}, 500)
        if answer is None:
            self._stream(request)
        else:
            self._send(answer)

    def _checked(self, method: str) -> Request:
        """The request with its body, once it is known who sends it."""
        server, headers = self.server, self.headers
        host = requests.require_host(headers.get("Host"), [*server.names, self._own_address()])
        request = requests.parsed(method, self.path)
        token = requests.cookie(headers, self.cookie_name)  # type: ignore[arg-type]
        is_paired = bool(token) and server.pairing.is_paired(token)
        server.take_place(self.place, is_paired=is_paired, until=time.monotonic() + LONGEST_S)
        last = number_of(headers.get("Last-Event-ID", "")) or 0
        request = replace(request, is_paired=is_paired, last_event=last)
        if method == "GET":
            return request
        requests.require_same_origin(headers, host, scheme="https" if server.tls else "http")  # type: ignore[arg-type]
        kind = (headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        if kind not in ("application/json", "audio/wav"):
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "wanted application/json or audio/wav")
        return replace(request, kind=kind, body=self._body(kind, is_paired=is_paired))

    @property
    def cookie_name(self) -> str:
        """Cookies do not know ports: two pages on one machine need two names."""
        return f"edgecl_{self.server.port}"

    def _own_address(self) -> str:
        address = str(self.request.getsockname()[0]).partition("%")[0]
        mapped = getattr(ipaddress.ip_address(address), "ipv4_mapped", None)
        return str(mapped or address)

    def _body(self, kind: str, *, is_paired: bool) -> bytes:
        known = requests.LARGEST_BODY if kind == "audio/wav" else requests.LARGEST_JSON
        length = requests.body_length(self.headers, largest=known if is_paired else PUBLIC_BODY)  # type: ignore[arg-type]
        if length <= requests.LARGEST_JSON:
            return self._read(length)
        if not self.server.bodies.acquire(timeout=SILENCE_S):
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many recordings at once: send it again")
        try:
            return self._read(length)
        finally:
            self.server.bodies.release()

    def _read(self, length: int) -> bytes:
        self.has_read = True
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("the body ended early")
        return body

    def _drain(self) -> None:
        """Read a little of what was refused, or the answer would be lost with it."""
        if self.has_read:
            return
        with suppress(OSError, ValueError, RefusedError):
            length = requests.body_length(self.headers, largest=1 << 40)  # type: ignore[arg-type]
            self.request.settimeout(1)
            self.rfile.read(min(length, DRAINED))

    def _send(self, answer: Answer) -> None:
        with suppress(OSError):
            self.request.settimeout(WRITING_S)
            self._send_head(answer.status, {"Content-Type": answer.kind, "Content-Length": str(len(answer.body))})
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

    def _send_head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **headers}.items():
            self.send_header(name, value)

    def _stream(self, request: Request) -> None:
        """Notices as server-sent events, until the browser leaves, is too slow, or the service ends."""
        self.server.take_place(self.place, is_paired=True, until=float("inf"))
        self.request.settimeout(WRITING_S)
        with suppress(OSError), self.server.notices.followed(since=request.last_event) as mailbox:
            self._send_head(HTTPStatus.OK, {"Content-Type": "text/event-stream"})
            self.end_headers()
            self.wfile.write(b"retry: 2000\n\n")
            while not self.server.is_over.is_set() and not mailbox.is_closed:
                notice = mailbox.get(HEARTBEAT_S)
                self.wfile.write(notice.as_event() if notice else b": still here\n\n")
