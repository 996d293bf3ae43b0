"""Doors under attack: connections that are dropped, readers that do not read, clients that send nonsense.

Sound comes in real time meanwhile, through a pipe of half a second: a hop that does not fit is lost, as a sound card
would lose it. A satellite sends the same sound through Wyoming.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from measure.plugged_processes import Client, evening, free_port, is_open, running, status, usage, wait_for

SOUND = {"rate": 16000, "width": 2, "channels": 1}
HOP_S, HOP_BYTES = 0.08, 2560
PIPE_BYTES = 1 << 14
SLOW_READERS, FUZZED = 100, 300
LINES = (
    b'{"type": "describe"}\n',
    b'{"type": "audio-start", "data": {"rate": 16000, "width": 2, "channels": 1}}\n',
    b'{"type": "audio-chunk", "data": {"rate": 16000, "width": 2, "channels": 1}, "payload_length": 64}\n',
    b"GET /api/hello HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b'POST /api/pair HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{"code": "12345678"}',
    b'{"learn": "/nowhere", "label": "yes"}\n',
)
Address = tuple[str, int] | str


class Feed:
    """Sound in real time for a process that reads its stdin, while it is entered."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        self.hops = self.lost = 0
        self._descriptor = process.stdin.fileno()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Feed:
        fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self._descriptor, False)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _is_taken(self, sound: bytes) -> bool:
        with suppress(OSError):
            return os.write(self._descriptor, sound) == len(sound)
        return False

    def _run(self) -> None:
        sound, due = evening(), time.monotonic()
        while not self._is_over.is_set():
            at = self.hops * HOP_BYTES % (len(sound) - HOP_BYTES)
            self.lost += not self._is_taken(sound[at : at + HOP_BYTES])
            self.hops += 1
            due += HOP_S
            time.sleep(max(due - time.monotonic(), 0))


class Satellite(Feed):
    """Sound in real time for a Wyoming server, and what it detects."""

    def __init__(self, port: int) -> None:
        self.hops = self.lost = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=HOP_S * 6)
        self._answers = b""

    def __enter__(self) -> Satellite:
        self._socket.sendall(LINES[1])
        self._thread.start()
        return self

    def __exit__(self, *given: object) -> None:
        super().__exit__(*given)
        with suppress(OSError):
            self._socket.settimeout(0.2)
            while more := self._socket.recv(1 << 16):
                self._answers += more
        self._socket.close()

    @property
    def detections(self) -> int:
        """Words that the server detected."""
        return self._answers.count(b'"detection"')

    def _is_taken(self, sound: bytes) -> bool:
        head = json.dumps({"type": "audio-chunk", "data": SOUND, "payload_length": len(sound)})
        with suppress(OSError):
            self._socket.sendall(head.encode() + b"\n" + sound)
            return True
        return False


def phases(store: Path, connections: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and figures of each attack, each on a service of its own with a control socket beside it."""
    quiet: list[Callable[[list[Address]], None]] = [lambda _: time.sleep(10)]
    yield "nothing", _attacked(store, quiet[0])
    yield f"{connections:,} connections", _attacked(store, lambda doors: _dropped(doors, connections))
    yield f"{SLOW_READERS} slow readers", _attacked(store, _slow)
    yield f"{FUZZED} fuzzed clients of each port", _attacked(store, _fuzzed)


def _attacked(store: Path, attack: Callable[[list[Address]], None]) -> dict[str, Any]:
    """Run an attack on the page and Wyoming of one service and the control socket of a listener."""
    wyoming, control = free_port(), store.parent / "control.sock"
    serve = ("serve", store, "--port", 0, "--listen", "-", "--json", "--wyoming", wyoming)
    listen = ("listen", store, "--json", "--control", control)
    with running(*serve) as one, running(*listen, stdout=subprocess.DEVNULL) as other:
        client = Client(one)
        client.ask("/api/state")
        wait_for(lambda: is_open(wyoming) and control.exists())
        threading.Thread(target=_emptied, args=(one,), daemon=True).start()
        with Feed(one) as feed, Feed(other) as second, Satellite(wyoming) as third:
            time.sleep(3)
            before, resident = usage(one) + usage(other), (status(one, "VmRSS"), status(other, "VmRSS"))
            started = time.monotonic()
            attack([("127.0.0.1", client.port), ("127.0.0.1", wyoming), str(control)])
            spent = time.monotonic() - started
            answered, _, _ = client.ask("/api/state")
            wait_for(lambda: all(a <= b for a, b in zip(usage(one) + usage(other), before, strict=True)), within_s=30)
            after, now = usage(one) + usage(other), (status(one, "VmRSS"), status(other, "VmRSS"))
        return {
            "seconds": round(spent, 1),
            "hops": feed.hops + second.hops + third.hops,
            "lost hops": feed.lost + second.lost + third.lost,
            "detections of a satellite": third.detections,
            "still answers": answered == 200,
            "descriptors and threads left over": sum(max(b - a, 0) for a, b in zip(before, after, strict=True)),
            "RSS before, MiB": [round(value, 1) for value in resident],
            "RSS after, MiB": [round(value, 1) for value in now],
            "stopped in, s": [_stopped(one), _stopped(other)],
        }


def _emptied(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    with suppress(ValueError):
        for _ in process.stdout:
            pass


def _stopped(process: subprocess.Popen[bytes]) -> float:
    started = time.monotonic()
    process.terminate()
    process.wait(10)
    return round(time.monotonic() - started, 2)


def _connected(door: Address) -> socket.socket:
    family = socket.AF_UNIX if isinstance(door, str) else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM)
    one.settimeout(5)
    try:
        one.connect(door)
    except OSError:
        one.close()
        raise
    return one


def _dropped(doors: list[Address], count: int) -> None:
    """Open connections to all doors in turn, write a little, and leave."""
    for number in range(count):
        with suppress(OSError), _connected(doors[number % len(doors)]) as one:
            one.sendall(random.Random(number).randbytes(number % 200))  # noqa: S311


def _slow(doors: list[Address]) -> None:
    """Ask at all doors, and read nothing for ten seconds."""
    with ExitStack() as stack:
        for number in range(SLOW_READERS):
            with suppress(OSError):
                one = stack.enter_context(_connected(doors[number % 2]))
                one.setblocking(False)
                one.sendall(LINES[0] * 2000 if number % 2 else LINES[3])
        time.sleep(10)


def _fuzzed(doors: list[Address]) -> None:
    """Send requests of which some bytes are others."""
    draw = random.Random(0)  # noqa: S311
    for number in range(FUZZED * len(doors)):
        told = bytearray(b"".join(draw.choices(LINES, k=3)))
        for _ in range(draw.randint(1, 8)):
            told[draw.randrange(len(told))] = draw.randrange(256)
        with suppress(OSError), _connected(doors[number % len(doors)]) as one:
            one.sendall(bytes(told))
            one.shutdown(socket.SHUT_WR)
