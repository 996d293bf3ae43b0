"""Commands of edgecl that run beside a measurement, what they use, and a browser's side of the page."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from edgecl.demo.clips import voice_clips

COMMAND = (sys.executable, "-m", "edgecl.cli")
WORDS = ("yes", "stop")


@contextmanager
def running(*arguments: object, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of edgecl; it is killed at the end where it has not ended."""
    with tempfile.TemporaryDirectory() as state:
        environment = {**os.environ, "STATE_DIRECTORY": state, "EDGECL_MQTT_PASSWORD": "x"}
        given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, **more}
        with subprocess.Popen([*COMMAND, *map(str, arguments)], env=environment, **given) as one:
            try:
                yield one
            finally:
                one.kill()


def status(process: subprocess.Popen[bytes], key: str) -> float:
    """Return a line of the process's status, such as VmRSS, in MiB."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(text.partition(f"{key}:")[2].split()[0]) / 1024


def evening() -> bytes:
    """Some seconds of words, as raw PCM."""
    said = [one.signal[:, 0] for one in voice_clips("test") if one.label in WORDS][:6]
    quiet = np.random.default_rng(0).normal(0, 0.0002, 16000)
    return bytes((np.concatenate([part for one in said for part in (quiet, one)]) * 32767).astype("<i2").tobytes())


class Client:
    """A browser that is paired."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        parts = urlsplit(told["url"])
        self.host, self.port, self.cookie = parts.hostname or "", parts.port or 0, ""
        _, headers, _ = self.ask("/api/pair", {"code": told["code"]})
        self.cookie = headers["Set-Cookie"].partition(";")[0]

    def ask(self, path: str, body: object = None) -> tuple[int, dict[str, str], bytes]:
        """GET, or POST where there is a body."""
        one = HTTPConnection(self.host, self.port, timeout=20)
        is_sound = isinstance(body, bytes)
        kind = "audio/wav" if is_sound else "application/json"
        sent = body if body is None or is_sound else json.dumps(body)
        try:
            one.request("GET" if body is None else "POST", path, sent, {"Cookie": self.cookie, "Content-Type": kind})  # type: ignore[arg-type]
            found = one.getresponse()
            return found.status, dict(found.getheaders()), found.read()
        finally:
            one.close()


def usage(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Return the descriptors and threads of a process."""
    folder = Path(f"/proc/{process.pid}")
    return len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir()))


def is_open(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        return True


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(is_so: Callable[[], bool], *, within_s: float = 20) -> None:
    """Wait until something is so, or for so long."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        with suppress(OSError):
            if is_so():
                return
        time.sleep(0.05)
