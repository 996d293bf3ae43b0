"""A real mosquitto on loopback, and a client that records what it is told."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

USER, SECRET = "edge", "open sesame"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_until(is_so: Callable[[], object], *, within_s: float = 15) -> None:
    """Poll; fails the test when it does not come about."""
    until = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.02)


class Mosquitto:
    """A broker that wants a password; may be killed and started again, with what it retains."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        tool = shutil.which("mosquitto_passwd")
        if program is None or tool is None:
            pytest.skip("needs mosquitto: apt install mosquitto")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        subprocess.run([tool, "-b", "-c", str(folder / "passwords"), USER, SECRET], check=True, capture_output=True)
        (folder / "passwords").chmod(0o644)
        folder.chmod(0o777)  # started by root it becomes a user of its own
        self._config = folder / "broker.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {folder}/passwords\n"
            f"persistence true\npersistence_location {folder}/\n"
            "autosave_on_changes true\nautosave_interval 1\nuser root\n"
        )
        self._program, self._tool = program, tool
        self.start()

    def change_password(self, secret: str) -> None:
        """Be killed, and start again with another password."""
        self.kill()
        passwords = str(self._config.parent / "passwords")
        subprocess.run([self._tool, "-b", passwords, USER, secret], check=True, capture_output=True)
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers)

    def _answers(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Mosquitto:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Ear:
    """A subscriber to everything."""

    def __init__(self, port: int) -> None:
        paho = pytest.importorskip("paho.mqtt.client")
        self.heard: list[tuple[str, bytes, bool]] = []
        self._ready = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(USER, SECRET)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda _c, _d, one: self.heard.append((one.topic, one.payload, bool(one.retain)))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def say(self, topic: str, payload: str, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(5)

    def on(self, topic: str) -> list[Any]:
        """What was said on a topic: JSON where it is, else text."""
        return [_decoded(payload) for where, payload, _ in list(self.heard) if where == topic]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _decoded(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode()


@contextmanager
def ear(port: int) -> Iterator[Ear]:
    one = Ear(port)
    try:
        yield one
    finally:
        one.close()


CONNACK = b"\x20\x02\x00\x00"


def published(topic: str | bytes, payload: bytes, *, retain: bool = False) -> bytes:
    """Return a PUBLISH packet of QoS 0."""
    name = topic if isinstance(topic, bytes) else topic.encode()
    return (
        bytes([0x30 | retain]) + _length(2 + len(name) + len(payload)) + struct.pack("!H", len(name)) + name + payload
    )


def _length(size: int) -> bytes:
    found = b""
    while size >= 128:
        found += bytes([size % 128 | 128])
        size //= 128
    return found + bytes([size])


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Yield the port of a server that answers one connection after the other until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    with server.accept()[0] as one:
                        answer(one)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)  # closed alone, it would be waited on for ever
            thread.join(5)


class FakeBroker:
    """A broker of a test's own: after CONNACK it sends, on the connection of each number from 1 on, what is named.

    What acknowledges nothing else is enough for a client that is being lied to.
    """

    def __init__(self, *sent: bytes) -> None:
        self.connections = 0
        self.received = b""
        self._sent, self._open = sent, list[socket.socket]()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                one, _ = self._server.accept()
                self._open.append(one)
                self.connections += 1
                threading.Thread(target=self._serve, args=(one, self.connections), daemon=True).start()

    def _serve(self, one: socket.socket, number: int) -> None:
        with suppress(OSError), one:
            one.recv(1 << 12)
            one.sendall(CONNACK)
            if number <= len(self._sent):
                one.sendall(self._sent[number - 1])
            while data := one.recv(1 << 12):
                self.received += data

    def __enter__(self) -> FakeBroker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._server, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # closed alone, it would be waited on for ever
            one.close()
